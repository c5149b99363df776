"""Colour grades: smooth colour maps that are learned from pictures before and after grading.

``transfer`` matches the colours of unpaired pictures. ``learning`` aligns paired ones, fits a map to samples of their
colours, and describes the result.
"""

from __future__ import annotations

# Names of the methods that learn a grade from pictures with different content; the first is the default for stills
UNPAIRED_METHODS = ("tones", "linear", "transport")
