"""Model files, and models that were loaded."""
