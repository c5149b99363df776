"""Benchmarks of learned grades."""
