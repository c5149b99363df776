"""Hostile files, sorted by kind: ``write`` of each module makes its own."""
