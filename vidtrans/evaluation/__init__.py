"""Score renders and dreams; present the scores as plots, tables and text."""
