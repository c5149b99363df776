"""Background threads, and copies to and from a GPU."""
