"""Scores of renders and dreams, as plots, tables and text."""
