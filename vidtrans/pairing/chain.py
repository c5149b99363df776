"""The input of a chain of models: its first model's input, or the raw frame if that model's pairing finishes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidtrans.pairing.base import Pairing


class ChainPairing(Pairing):
    """The pairing of a chain, built from the ``first`` model's pairing and not registered.

    A first pairing that ``finishes`` needs the frame beside its output: then the frame is the input, and the chain
    computes the network's input from it. ``upscale_factor``: the whole chain's.
    """

    name = "chain"
    version = 1

    def __init__(self, first: Pairing, upscale_factor: int) -> None:
        super().__init__(first.settings)
        self._first, self.upscale_factor = first, upscale_factor
        self.in_channels = chain_channels(first)
        self.offsets, self.guides, self.extraction = first.offsets, first.guides, first.extraction
        self.deep = first.deep

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the first network's input, (H, W, in_channels) uint8 or uint16; the frame if its pairing finishes."""
        return frames[0] if self._first.finishes else self._first.input(frames)

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Return the first network's input for a drawing, (H, W, 3) uint8 → (H, W, in_channels) uint8."""
        return self._first.drawing_input(picture)


def chain_channels(first: Pairing) -> int:
    """Return the number of channels of a chain's input: its ``first`` pairing's, or a frame's."""
    return 3 if first.finishes else first.in_channels
