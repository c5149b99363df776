"""Benchmarks of the live page, and of models that a camera is rendered with."""
