"""A style picture as the reference of comparisons: its style at a stroke size, and its colours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.perception.measure import in_order, sorted_distance
from vidtrans.video.images.picture import resize

MAX_ASPECT = 3  # of a style picture
DIRECTIONS = 12  # of colours
COLOUR_SCALES = (2, 8)  # by which pictures are averaged before their colours are compared
STROKE_SIDES = (128, 256, 512)  # short sides of the style picture for the finest strokes, the middle and the broadest
SMALLEST_SIDE = 32  # pixels


def stroke_side(size: float) -> int:
    """Return the short side to which a style picture is scaled for a stroke size, 0 (finest) to 1 (broadest)."""
    finest, broadest = STROKE_SIDES[0], STROKE_SIDES[-1]
    return round(finest * (broadest / finest) ** size)


def middle_of(picture: np.ndarray) -> np.ndarray:
    """Return a style picture (H, W, 3), cropped to its middle if its sides differ by more than ``MAX_ASPECT`` times."""
    longest = MAX_ASPECT * min(picture.shape[:2])
    starts = [max(0, (n - longest) // 2) for n in picture.shape[:2]]
    rows, columns = (slice(s, n - s) for s, n in zip(starts, picture.shape[:2], strict=True))
    return np.ascontiguousarray(picture[rows, columns])


def with_short_side(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture (H, W, 3) uint8, scaled to a short side of ``side`` pixels, at least ``SMALLEST_SIDE``."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    return resize(picture, max(SMALLEST_SIDE, round(width * scale)), max(SMALLEST_SIDE, round(height * scale)))


def to_signed(picture: np.ndarray, device: torch.device) -> Tensor:
    """Return a picture (H, W, 3) uint8 as (1, 3, H, W) float32 in [−1, 1]."""
    planes = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    return planes.to(device).float() / 127.5 - 1


def to_matte(picture: np.ndarray, device: torch.device) -> Tensor:
    """Return a grey picture (H, W, 3) uint8 as weights of pixels, (1, 1, H, W) float32, 0 to 1."""
    return torch.from_numpy(np.ascontiguousarray(picture[..., 0]))[None, None].to(device).float() / 255


@dataclass(frozen=True)
class Style:
    """A picture's style representation ``manner`` by a measure, and its ``colours`` at each scale, (3, M)."""

    manner: Any
    colours: list[Tensor]

    @classmethod
    def of(cls, picture: np.ndarray, side: int, measure: Any) -> Style:  # noqa: ANN401  (a ``LookMeasure`` that is a module)
        """Return the style of a picture (H, W, 3) uint8 at a short ``side`` in pixels, on the measure's device."""
        device = next(iter(measure.buffers()), torch.empty(0)).device
        x = to_signed(with_short_side(picture, side), device)
        return cls(measure.manner(x), [F.avg_pool2d(x, by).flatten(2)[0] for by in COLOUR_SCALES])

    def colour_distance(self, output: Tensor, random: torch.Generator, where: Tensor | None = None) -> Tensor:
        """Return the sliced Wasserstein distance of colours from the style's: the mean square along random directions.

        Bonneel et al., 2015. Summed over averages at each of ``COLOUR_SCALES``. ``output`` is (1, 3, H, W) in [−1, 1].
        ``where``, (1, 1, H, W): weights; only pixels above a half count.
        """
        directions = F.normalize(torch.randn(DIRECTIONS, 3, generator=random), dim=1).to(output.device)
        total = output.new_zeros(())
        for by, wanted in zip(COLOUR_SCALES, self.colours, strict=True):
            found = F.avg_pool2d(output, by).flatten(2)[0]
            if where is not None:
                found = found[:, F.avg_pool2d(where, by).flatten() > 0.5]
            if found.shape[1]:
                projected = in_order(directions @ found)
                total = total + sorted_distance(projected, in_order(directions @ wanted))
        return total
