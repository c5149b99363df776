"""Benchmark of models with many looks."""
