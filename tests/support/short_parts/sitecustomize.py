"""Python imports this in processes whose PYTHONPATH holds its folder: there, short clips are divided."""

from __future__ import annotations

from vidtrans.rendering import parts

parts.MIN_PART_FRAMES = 60
