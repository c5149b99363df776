"""The paper's jitter and flip: drawn from (seed, position) alone, so that a resumed run draws the same.

And a motion that a picture is given: where nothing moves, or a picture is a photograph, it stands for that of a video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow.history import BackwardFlow
from vidtrans.flow.warping import grid, resize_flow
from vidtrans.video.images.picture import resize

# Of a drift, for each step: a shift by at most so much of the short side, a turn in radians, a change of size.
SHIFT, TURN, ZOOM = 0.02, 0.02, 0.02


@dataclass(frozen=True)
class SyntheticMotion:
    """A motion given to a picture: after ``steps`` steps its pixels come from where ``matrix`` led so many times.

    ``matrix`` holds the two rows of an affine map from a frame's pixels to those of the frame before.
    """

    matrix: tuple[float, ...]
    steps: int

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, C) uint8 → the same, moved; what comes in over the border is the mirrored picture."""
        height, width = picture.shape[:2]
        moved = np.linalg.matrix_power(np.vstack([self._rows, (0, 0, 1)]), self.steps)[:2]
        how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, moved, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT_101)

    def trail(self, height: int, width: int) -> BackwardFlow:
        """From any of its steps back to the one before."""
        places = grid(height, width)
        flow = places @ self._rows[:, :2].T.astype(np.float32) + self._rows[:, 2].astype(np.float32) - places
        return BackwardFlow(flow, np.ones((height, width), np.float32)).within()

    @property
    def _rows(self) -> np.ndarray:
        return np.array(self.matrix).reshape(2, 3)


def draw_synthetic_motion(rng: np.random.Generator, size: tuple[int, int]) -> SyntheticMotion:
    """Draw one step of a slow shift, rotation and zoom about the centre, for pictures of (width, height)."""
    x, y, turn, zoom = rng.uniform(-1, 1, 4) * (SHIFT * min(size), SHIFT * min(size), TURN, ZOOM)
    across, along = (1 + zoom) * np.cos(turn), (1 + zoom) * np.sin(turn)
    linear = np.array([[across, -along], [along, across]])
    middle = (np.array(size) - 1) / 2
    rows = np.column_stack([linear, middle - linear @ middle + (x, y)])
    return SyntheticMotion(tuple(map(float, rows.ravel())), 1)


@dataclass(frozen=True)
class Geometry:
    """One draw: the pictures are resized to ``scaled``, the box at (x, y) is cut out, and mirrored or not.

    Sizes are (width, height) in pixels. ``drift``: a motion that comes after that.
    """

    scaled: tuple[int, int]
    x: int
    y: int
    crop: tuple[int, int]
    mirrored: bool
    drift: SyntheticMotion | None = None

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 → (crop height, crop width, 3); what lies outside is the mirrored picture."""
        picture = resize(picture, *self.scaled)
        below, right = self._lacking(picture)
        if below or right:
            picture = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT)
        picture = self._cut(picture)
        return self.drift.apply(picture) if self.drift else picture

    def trail(self, trail: BackwardFlow) -> BackwardFlow:
        """Transform a trail between two whole pictures as ``apply`` transforms them, without the synthetic motion."""
        flow, sure = resize_flow(trail.flow, *self.scaled), cv2.resize(trail.confidence, self.scaled)
        below, right = self._lacking(flow)
        if below or right:
            (height, width), flow = flow.shape[:2], cv2.copyMakeBorder(flow, 0, below, 0, right, cv2.BORDER_REFLECT)
            flow[height:, :, 1] *= -1  # in the mirror they go the other way
            flow[:, width:, 0] *= -1
            sure = cv2.copyMakeBorder(sure, 0, below, 0, right, cv2.BORDER_REFLECT)
        flow, sure = self._cut(flow), self._cut(sure)
        if self.mirrored:
            flow = flow * np.array([-1, 1], np.float32)
        return BackwardFlow(flow, sure).within()

    def _lacking(self, picture: np.ndarray) -> tuple[int, int]:
        """By how many pixels it is lower and narrower than the crop."""
        return max(0, self.crop[1] - picture.shape[0]), max(0, self.crop[0] - picture.shape[1])

    def _cut(self, picture: np.ndarray) -> np.ndarray:
        picture = picture[self.y : self.y + self.crop[1], self.x : self.x + self.crop[0]]
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
    """Return the (width, height) of a training step: ``wanted``, rounded down to a multiple of ``multiple``.

    Without ``wanted`` it is the largest that fits in every picture, so that next to nothing is cut away.
    """
    narrow, low = min(w for w, _ in sizes), min(h for _, h in sizes)
    if wanted is not None:
        narrow, low = min(wanted, narrow), min(wanted, low)
    return max(multiple, narrow // multiple * multiple), max(multiple, low // multiple * multiple)
