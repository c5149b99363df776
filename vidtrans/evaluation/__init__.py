"""Score renders, dreams, mattes and label maps; present the scores as plots, tables and text."""
