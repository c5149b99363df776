"""Augmentation of training pictures: jitter and flip as in the pix2pix paper, and a synthetic motion."""

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

MAX_SHIFT = 0.02  # Maximum shift of a synthetic motion per step, as a share of the picture's short side.
MAX_ROTATION_RAD = 0.02  # Maximum rotation of a synthetic motion per step, in radians.
MAX_ZOOM = 0.02  # Maximum relative change of size of a synthetic motion per step.
# Number of colour variants: 6 channel orders × 8 choices of inverted channels × (full colour, nearly grey).
NUM_COLOUR_VARIANTS = 96
GREY_SHARE = 0.75  # Weight of the channels' mean in a nearly grey variant.


@dataclass(frozen=True)
class SyntheticMotion:
    """A synthetic motion of a picture: an affine map, applied ``steps`` times.

    ``matrix``: the two rows, row by row, of the map from a frame's pixels to the pixels of the preceding frame.
    """

    matrix: tuple[float, ...]
    steps: int

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Move a picture, (H, W, C) uint8, by ``steps`` steps; areas beyond its edges are filled by mirroring."""
        height, width = picture.shape[:2]
        moved = np.linalg.matrix_power(np.vstack([self._rows, (0, 0, 1)]), self.steps)[:2]
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(picture, moved, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)

    def backward_flow(self, height: int, width: int) -> BackwardFlow:
        """Return the backward flow of one step for pictures of this size; the flow is the same for all steps."""
        places = grid(height, width)
        flow = places @ self._rows[:, :2].T.astype(np.float32) + self._rows[:, 2].astype(np.float32) - places
        return BackwardFlow(flow, np.ones((height, width), np.float32)).within()

    @property
    def _rows(self) -> np.ndarray:
        """Return the affine map, (2, 3) float64."""
        return np.array(self.matrix).reshape(2, 3)


def draw_synthetic_motion(rng: np.random.Generator, size: tuple[int, int]) -> SyntheticMotion:
    """Draw one step of a slow shift, rotation and zoom about the centre, for pictures of ``size`` (width, height)."""
    max_shift_px = MAX_SHIFT * min(size)
    x, y, angle, zoom = rng.uniform(-1, 1, 4) * (max_shift_px, max_shift_px, MAX_ROTATION_RAD, MAX_ZOOM)
    cosine, sine = (1 + zoom) * np.cos(angle), (1 + zoom) * np.sin(angle)
    linear = np.array([[cosine, -sine], [sine, cosine]])
    centre = (np.array(size) - 1) / 2
    rows = np.column_stack([linear, centre - linear @ centre + (x, y)])
    return SyntheticMotion(tuple(map(float, rows.ravel())), 1)


@dataclass(frozen=True)
class Geometry:
    """A randomly drawn transform: resize to ``scaled``, crop a box of size ``crop`` at (x, y), mirror if ``mirrored``.

    Sizes are (width, height) in pixels. ``motion`` is applied last. ``colours``: the number of a colour variant, see
    ``apply_colour_variant``. ``windows``: the camera windows to render instead of the crop; None: the crop.
    """

    scaled: tuple[int, int]
    x: int
    y: int
    crop: tuple[int, int]
    mirrored: bool
    motion: SyntheticMotion | None = None
    colours: int = 0
    windows: Windows | None = None

    def apply(self, picture: np.ndarray, num_back: int = 0) -> np.ndarray:
        """Transform the picture ``num_back`` frames before the target, (H, W, 3) uint8, to the crop's size.

        ``num_back`` is 0 for the target. Pictures that are smaller than the crop are padded by mirroring.
        """
        if self.windows:
            picture = self.windows.render_past(picture, num_back) if num_back else self.windows.render_target(picture)
        else:
            picture = self._cropped(self._padded(resize(picture, *self.scaled)))
        picture = self.motion.apply(picture) if self.motion else picture
        return apply_colour_variant(picture, self.colours) if self.colours else picture

    def view(self, frame: tuple[int, int]) -> tuple[float, ...]:
        """Return the area of a stored frame that the transform shows, as ``ClipConditions.view``.

        ``frame``: the stored frame's (width, height).
        """
        if self.windows:
            view = normalised(self.windows.view(), self.crop, frame)
        else:
            offset = np.array([self.x + self.crop[0] / 2, self.y + self.crop[1] / 2]) - np.array(self.scaled) / 2
            view = normalised(np.diag([-1.0 if self.mirrored else 1.0, 1.0, 1.0]), self.crop, self.scaled)
            view[:2, 2] = 2 * offset / self.scaled
        return tuple(map(float, view[:2].ravel()))

    def apply_to_labels(self, picture: np.ndarray) -> np.ndarray:
        """Transform a label map in class colours, (H, W, 3) uint8, as ``apply`` does, but without mixing colours."""
        scaled = cv2.resize(picture, self.scaled, interpolation=cv2.INTER_NEAREST_EXACT)
        return self._cropped(self._padded(scaled))

    def apply_to_flow(self, backward: BackwardFlow) -> BackwardFlow:
        """Transform a whole picture's backward flow as ``apply`` transforms the picture, but without ``motion``."""
        flow, confidence = resize_flow(backward.flow, *self.scaled), cv2.resize(backward.confidence, self.scaled)
        height, width = flow.shape[:2]
        flow = self._padded(flow)
        flow[height:, :, 1] *= -1  # Motion is mirrored with the padding.
        flow[:, width:, 0] *= -1
        flow, confidence = self._cropped(flow), self._cropped(self._padded(confidence))
        if self.mirrored:
            flow = flow * np.array([-1, 1], np.float32)
        return BackwardFlow(flow, confidence).within()

    def _padded(self, picture: np.ndarray) -> np.ndarray:
        """Pad a picture by mirroring to at least the crop's size."""
        below, right = max(0, self.crop[1] - picture.shape[0]), max(0, self.crop[0] - picture.shape[1])
        if not below and not right:
            return picture
        return cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT)

    def _cropped(self, picture: np.ndarray) -> np.ndarray:
        """Crop a picture to the box, and mirror it if ``mirrored``."""
        picture = picture[self.y : self.y + self.crop[1], self.x : self.x + self.crop[0]]
        return np.ascontiguousarray(picture[:, ::-1] if self.mirrored else picture)


