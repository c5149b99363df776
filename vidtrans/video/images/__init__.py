"""Single pictures on disk."""
