"""Bring predicted frames to the size of the result, as pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vidtrans.config.recipe import Recipe
from vidtrans.core.settings import Table
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.session import Context
from vidtrans.upscaling import VERSION, array_pictures, tensor_pictures
from vidtrans.upscaling.enlarging import enlarged


@dataclass(frozen=True)
class DreamPictures:
    """A maker of the result's pictures from predicted frames of a working ``size``, (width, height).

    ``mode``: "faithful" enlarges to ``output_size`` by back-projection; "bicubic" leaves the scaling to the encoder, as
    does a size that is not smaller on both sides. ``deep``: pictures of 16 bits a channel.
    """

    size: tuple[int, int]
    output_size: tuple[int, int]
    mode: str
    deep: bool

    def __call__(self, frame: Tensor) -> np.ndarray:
        """Return a frame, (3, H, W) float32 in [-1, 1], as a picture (h, w, 3) uint8, or uint16 if ``deep``."""
        picture: np.ndarray = to_pictures(self._enlarged(frame)[None], deep=self.deep)[0]
        return picture

    @property
    def is_enlarged(self) -> bool:
        """Return whether pictures are enlarged here, and not by the encoder."""
        return self.is_small and self.mode != "bicubic"

    @property
    def is_small(self) -> bool:
        """Return whether frames are smaller than the result on both sides."""
        return self.output_size[0] > self.size[0] and self.output_size[1] > self.size[1]

    @property
    def picture_size(self) -> tuple[int, int]:
        """Return the (width, height) of the pictures."""
        return self.output_size if self.is_enlarged else self.size

    def for_key(self) -> Table:
        """Return the mode and the version of its arithmetic, for cache keys; {} if the encoder scales."""
        return {"mode": self.mode, "version": VERSION} if self.is_enlarged else {}

    def tell_unused(self, recipe: Recipe, context: Context) -> None:
        """Report that the ``upscale`` of a recipe has no effect, unless it is the default."""
        if "upscale" in recipe.tables.get("dreaming", {}) and not self.is_small:
            context.note(f"--upscale {self.mode} has no effect: frames are not smaller than the result")

    def _enlarged(self, frame: Tensor) -> Tensor:
        if not self.is_enlarged:
            return frame
        enlarge = by_opencv if frame.device.type == "cpu" else in_torch  # OpenCV is several times faster on a CPU
        return enlarge(frame, self.output_size, self.mode)


def by_opencv(frame: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Return a frame, (3, H, W) float32 in [-1, 1] on the CPU, at a larger (width, height)."""
    unit = np.ascontiguousarray(frame.permute(1, 2, 0).numpy()) * np.float32(0.5) + np.float32(0.5)
    # Only the size of this source has a part: a dream has none.
    source = np.broadcast_to(np.float32(0), (size[1], size[0], 3))
    return torch.from_numpy(enlarged(array_pictures, unit, source, mode)).permute(2, 0, 1) * 2 - 1


def in_torch(frame: Tensor, size: tuple[int, int], mode: str) -> Tensor:
    """Return a frame, (3, H, W) float32 in [-1, 1], at a larger (width, height), on its device."""
    source = frame.new_zeros(()).expand(1, 3, size[1], size[0])
    return enlarged(tensor_pictures, frame[None] * 0.5 + 0.5, source, mode)[0] * 2 - 1
