"""Bring a model's picture to the size at which it is delivered, with the detail of the camera's frame.

A network's faults are not measured in a live session (``upscaling.mending``): that takes several frames of a shot.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vidtrans.live.live_controls import Controls
from vidtrans.rendering.enlarger import cuda_device_of
from vidtrans.upscaling.array_pictures import size_of
from vidtrans.upscaling.luma import upscale_stream
from vidtrans.video.images.picture import resize

OUTPUT_SIZE, CUDA_OUTPUT_SIZE = 480, 1080  # pixels: the short side, where the controls give none


class DeliveredPicture(NamedTuple):
    """A model's picture and its source, both (H, W, 3) uint8 of one size."""

    picture: np.ndarray
    source: np.ndarray


class PictureDelivery:
    """The enlarger of a model's pictures, on the GPU of the ``engine`` if it has one that is Nvidia's."""

    def __init__(self, engine: Any) -> None:  # noqa: ANN401  (see ``FramePath``)
        self._device = cuda_device_of(engine)
        self.output_size = CUDA_OUTPUT_SIZE if engine.device_kind == "cuda" else OUTPUT_SIZE

    def __call__(
        self, picture: np.ndarray, guide: np.ndarray, source: np.ndarray, controls: Controls
    ) -> DeliveredPicture:
        """Return a painted picture at the size of its delivery.

        Args:
            picture: the model's output, (h, w, 3) uint8.
            guide: the source's frame at this size.
            source: the source's frame, (H, W, 3) uint8.
            controls: ``upscale`` and ``output_size`` are used.
        """
        width, height = delivered_size(size_of(source), size_of(picture), controls.output_size or self.output_size)
        if controls.upscale == "off" or (width, height) == size_of(picture):
            return DeliveredPicture(picture, guide)
        frame = np.ascontiguousarray(resize(source, width, height))
        if self._device is not None:
            from vidtrans.upscaling.on_device import upscale_stream_on

            return DeliveredPicture(upscale_stream_on(self._device, picture, frame, controls.upscale), frame)
        return DeliveredPicture(upscale_stream(picture, frame, controls.upscale), frame)


def delivered_size(source: tuple[int, int], painted: tuple[int, int], limit: int) -> tuple[int, int]:
    """Return the (width, height) of the source, its short side limited; ``painted``, unless both sides are larger."""
    scale = min(1.0, limit / min(source))
    width, height = round(source[0] * scale), round(source[1] * scale)
    return (width, height) if width > painted[0] and height > painted[1] else painted
