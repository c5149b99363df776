"""Benchmarks of looks from pictures."""
