"""Rendering models onto clips: one clip, several, or parts of one; locally, on other machines, or as a farm job."""
