"""Augmentation: the paper's jitter and flip, and a synthetic motion that simulates video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np

from vidtrans.data.moving_windows import Windows, normalised
from vidtrans.flow.history import BackwardFlow
from vidtrans.flow.warping import grid, resize_flow
from vidtrans.video.images.picture import resize

# Limits of a synthetic motion for each step: share of the short side, radians, change of size.
MAX_SHIFT, MAX_TURN, MAX_ZOOM = 0.02, 0.02, 0.02
# Six orders of the channels, each of which is inverted or not; and the same, nearly grey.
COLOUR_EXCHANGES = 96
GREY = 0.75  # The share of the mean of the channels in pictures that are nearly grey.


@dataclass(frozen=True)
class SyntheticMotion:
    """A synthetic motion of a picture: ``matrix``, applied ``steps`` times.

    ``matrix`` holds the two rows of an affine map from a frame's pixels to those of the preceding frame.
    """

    matrix: tuple[float, ...]
    steps: int

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Move a picture (H, W, C) uint8; it is mirrored beyond its border."""
        height, width = picture.shape[:2]
        moved = np.linalg.matrix_power(np.vstack([self._rows, (0, 0, 1)]), self.steps)[:2]
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, moved, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)

    def backward_flow(self, height: int, width: int) -> BackwardFlow:
        """Return the backward flow of one step, which is the same for all steps."""
        places = grid(height, width)
        flow = places @ self._rows[:, :2].T.astype(np.float32) + self._rows[:, 2].astype(np.float32) - places
        return BackwardFlow(flow, np.ones((height, width), np.float32)).within()

    @property
    def _rows(self) -> np.ndarray:
        return np.array(self.matrix).reshape(2, 3)


def draw_synthetic_motion(rng: np.random.Generator, size: tuple[int, int]) -> SyntheticMotion:
    """Draw one step of a slow shift, rotation and zoom about the centre, for pictures of (width, height)."""
    x, y, turn, zoom = rng.uniform(-1, 1, 4) * (MAX_SHIFT * min(size), MAX_SHIFT * min(size), MAX_TURN, MAX_ZOOM)
    across, along = (1 + zoom) * np.cos(turn), (1 + zoom) * np.sin(turn)
    linear = np.array([[across, -along], [along, across]])
    middle = (np.array(size) - 1) / 2
    rows = np.column_stack([linear, middle - linear @ middle + (x, y)])
    return SyntheticMotion(tuple(map(float, rows.ravel())), 1)


