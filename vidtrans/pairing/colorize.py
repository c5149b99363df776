"""The pairing "grey → colour": the network predicts the chroma, and the luma is the frame's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.pairing.base import Pairing
from vidtrans.video.colour.conversion import INTEGER_LUMA, INTEGER_LUMA_BITS

if TYPE_CHECKING:
    from torch import Tensor

# Weights of red, green and blue in the luma Y′ of BT.601, as in COLOR_RGB2GRAY
LUMA = np.array([[0.299, 0.587, 0.114]], np.float32)


@dataclass(frozen=True)
class ColorizeSettings:
    """Settings of ``Colorize``, which has none."""


class Colorize(Pairing):
    """A pairing of a frame's luma with the frame; only the chroma of the output is used."""

    name = "colorize"
    finishes = True
    pointwise = True
    deep = True
    has_tensor_form = True
    operators = "vidtrans.pairing.operators:ColorizeOperators"
    Settings = ColorizeSettings
    in_channels = 1

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Return the luma, (H, W, 1), of one frame, (H, W, 3) uint8 or uint16, in the frame's dtype."""
        return cv2.cvtColor(frames[0], cv2.COLOR_RGB2GRAY)[..., None]

    def tensor_input(self, frames: Sequence[Tensor]) -> Tensor:
        """Return the luma, (N, H, W, 1), of one batch (N, H, W, 3) uint8 or int32, rounded as by OpenCV."""
        channels = zip(frames[0].split(1, dim=3), INTEGER_LUMA, strict=True)
        total = sum(channel.int() * share for channel, share in channels)
        luma = (total + (1 << (INTEGER_LUMA_BITS - 1))) >> INTEGER_LUMA_BITS
        return luma.to(frames[0].dtype)

    def finish(self, frame: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Combine the frame's luma (within a grey level) with the output's chroma; (H, W, 3) uint8 or uint16 each.

        A colour that is out of range at the frame's luma is desaturated; its hue is preserved.
        """
        luma = cv2.transform(frame.astype(np.float32), LUMA)
        colour = output.astype(np.float32)
        chroma = colour - cv2.transform(colour, LUMA)[..., None]
        # ``above`` and ``below``: the largest deviations of a channel from the luma, upwards and downwards.
        # ``paler``: the factor of the chroma with which all channels are in range.
        red, green, blue = (chroma[..., c] for c in range(3))
        above = np.maximum(np.maximum(red, green), np.maximum(blue, np.float32(1e-3)))
        below = np.maximum(-np.minimum(np.minimum(red, green), blue), np.float32(1e-3))
        full = np.iinfo(frame.dtype).max
        paler = np.minimum(np.minimum((full - luma) / above, luma / below), 1)
        chroma *= np.maximum(paler, 0)[..., None]
        chroma += luma[..., None]
        return np.rint(np.clip(chroma, 0, full, out=chroma), out=chroma).astype(frame.dtype)
