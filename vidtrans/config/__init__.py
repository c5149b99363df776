"""Recipes: the settings that result from presets, project files and flags."""
