"""Engines: they run a generator on frames, in batches, on some device."""