def apply_colour_variant(picture: np.ndarray, number: int) -> np.ndarray:
    """Return a picture, (H, W, 3) uint8, in colour variant ``number`` of ``NUM_COLOUR_VARIANTS``; 0 is unchanged."""
    is_grey, rest = divmod(number, NUM_COLOUR_VARIANTS // 2)
    order, inverted_channels = divmod(rest, 8)
    permuted = picture[..., list(permutations(range(3)))[order]]
    inversion = np.array([255 * (inverted_channels >> k & 1) for k in range(3)], np.uint8)
    variant = np.ascontiguousarray(permuted ^ inversion)
    if not is_grey:
        return variant
    grey = np.repeat(variant.mean(2, dtype=np.float32, keepdims=True), 3, axis=2)
    mixed: np.ndarray = cv2.addWeighted(variant.astype(np.float32), 1 - GREY_SHARE, grey, GREY_SHARE, 0)
    return np.rint(mixed).astype(np.uint8)


def draw_geometry(
    rng: np.random.Generator,
    size: tuple[int, int],
    crop: tuple[int, int],
    jitter: float,
    flip: bool,
    zoom_range: float = 1.0,
) -> Geometry:
    """Draw a transform of pictures of ``size``: enlarge by ``jitter``, crop at random, mirror at random if ``flip``.

    Sizes are (width, height) in pixels. ``jitter``: a factor, 286/256 in the pix2pix paper. ``zoom_range``: the largest
    factor of an additional random enlargement or reduction; a picture never becomes smaller than the crop.
    """
    if zoom_range > 1:
        least = max(crop[0] / size[0], crop[1] / size[1])
        jitter = max(jitter * zoom_range ** rng.uniform(-1, 1), min(least, jitter))
    scaled = (round(size[0] * jitter), round(size[1] * jitter))
    x = int(rng.integers(0, max(1, scaled[0] - crop[0] + 1)))
    y = int(rng.integers(0, max(1, scaled[1] - crop[1] + 1)))
    return Geometry(scaled, x, y, crop, bool(flip and rng.random() < 0.5))


def crop_size(sizes: Sequence[tuple[int, int]], max_side: int | None, multiple: int) -> tuple[int, int]:
    """Return the (width, height) of the largest training crop that fits in pictures of all ``sizes``.

    Sides are at most ``max_side``, if given, and rounded down to multiples of ``multiple``, but never to 0.
    """
    width, height = (min(side) if max_side is None else min(max_side, *side) for side in zip(*sizes, strict=True))
    return max(multiple, width // multiple * multiple), max(multiple, height // multiple * multiple)
