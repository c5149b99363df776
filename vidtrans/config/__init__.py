"""Recipes: presets, files and flags resolved into settings."""
