"""Scores of renders and dreams, drawn and put into words."""
