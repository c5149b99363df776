"""Frames in, frames out, sound and colour, through PyAV. Streams: no clip is ever whole in memory."""
