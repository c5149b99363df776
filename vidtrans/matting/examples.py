"""Training examples from painted frames: the thing and what is behind it moved, turned and bent, and a spoilt guide.

After Khoreva et al., "Lucid Data Dreaming for Video Object Segmentation", IJCV 2019: half of the examples show the
thing, cut out, over the filled background, each moved in its own way. The guide, which the decoder is to correct, is
the true matte damaged as the motion would: moved, bent, grown, with holes and false parts, or absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.matting.windows import box_of, scale_around

# Deviations of the moves of a thing: degrees, logarithm of the scale, shear; of the background; bend, of its side.
MOVES, MOVES_BEHIND, BEND = (10.0, 0.12, 0.08), (4.0, 0.08, 0.03), 0.02
SHIFT_BEHIND = 0.15  # of the side of the thing
CUT_OUT, MIRRORED, UNGUIDED, BLURRED = 0.5, 0.3, 0.15, 0.3  # shares of the examples
GAMMA, LIGHT, TINT, NOISE = 0.15, 0.1, 0.05, 0.01  # deviations of the changes of colour
ZOOM, AROUND, AROUND_PX = 0.15, 0.7, 24  # of a window: deviation of its scale, and how far it is off the thing
EDGE = 9  # pixels round a thing that count as its own when the background is filled
# A guide's damage, of the side of the thing: shift, bend and growth; its turn, scale and shear; spots on it or by it.
GUIDE_SHIFT, GUIDE_BEND, GUIDE_GROWTH, GUIDE_MOVES = 0.04, 0.03, 0.05, (4.0, 0.05, 0.03)
SPOTS, SPOT, FALSE_SPOTS = 4, (0.25, 0.12), 0.4
LONGEST_BLUR = 9  # pixels


class MatteExample(NamedTuple):
    """A window (H, W, 3) float32 from 0 to 1, its matte and its guide, (H, W) float32; ``guide`` None: none."""

    picture: np.ndarray
    matte: np.ndarray
    guide: np.ndarray | None


@dataclass(frozen=True)
class PaintedThing:
    """A painted frame: its picture (H, W, 3) uint8, and the matte of a thing, (H, W) float32 from 0 to 1."""

    picture: np.ndarray
    matte: np.ndarray


class ExampleMaker:
    """Draws examples of one painted frame, square windows of ``side`` pixels. Something must be inside its matte."""

    def __init__(self, painted: PaintedThing, side: int) -> None:
        self.painted, self.side = painted, side
        hole = cv2.dilate((painted.matte > 0.02).astype(np.uint8), np.ones((EDGE, EDGE), np.uint8)) > 0
        self._behind = filled(painted.picture, hole)
        box = box_of(painted.matte)
        assert box is not None
        self._box, self._length = box, float(np.sqrt(box.sides[0] * box.sides[1]))
        self._grid = np.mgrid[0:side, 0:side].astype(np.float32)[::-1] - np.float32((side - 1) / 2)

    def draw(self, rng: np.random.Generator) -> MatteExample:
        """Return a new example."""
        scale = scale_around(self._box, self.side) * float(np.exp(ZOOM * rng.standard_normal()))
        x, y = self._places(rng, scale)
        inverse, bend = np.linalg.inv(_move(rng, *MOVES)), _bend(rng, self.side, BEND * self._length)
        centre = self._box.centre
        at = [inverse[k, 0] * x + inverse[k, 1] * y + bend[..., k] + np.float32(centre[k]) for k in (0, 1)]
        matte = _sample(self.painted.matte, at, cv2.BORDER_CONSTANT)
        picture = _sample(self.painted.picture, at).astype(np.float32) / 255
        if rng.random() < CUT_OUT:
            inverse, shift = np.linalg.inv(_move(rng, *MOVES_BEHIND)), SHIFT_BEHIND * self._length
            off = [shift * rng.standard_normal() + c for c in centre]
            at = [inverse[k, 0] * x + inverse[k, 1] * y + np.float32(off[k]) for k in (0, 1)]
            behind = _sample(self._behind, at).astype(np.float32) / 255
            share = cv2.GaussianBlur(matte, (0, 0), rng.uniform(0.4, 1.2))[..., None]
            light = np.float32(np.exp(LIGHT * rng.standard_normal())) if rng.random() < 0.5 else 1
            picture = picture * light * share + behind * (1 - share)
        guide = _damaged(rng, matte, self._length * scale)
        return MatteExample(_coloured(rng, picture), matte, None if rng.random() < UNGUIDED else guide)

    def _places(self, rng: np.random.Generator, scale: float) -> np.ndarray:
        """Return x and y of each pixel of a window, relative to the middle of the thing, (2, side, side) float32."""
        sides = np.array(self._box.sides, np.float64)
        reach = sides if max(sides) * scale > self.side else AROUND * sides + AROUND_PX
        off = rng.uniform(-0.5, 0.5, 2) * reach
        places = self._grid / np.float32(scale) + off.astype(np.float32)[:, None, None]
        if rng.random() < MIRRORED:
            places[0] *= -1
        return np.asarray(places, np.float32)


def filled(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8 whose hole, (H, W) bool, is filled smoothly from around, by pull and push."""
    weight = (~hole).astype(np.float32)
    levels = [(picture.astype(np.float32) * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        levels.append((cv2.pyrDown(levels[-1][0]), cv2.pyrDown(levels[-1][1])))
    known, weight = levels[-1]
    made = known / np.maximum(weight, 1e-6)[..., None]
    for place, (known, weight) in reversed(list(enumerate(levels[:-1]))):
        made = cv2.resize(made, weight.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = (np.clip(4 * weight, 0, 1) if place else weight)[..., None]
        made = share * known / np.maximum(weight, 1e-3)[..., None] + (1 - share) * made
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)


def _move(rng: np.random.Generator, degrees: float, scale: float, shear: float) -> np.ndarray:
    """Draw a turn, a scale, a stretch and a shear, (2, 2)."""
    angle, sheared, zoom = np.deg2rad(degrees) * rng.standard_normal(), shear * rng.standard_normal(), scale
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.diag(np.exp(zoom * rng.standard_normal() + zoom / 2 * rng.standard_normal(2)))
    moved: np.ndarray = turn @ np.array([[1.0, sheared], [0.0, 1.0]]) @ stretch
    return moved


def _bend(rng: np.random.Generator, side: int, pixels: float) -> np.ndarray:
    """Draw a smooth field of shifts, (side, side, 2) float32, with a deviation of about ``pixels``."""
    coarse = rng.standard_normal((5, 5, 2)).astype(np.float32)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC) * np.float32(pixels)


def _sample(picture: np.ndarray, at: list[np.ndarray], border: int = cv2.BORDER_REFLECT) -> np.ndarray:
    x, y = (places.astype(np.float32) for places in at)
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=border)


