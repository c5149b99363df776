"""Grades: smooth maps from colour to colour, learned from pictures before and after.

``pairs`` brings pictures in step and takes samples of their colours, ``transfer`` matches the colours of pictures that
show different things, ``transport`` those of domains that show much the same, ``operators`` and ``fitting`` turn
samples into a map, ``words`` says what it does.
"""

from __future__ import annotations

# How colours are brought to those of pictures that show something else; the first is the usual one of a still.
UNPAIRED_METHODS = ("tones", "linear", "transport")
