"""Losses of the networks."""
