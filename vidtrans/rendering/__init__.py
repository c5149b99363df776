"""Rendering a model onto a video: the plan, its stages from reading to encoding, and its chunks in the cache."""
