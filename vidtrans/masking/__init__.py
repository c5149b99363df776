"""Masks that are found in the picture: people, faces, what stands before a screen, a colour, a brightness."""
