"""Pairings as operators of tensors, for model files that do all of their work by themselves.

A pairing names a class of this room in ``operators``. Unlike its own methods the class uses nothing but what torch can
write into a graph for pictures of any size: no OpenCV, no branches that depend on pixels but for loops of TorchScript.
"""

from __future__ import annotations
