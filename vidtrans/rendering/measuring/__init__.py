"""Measure renders: their cost before they are made, and the speed of their steps."""
