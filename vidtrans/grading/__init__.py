"""Grades: smooth colour maps, learned from pictures before and after.

``transfer`` matches the colours of unpaired pictures, ``learning`` aligns others, turns samples of their colours into a
map, and describes the result.
"""

from __future__ import annotations

# How colours are brought to those of pictures that show something else; the first is the usual one of a still.
UNPAIRED_METHODS = ("tones", "linear", "transport")
