"""Distances between pictures as a network sees them, for programs that compare results with a style or a reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from vidtrans.library.picture_arrays import to_array
from vidtrans.perception import CRITIC, load_measure
from vidtrans.perception.measure import to_signed, with_short_side
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize

SIDE_PX = 256  # Short side, in pixels, of the pictures whose features are compared


class PictureCritic:
    """Distances of pictures from a style or from a target, by the features of a frozen network.

    Looks are trained with another network by default. Pictures are (H, W, 3) RGB, uint8 or uint16, arrays or tensors,
    compared at a short side of 256 pixels on the CPU. Distances are at least 0, smaller is nearer, and those of
    different critics (``name``) cannot be compared.
    """

    def __init__(self) -> None:
        """Load the network. Raises ModelError if its weights are damaged."""
        self._measure = load_measure(CRITIC)

    @property
    def name(self) -> str:
        """Return the name of the measure."""
        return str(self._measure.identity().split()[0])

    def distance_from_style(self, style: object) -> Callable[[object], float]:
        """Return a function that measures the distance of a picture from the style of the picture ``style``.

        Textures and colours are compared, not what the pictures show (Gatys et al., CVPR 2016). Each part of a picture
        is compared with the whole style, so that even ``style`` itself has a distance. Raises UsageError for objects
        that are no pictures, as does the function.
        """
        with torch.no_grad():
            statistics = self._measure.statistics(_to_network_input(_to_picture(style)))

        def distance(picture: object) -> float:
            """Return the distance of a picture, (H, W, 3), from the style."""
            with torch.no_grad():
                features = self._measure.see(_to_network_input(_to_picture(picture)))
                return float(self._measure.style(features, statistics))

        return distance

    def distance(self, picture: object, target: object) -> float:
        """Return the distance of a picture from a target with the same content, which is scaled to its size.

        Raises UsageError for objects that are no pictures.
        """
        seen, wanted = _to_picture(picture), _to_picture(target)
        wanted = resize(wanted, seen.shape[1], seen.shape[0])
        with torch.no_grad():
            see = self._measure.see
            return float(self._measure.content(see(_to_network_input(seen)), see(_to_network_input(wanted))))


def _to_picture(picture: object) -> np.ndarray:
    """Return a picture as an array (H, W, 3) uint8. Raises UsageError."""
    return to_uint8(to_array(picture, "the picture"))


def _to_network_input(picture: np.ndarray) -> torch.Tensor:
    """Return a picture, (H, W, 3) uint8, as a tensor in [-1, 1] with the short side ``SIDE_PX``."""
    return to_signed(with_short_side(picture, SIDE_PX), torch.device("cpu"))
