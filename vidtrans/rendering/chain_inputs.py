"""What the first network of a chain sees of frames, and what a later one is told of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidtrans.networks.code_planes import with_planes
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.frame_renderer import ModelInputs
from vidtrans.rendering.look_conditions import Conditions
from vidtrans.video.io.clip import Frame


class ChainInputs(ModelInputs):
    """The input of a chain at its ``size``, (width, height).

    ``conditions``: what the model with looks is told, which is the first one (``first_is_told``) or a later one: then
    they go along as further channels, each of one value.
    """

    def __init__(
        self,
        pairing: Pairing,
        size: tuple[int, int],
        *,
        drawn: bool = False,
        conditions: Conditions | None = None,
        first_is_told: bool = False,
    ) -> None:
        super().__init__(pairing, drawn=drawn, conditions=conditions if first_is_told else None)
        self._size, self._later = size, None if first_is_told else conditions

    def __call__(self, frames: Sequence[Frame]) -> np.ndarray:
        """Return the input for the last of ``frames``, (h, w, C) uint8 or uint16, as ``ModelInputs`` does."""
        made = super().__call__([frame.resized(*self._size) for frame in frames])
        if self._later is None:
            return made
        return with_planes(made, self._later.values(frames[-1].index))
