"""Grades: smooth colour maps, learned from pictures before and after.

``transfer`` matches the colours of unpaired pictures. ``learning`` aligns paired ones, fits a map to samples of their
colours, and describes the result.
"""

from __future__ import annotations

# Methods that match the colours of pictures with other content; the first is the default for stills
UNPAIRED_METHODS = ("tones", "linear", "transport")
