"""Training steps on a GPU: what feeds them, and how they are replayed."""
