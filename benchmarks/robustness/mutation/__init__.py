"""Benchmarks: see ../../README.md."""
