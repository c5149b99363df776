"""Looks for parts of the picture: the plans of regions, and how they are rendered together."""
