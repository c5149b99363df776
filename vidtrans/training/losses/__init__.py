"""What the networks minimise."""
