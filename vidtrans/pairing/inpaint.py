"""The pairing "picture with holes → complete picture": masked areas are removed and filled in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing

if TYPE_CHECKING:
    from torch import Tensor

HOLE_GREY = 127  # Grey level of holes, 0 to 255: the middle, which is about 0 in the network's range of −1 to 1
MASK_THRESHOLD = 16  # Mask level, 0 to 255, above which a pixel is in a hole
# Number of blobs and of strokes in the synthetic holes of a frame, and number of points that join a stroke's segments
NUM_BLOBS, NUM_STROKES, NUM_JOINTS = 3, 3, 4
GRID_SIDE = 64  # Short side, in points, of the grid on which holes are computed; smooth holes scale to any size


@dataclass(frozen=True)
class InpaintSettings:
    """Settings of ``Inpaint``: the size of the holes in training, and the blending of the filling into the frame."""

    max_hole_fraction: float = option(
        0.25, "largest share of the picture that holes cover in training", bounds=(0.01, 0.6)
    )
    mask_dilation: int = option(
        6, "number of pixels by which a mask grows, to cover the edge of the removed object", bounds=(0, 64)
    )
    mask_feather: float = option(
        4.0, "width of the blend between frame and filling, in pixels inside a hole", bounds=(0.0, 64.0)
    )

    def __post_init__(self) -> None:
        if self.mask_feather > self.mask_dilation:
            raise ValueError(
                f"pairing.mask_feather = {self.mask_feather} is more than pairing.mask_dilation = "
                f"{self.mask_dilation}: what is removed would shine through at the rim"
            )


class Inpaint(Pairing):
    """A pairing of a frame with grey holes and their mask with the complete frame; renders change only the holes."""

    name = "inpaint"
    uses_mask = True
    finishes = True
    has_tensor_form = True
    tunable = ("mask_dilation",)
    operators_refusal = "the input includes a mask"
    Settings = InpaintSettings
    settings: InpaintSettings
    in_channels = 4

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Cut the synthetic holes for frame 0 into a frame, (H, W, 3) uint8; append the hole mask: (H, W, 4) uint8."""
        return self.render_input(frames, 0, None)

    def training_input(self, frames: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Cut random holes into a frame, (H, W, 3) uint8; append the hole mask: (H, W, 4) uint8."""
        seed, number = (int(n) for n in rng.integers(0, 1 << 31, 2))
        share = self.settings.max_hole_fraction * rng.uniform(0.2, 1)
        height, width = frames[0].shape[:2]
        return _cut_hole(frames[0], draw_holes(height, width, number, seed, share))

    def render_input(self, frames: Sequence[np.ndarray], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Cut holes into a frame, (H, W, 3) uint8, where ``mask``, (H, W) uint8, is white: (H, W, 4) uint8.

        The fourth channel is the hole mask. Without a mask, moving synthetic holes demonstrate the model.
        """
        height, width = frames[0].shape[:2]
        return _cut_hole(frames[0], self.mask_plane((height, width), number, mask)[..., 0])

    def mask_plane(self, size: tuple[int, int], number: int, mask: np.ndarray | None) -> np.ndarray:
        """Return the hole mask of frame ``number``, (H, W, 1) uint8: from ``mask``, or moving holes without a mask."""
        if mask is None:
            return draw_holes(*size, number, 0, self.settings.max_hole_fraction)[..., None]
        # A thin wire is grey in a mask that was scaled down, and its area has to be filled, too.
        hole = np.where(mask > MASK_THRESHOLD, 255, 0).astype(np.uint8)
        if self.settings.mask_dilation > 0:
            side = 2 * self.settings.mask_dilation + 1
            hole = cv2.dilate(hole, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
        return hole[..., None]

    def tensor_input(self, frames: Sequence[Tensor]) -> Tensor:
        """Make frames, (N, H, W, 3), grey in their holes, and append the hole mask: (N, H, W, 4) uint8.

        ``frames``: the frames, and the masks from ``mask_plane``, (N, H, W, 1).
        """
        import torch  # Imported here, because commands that only name pairings do not need it

        frame, hole = frames
        return torch.cat([frame.masked_fill(hole > 0, HOLE_GREY), hole], dim=3)

    def finish(self, frame: np.ndarray, output: np.ndarray, net_input: np.ndarray) -> np.ndarray:
        """Fill the frame with ``output``, both (H, W, 3) uint8, where ``net_input``, (H, W, 4) uint8, has holes."""
        hole = (net_input[..., 3] > 127).astype(np.uint8)
        finished = frame.copy()
        if not hole.any():
            return finished
        left, top, width, height = cv2.boundingRect(hole)  # Holes are usually much smaller than frames
        box = np.s_[max(0, top - 1) : top + height + 1, max(0, left - 1) : left + width + 1]
        weight = self._weight(hole[box])[..., None]
        finished[box] = np.rint(frame[box] + weight * (output[box].astype(np.float32) - frame[box]))
        return finished

    def _weight(self, hole: np.ndarray) -> np.ndarray:
        """Return the weight of the filling, (H, W) float32, 0 to 1, in a hole, (H, W) uint8 with 1 inside."""
        if self.settings.mask_feather == 0 or hole.all():
            return hole.astype(np.float32)
        inside = cv2.distanceTransform(hole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        ramp = np.minimum(inside / np.float32(self.settings.mask_feather), 1)
        return np.asarray(ramp * ramp * (3 - 2 * ramp))


def _cut_hole(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Make a frame, (H, W, 3), grey where the hole, (H, W), is 255, and append the hole: (H, W, 4) uint8."""
    return np.dstack([np.where(hole[..., None] > 0, np.uint8(HOLE_GREY), frame), hole])


def draw_holes(height: int, width: int, number: int, seed: int, share: float) -> np.ndarray:
    """Draw the holes of frame ``number``, (height, width) uint8 with 255 inside, which drift from frame to frame.

    The holes are blobs and brush strokes (free-form masks: Yu et al., "Free-form image inpainting with gated
    convolution", 2019). The same arguments give the same holes. ``share``: the covered share of the picture. Shapes
    are level sets of the distance from their skeletons, at the level that covers ``share``; the level and the shapes
    change smoothly.
    """
    scale = GRID_SIDE / min(height, width)
    grid_height, wide = (max(2, round(n * scale)) for n in (height, width))
    y, x = np.mgrid[0.0:grid_height, 0.0:wide] / GRID_SIDE
    extent = np.array([wide, grid_height]) / GRID_SIDE
    rng = np.random.Generator(np.random.Philox(key=seed))
    distance = np.full((grid_height, wide), np.inf)
    for _ in range(NUM_BLOBS):
        centre, angle, sides = (
            _drift_position(rng, number) * extent,
            np.pi * number * _draw_speed(rng),
            rng.uniform(0.5, 1.5, 2),
        )
        dx, dy = x - centre[0], y - centre[1]
        along, across = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
        distance = np.minimum(distance, np.hypot(along / sides[0], across / sides[1]))
    for _ in range(NUM_STROKES):
        place, thickness = _drift_position(rng, number) * extent, rng.uniform(0.15, 0.6)
        joints = [place + 0.6 * (_drift_position(rng, number) - 0.5) for _ in range(NUM_JOINTS)]
        for a, b in pairwise(joints):
            distance = np.minimum(distance, _distance_to_segment(x, y, a, b) / thickness)
    distance = cv2.resize(distance.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    at = min(int(share * distance.size), distance.size - 1)
    level = np.partition(distance, at, axis=None)[at]
    return np.where(distance < level, 255, 0).astype(np.uint8)


def _draw_speed(rng: np.random.Generator) -> float:
    """Draw a speed in turns per frame: one turn in 150 to 400 frames, in either direction."""
    return float(rng.choice((-1, 1)) / rng.uniform(150, 400))


def _drift_position(rng: np.random.Generator, number: int) -> np.ndarray:
    """Return the position, (2,) float64, x and y from 0 to 1, at frame ``number`` of a slow random path."""
    wide, small = (np.array([_draw_speed(rng), _draw_speed(rng)]) for _ in range(2))
    phases = rng.uniform(0, 2 * np.pi, (2, 2))
    turns = 2 * np.pi * number
    return np.asarray(0.5 + 0.35 * np.sin(turns * wide + phases[0]) + 0.15 * np.sin(turns * small + phases[1]))


def _distance_to_segment(x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return distances, (H, W) float64, of points (``x``, ``y``) from the segment from ``a`` to ``b``, (2,) each."""
    span = b - a
    along = ((x - a[0]) * span[0] + (y - a[1]) * span[1]) / max(float(span @ span), 1e-9)
    along = np.clip(along, 0, 1)
    return np.asarray(np.hypot(x - a[0] - along * span[0], y - a[1] - along * span[1]))
