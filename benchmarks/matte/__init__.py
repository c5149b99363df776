"""Benchmarks of mattes."""
