"""The paper's jitter and flip: drawn from (seed, position) alone, so that a resumed run draws the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.video.picture import resize


@dataclass(frozen=True)
class Geometry:
    """One draw: the pictures are resized to ``scaled``, the box at (x, y) is cut out, and mirrored or not.

    Sizes are (width, height) in pixels.
    """

    scaled: tuple[int, int]
    x: int
    y: int
    crop: tuple[int, int]
    mirrored: bool

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 → (crop height, crop width, 3); what lies outside is the mirrored picture."""
        picture = resize(picture, *self.scaled)
        width, height = self.crop
        below, right = max(0, height - picture.shape[0]), max(0, width - picture.shape[1])
        if below or right:
            picture = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT)
        picture = picture[self.y : self.y + height, self.x : self.x + width]
        return np.ascontiguousarray(picture[:, ::-1] if self.mirrored else picture)


def draw_geometry(
    rng: np.random.Generator, size: tuple[int, int], crop: tuple[int, int], jitter: float, flip: bool
) -> Geometry:
    """Resize by ``jitter`` (286/256 in the paper), then a random crop and a random left-right flip."""
    scaled = (round(size[0] * jitter), round(size[1] * jitter))
    x = int(rng.integers(0, max(1, scaled[0] - crop[0] + 1)))
    y = int(rng.integers(0, max(1, scaled[1] - crop[1] + 1)))
    return Geometry(scaled, x, y, crop, bool(flip and rng.random() < 0.5))


def crop_size(sizes: Sequence[tuple[int, int]], wanted: int | None, multiple: int) -> tuple[int, int]:
    """The (width, height) that training works at: what ``wanted`` asks for, a multiple of what the network needs.

    Without ``wanted`` it is the largest that fits in every picture, so that next to nothing is cut away.
    """
    narrow, low = min(w for w, _ in sizes), min(h for _, h in sizes)
    if wanted is not None:
        narrow, low = min(wanted, narrow), min(wanted, low)
    return max(multiple, narrow // multiple * multiple), max(multiple, low // multiple * multiple)
