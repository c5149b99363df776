"""What the first network of a chain sees of frames, and what a later one is told of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidtrans.pairing.base import Pairing
from vidtrans.rendering.frame_renderer import ModelInputs
from vidtrans.rendering.look_conditions import LookConditions
from vidtrans.video.colour.conversion import to_uint16
from vidtrans.video.io.clip import Frame


class ChainInputs(ModelInputs):
    """The input of a chain at its ``size``, (width, height).

    ``conditions``: what the painter of looks is told, which is the first model (``first_is_told``) or a later one: then
    they go along as further channels, each of one value.
    """

    def __init__(
        self,
        pairing: Pairing,
        size: tuple[int, int],
        *,
        drawn: bool = False,
        conditions: LookConditions | None = None,
        first_is_told: bool = False,
    ) -> None:
        super().__init__(pairing, drawn=drawn, conditions=conditions if first_is_told else None)
        self._size, self._later = size, None if first_is_told else conditions

    def __call__(self, frames: Sequence[Frame]) -> np.ndarray:
        """Return the input for the last of ``frames``, (h, w, C) uint8 or uint16, as ``ModelInputs`` does."""
        made = super().__call__([frame.resized(*self._size) for frame in frames])
        if self._later is None:
            return made
        values = self._later.values(frames[-1].index)
        planes = np.empty((*made.shape[:2], len(values)), made.dtype)
        planes[...] = values if made.dtype == np.uint8 else to_uint16(values)
        return np.dstack([made, planes])
