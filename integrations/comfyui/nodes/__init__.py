"""The nodes of the pack: ``commands.py`` lists them."""
