"""Benchmarks of painted key frames."""
