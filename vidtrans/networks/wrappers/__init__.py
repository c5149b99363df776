"""Modules around a generator: many looks by a code, a background plate, classes."""
