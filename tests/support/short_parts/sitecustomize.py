"""Python imports this in processes whose PYTHONPATH holds its folder: there, short clips are divided."""

from __future__ import annotations

from vidtrans.rendering import division

division.MIN_PART_FRAMES = 60