def _coloured(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Change the light of a picture, often blur it as motion does, and add noise."""
    power = np.exp(GAMMA * rng.standard_normal())
    gain = np.exp(TINT * rng.standard_normal(3) + LIGHT * rng.standard_normal())
    changed = (np.clip(picture, 0, 1) ** np.float32(power)) * gain.astype(np.float32)
    if rng.random() < BLURRED:
        length, angle, middle = rng.integers(2, LONGEST_BLUR), rng.uniform(0, np.pi), LONGEST_BLUR // 2
        along = np.array([np.cos(angle), np.sin(angle)]) * length / 2
        kernel = np.zeros((LONGEST_BLUR, LONGEST_BLUR), np.float32)
        ends = [(round(middle + sign * along[0]), round(middle + sign * along[1])) for sign in (-1, 1)]
        cv2.line(kernel, ends[0], ends[1], (1.0,))
        changed = cv2.filter2D(changed, -1, kernel / kernel.sum())
    noise = rng.standard_normal(changed.shape, dtype=np.float32)
    return np.clip(changed + np.float32(NOISE) * noise, 0, 1).astype(np.float32)


def _damaged(rng: np.random.Generator, matte: np.ndarray, length: float) -> np.ndarray:
    """Return a guide: a matte, (side, side), of a thing of ``length`` pixels, damaged as the motion would."""
    side = len(matte)
    bend = _bend(rng, side, GUIDE_BEND * length * rng.random())
    move, shift = _move(rng, *GUIDE_MOVES), GUIDE_SHIFT * length * rng.standard_normal(2)
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) - np.float32(side / 2)
    at = [move[k, 0] * x + move[k, 1] * y + bend[..., k] + np.float32(side / 2 + shift[k]) for k in (0, 1)]
    guide = _sample((matte > 0.5).astype(np.float32), at, cv2.BORDER_CONSTANT)
    if rng.random() < 0.5:
        width = 1 + 2 * int(rng.integers(1, max(2, int(GUIDE_GROWTH * length))))
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
        guide = cv2.erode(guide, kernel) if rng.random() < 0.5 else cv2.dilate(guide, kernel)
    near = np.argwhere(cv2.dilate(guide, np.ones((15, 15), np.uint8)) > 0.5)
    for _ in range(rng.integers(0, SPOTS) if len(near) else 0):
        row, column = near[rng.integers(len(near))]
        axes = [int(1 + rng.random() * part * length) for part in SPOT]
        turn, value = rng.uniform(0, 180), float(rng.random() < FALSE_SPOTS)
        cv2.ellipse(guide, (int(column), int(row)), axes, turn, 0, 360, value, -1)
    return cv2.GaussianBlur(guide, (0, 0), 1 + 2 * rng.random())
