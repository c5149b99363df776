"""Model files: find, read, check and write them, and load a model for rendering."""
