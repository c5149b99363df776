"""Colour spaces and dynamic range."""
