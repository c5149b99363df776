"""Grades: smooth maps from colour to colour, learned from pictures before and after.

``placing`` aligns pictures and takes samples of their colours, ``transfer`` matches the colours of pictures that are no
pairs, ``fitting`` turns samples into a map, ``learning`` does all of it and describes the result.
"""

from __future__ import annotations

# How colours are brought to those of pictures that show something else; the first is the usual one of a still.
UNPAIRED_METHODS = ("tones", "linear", "transport")
