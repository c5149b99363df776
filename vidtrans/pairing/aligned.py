"""A picture → its counterpart: two clips in step, or the pair folders of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.pairing.base import FramePairing
from vidtrans.settings import setting


@dataclass(frozen=True)
class AlignedSettings:
    """Which side is which."""

    direction: str = setting(
        "AtoB", "in pair folders: which side is the input; two clips go VIDEO → --target", choices=("AtoB", "BtoA")
    )


class Aligned(FramePairing):
    """The raw frame is the input; the target comes from the second clip or folder."""

    name = "aligned"
    version = 1
    needs_target = True
    deep = True
    Settings = AlignedSettings
    in_channels = 3

    def __init__(self, settings: AlignedSettings) -> None:
        self.settings = settings

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """((H, W, 3) uint8,) → the same."""
        return frames[0]
