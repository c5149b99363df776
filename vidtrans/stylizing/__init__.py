"""Rendering models onto clips: one clip, several, or parts of a clip; on this machine, on others, or as a farm job."""
