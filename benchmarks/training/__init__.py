"""Benchmarks: see ../README.md."""
