"""Recipes: presets, project files and flags, merged into settings."""