@dataclass(frozen=True)
class Geometry:
    """A drawn transform: resize to ``scaled``, crop a box of size ``crop`` at (x, y), mirror if ``mirrored``.

    Sizes are (width, height) in pixels. ``motion`` is applied last. ``colours``: number of an exchange of the colours
    of the picture, see ``exchange_colours``. ``windows``: what is seen of the picture instead of a crop.
    """

    scaled: tuple[int, int]
    x: int
    y: int
    crop: tuple[int, int]
    mirrored: bool
    motion: SyntheticMotion | None = None
    colours: int = 0
    windows: Windows | None = None

    def apply(self, picture: np.ndarray, back: int = 0) -> np.ndarray:
        """Transform (H, W, 3) uint8 to (crop height, crop width, 3); smaller pictures are padded by mirroring.

        ``back``: how many frames before the target it lies.
        """
        if self.windows:
            picture = self.windows.past(picture, back) if back else self.windows.target(picture)
        else:
            picture = self._cropped(self._padded(resize(picture, *self.scaled)))
        picture = self.motion.apply(picture) if self.motion else picture
        return exchange_colours(picture, self.colours) if self.colours else picture

    def view(self, frame: tuple[int, int]) -> tuple[float, ...]:
        """Return what is seen of a stored frame, (width, height), as ``pairing.next_frame.Told.view``."""
        if self.windows:
            view = normalised(self.windows.view(), self.crop, frame)
        else:
            middle = np.array([self.x + self.crop[0] / 2, self.y + self.crop[1] / 2]) - np.array(self.scaled) / 2
            view = normalised(np.diag([-1.0 if self.mirrored else 1.0, 1.0, 1.0]), self.crop, self.scaled)
            view[:2, 2] = 2 * middle / self.scaled
        return tuple(map(float, view[:2].ravel()))

    def apply_to_labels(self, picture: np.ndarray) -> np.ndarray:
        """Transform a label map in colours, (H, W, 3) uint8, as ``apply`` does, but without a mixture of colours."""
        scaled = cv2.resize(picture, self.scaled, interpolation=cv2.INTER_NEAREST_EXACT)
        return self._cropped(self._padded(scaled))

    def apply_to_flow(self, backward: BackwardFlow) -> BackwardFlow:
        """Return the backward flow of pictures that ``apply`` makes, from that of whole ones; without ``motion``."""
        flow, confidence = resize_flow(backward.flow, *self.scaled), cv2.resize(backward.confidence, self.scaled)
        height, width = flow.shape[:2]
        flow = self._padded(flow)
        flow[height:, :, 1] *= -1  # the padding is mirrored, and so is its motion
        flow[:, width:, 0] *= -1
        flow, confidence = self._cropped(flow), self._cropped(self._padded(confidence))
        if self.mirrored:
            flow = flow * np.array([-1, 1], np.float32)
        return BackwardFlow(flow, confidence).within()

    def _padded(self, picture: np.ndarray) -> np.ndarray:
        """Pad a picture by mirroring where it is smaller than the crop."""
        below, right = max(0, self.crop[1] - picture.shape[0]), max(0, self.crop[0] - picture.shape[1])
        if not below and not right:
            return picture
        return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT)

    def _cropped(self, picture: np.ndarray) -> np.ndarray:
        picture = picture[self.y : self.y + self.crop[1], self.x : self.x + self.crop[0]]
        return np.ascontiguousarray(picture[:, ::-1] if self.mirrored else picture)


def exchange_colours(picture: np.ndarray, number: int) -> np.ndarray:
    """Return (H, W, 3) uint8 with its channels in another order, some inverted, or nearly grey; 0: as it is."""
    greyed, rest = divmod(number, COLOUR_EXCHANGES // 2)
    order, inverted = divmod(rest, 8)
    exchanged = picture[..., list(permutations(range(3)))[order]]
    exchanged = np.ascontiguousarray(exchanged ^ np.array([255 * (inverted >> k & 1) for k in range(3)], np.uint8))
    if not greyed:
        return exchanged
    grey = np.repeat(exchanged.mean(2, dtype=np.float32, keepdims=True), 3, axis=2)
    mixed: np.ndarray = cv2.addWeighted(exchanged.astype(np.float32), 1 - GREY, grey, GREY, 0)
    return np.rint(mixed).astype(np.uint8)


def draw_geometry(
    rng: np.random.Generator,
    size: tuple[int, int],
    crop: tuple[int, int],
    jitter: float,
    flip: bool,
    zoom_range: float = 1.0,
) -> Geometry:
    """Draw a transform: resize ``size`` by the factor ``jitter`` (286/256 in the paper), crop, and perhaps ``flip``.

    ``zoom_range``: the largest factor by which it is enlarged or shrunk besides, but never to less than the crop.
    """
    if zoom_range > 1:
        least = max(crop[0] / size[0], crop[1] / size[1])
        jitter = max(jitter * zoom_range ** rng.uniform(-1, 1), min(least, jitter))
    scaled = (round(size[0] * jitter), round(size[1] * jitter))
    x = int(rng.integers(0, max(1, scaled[0] - crop[0] + 1)))
    y = int(rng.integers(0, max(1, scaled[1] - crop[1] + 1)))
    return Geometry(scaled, x, y, crop, bool(flip and rng.random() < 0.5))


def crop_size(sizes: Sequence[tuple[int, int]], wanted: int | None, multiple: int) -> tuple[int, int]:
    """Return the (width, height) of the largest training crop that fits in pictures of all ``sizes``.

    Sides are at most ``wanted``, if given, and rounded down to multiples of ``multiple``, but never to 0.
    """
    width, height = (min(side) if wanted is None else min(wanted, *side) for side in zip(*sizes, strict=True))
    return max(multiple, width // multiple * multiple), max(multiple, height // multiple * multiple)
