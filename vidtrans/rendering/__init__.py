"""Rendering a model onto a video: chunks, raw outputs, and the settings of both."""
