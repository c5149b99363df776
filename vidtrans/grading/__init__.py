"""Grades: smooth colour maps, learned from pictures before and after.

``placing`` aligns pictures and samples their colours, ``transfer`` matches the colours of unpaired pictures,
``learning`` turns samples into a map, and describes the result.
"""

from __future__ import annotations

# How colours are brought to those of pictures that show something else; the first is the usual one of a still.
UNPAIRED_METHODS = ("tones", "linear", "transport")
