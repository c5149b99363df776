"""Benchmarks of models that a camera is rendered with."""
