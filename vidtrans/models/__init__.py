"""Model files: find, read, check and write models, and prepare one for rendering."""
