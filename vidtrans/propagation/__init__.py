"""Propagation of painted key frames through a clip, and of painted corrections through a rendered result."""
