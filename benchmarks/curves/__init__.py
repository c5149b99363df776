"""How well curves hear."""
