"""Rendering where the pictures stay on a GPU."""
