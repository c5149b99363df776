"""Pairings as tensor operators, for exported model files that include the pairing.

A pairing names a class of this package in ``operators``. The class uses only operators that torch can
export in a graph for pictures of any size: no OpenCV, no branches that depend on pixels, except TorchScript loops.
"""

from __future__ import annotations
