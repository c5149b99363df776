"""The pairing "small → large" for super-resolution: training shrinks frames, and renders enlarge their source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.sensor_noise import compress_jpeg
from vidtrans.video.images.picture import resize


@dataclass(frozen=True)
class EnlargeSettings:
    """Settings of ``Enlarge``: the scale factor, and the degradation of the shrunk frames in training."""

    factor: int = option(2, "factor by which a render is larger than its source", bounds=(2, 4))
    degradation: float = option(
        0.3, "strength of the blur, noise and compression in small footage: 0 none, 1 strong", bounds=(0.0, 1.0)
    )


class Enlarge(Pairing):
    """A pairing of a frame, shrunk and interpolated back, with the frame itself; a render interpolates its source."""

    name = "enlarge"
    at_source_size = True
    deep = True
    has_tensor_form = True
    operators = "vidtrans.pairing.operators:EnlargeOperators"
    Settings = EnlargeSettings
    settings: EnlargeSettings

    def __init__(self, settings: EnlargeSettings) -> None:
        super().__init__(settings)
        self.upscale_factor = settings.factor

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Shrink a frame, (H, W, 3) uint8, by ``factor``, degrade it at random, and interpolate it back."""
        height, width = frames[0].shape[:2]
        small = [max(1, round(n / self.settings.factor)) for n in (width, height)]
        shrunk = cv2.resize(frames[0], small, interpolation=cv2.INTER_AREA)
        if self.settings.degradation > 0:
            shrunk = _degrade(shrunk, self.settings.degradation, rng)
        return resize(shrunk, width, height)


def _degrade(picture: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Degrade a picture (h, w, 3) uint8 by a soft lens, sensor noise and compression, each of random strength.

    The order is that of a real camera (as in Wang et al., "Real-ESRGAN", 2021).
    """
    blur, noise, loss = strength * rng.random(3)
    softened = cv2.GaussianBlur(picture, (0, 0), 0.2 + blur, borderType=cv2.BORDER_REFLECT_101)
    grain = rng.standard_normal(picture.shape, np.float32) * np.float32(10 * noise)
    grainy = np.rint(np.clip(softened + grain, 0, 255)).astype(np.uint8)
    # JPEG simulates a video codec: its blocks, ringing and subsampled chroma resemble those of an intra frame.
    return compress_jpeg(grainy, round(98 - 75 * loss))
