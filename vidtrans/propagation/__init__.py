"""Propagation of painted key frames through a clip, and of corrections through a result."""
