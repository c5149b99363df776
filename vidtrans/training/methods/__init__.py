"""Training methods, one file each; ``METHODS`` in the room's ``__init__`` is their table."""
