"""Training without pairs: the colour map between two domains, and its scores."""
