"""The colours of classes in label maps: parse lists of colours, find the class of each pixel, resize label maps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vidtrans.video.images.picture import pack_colours

HEX_COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")  # Matches a colour such as "#804080" or "804080"
NUM_LEVELS = 256  # Number of levels of a colour channel
# Largest distance of a pixel from its class's colour, in levels of RGB; compression changes colours less
MAX_COLOUR_DISTANCE = 60
# Side in pixels of the smallest areas of unknown colours; smaller ones are borders that compression mixed
MIN_AREA_SIDE = 3
# Degrees between the hues of successive generated colours, so that the first dozens look different
GOLDEN_ANGLE = 137.508
# Steps (rows, columns) to four of the eight neighbours of a pixel; the opposite neighbours are at the negative steps
NEIGHBOUR_STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))


def colours(palette: str, name: str = "palette") -> np.ndarray:
    """Parse a palette such as "#804080 #f423e8" into colours, (N, 3) uint8; N may be 0.

    ``name``: the setting in errors. Raises ValueError for an invalid colour.
    """
    parts = parts_of(palette)
    found = [HEX_COLOUR.fullmatch(part) for part in parts]
    wrong = next((part for part, match in zip(parts, found, strict=True) if match is None), "")
    if wrong:
        raise ValueError(f"pairing.{name}: '{wrong[:20]}' is no colour; write '#rrggbb'")
    return np.array([list(bytes.fromhex(match[1])) for match in found if match], np.uint8).reshape(-1, 3)


def parts_of(text: str) -> list[str]:
    """Split a text that is separated by spaces or commas into its parts."""
    return text.replace(",", " ").split()


def nearest_colours(frame: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest colour in ``table`` for each pixel; return its index, (H, W) int16, and squared distance.

    If two colours are equally near, the first is chosen.
    """
    codes, inverse = np.unique(pack_colours(frame), return_inverse=True)
    pixels = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    largest_share, least_distance = np.zeros(len(codes), np.int16), np.full(len(codes), 3 * NUM_LEVELS**2, np.int32)
    for number, colour in enumerate(table.astype(np.int32)):
        distance = np.square(pixels - colour).sum(axis=1)
        largest_share[distance < least_distance] = number
        np.minimum(least_distance, distance, out=least_distance)
    shape = frame.shape[:2]
    return largest_share[inverse].reshape(shape), least_distance[inverse].reshape(shape)


def replace_mixed_pixels(labels: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Replace the labels, (H, W) int16, of pixels that mix two neighbours by the nearest unmixed label.

    A pixel is a mixture if it lies strictly between two opposite neighbours in every channel in which these differ.
    """
    box = np.ones((3, 3), np.uint8)
    rows, columns = np.nonzero(cv2.dilate(labels, box) != cv2.erode(labels, box))  # Pixels at borders of areas
    padded, found = np.pad(frame, ((1, 1), (1, 1), (0, 0)), mode="edge"), np.zeros(len(rows), bool)
    pixel_colours = frame[rows, columns]
    for dy, dx in NEIGHBOUR_STEPS:
        first_neighbour, second_neighbour = (padded[rows + 1 + sign * dy, columns + 1 + sign * dx] for sign in (1, -1))
        low, high = np.minimum(first_neighbour, second_neighbour), np.maximum(first_neighbour, second_neighbour)
        between = ((low < pixel_colours) & (pixel_colours < high)) | ((low == pixel_colours) & (pixel_colours == high))
        found |= between.all(axis=1) & (low != high).any(axis=1)
    mixed = np.zeros(labels.shape, bool)
    mixed[rows[found], columns[found]] = True
    if not mixed.any() or mixed.all():
        return labels
    return fill_from_nearest(labels, mixed)


def fill_from_nearest(labels: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Fill integer labels, (H, W), in ``holes``, (H, W) bool, from the nearest pixel outside of the holes.

    At least one pixel must be outside.
    """
    _, nearest = cv2.distanceTransformWithLabels(
        holes.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of = np.zeros(nearest.max() + 1, labels.dtype)
    label_of[nearest[~holes]] = labels[~holes]
    return label_of[nearest]


def distinct_colours(count: int) -> np.ndarray:
    """Return the first ``count`` colours of a fixed sequence of different-looking colours, (count, 3) uint8."""
    number = np.arange(count)
    hue, value = (number * GOLDEN_ANGLE) % 360, 0.6 + 0.4 * (number % 3) / 2
    hsv = np.stack([hue, np.full(count, 0.65), value], axis=1).astype(np.float32)
    return np.rint(cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0] * 255).astype(np.uint8)


@dataclass(frozen=True)
class ClassColours:
    """The colours of the classes in label maps; ``text`` lists the colours in the order of the class numbers.

    ``ignore``: colours of pixels without a class.
    """

    text: str
    ignore: str = ""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def table(self) -> np.ndarray:
        """Return the colours of the classes, (N, 3) uint8."""
        return colours(self.text)

    @property
    def names(self) -> list[str]:
        """Return the colours of the classes as "#rrggbb"."""
        return [f"#{code:06x}" for code in pack_colours(self.table).tolist()]

    @cached_property
    def ignored(self) -> np.ndarray:
        """Return the colours of pixels without a class, (N, 3) uint8."""
        return colours(self.ignore, "ignore")

    @cached_property
    def none(self) -> np.ndarray:
        """Return the colour for painting pixels without a class, (3,) uint8: the first in ``ignore``, or a free one."""
        if len(self.ignored):
            return self.ignored[0]
        used_codes = set(pack_colours(self.table).tolist())
        unused_code = next(code for code in range(len(used_codes) + 1) if code not in used_codes)
        return np.array([unused_code >> 16, unused_code >> 8 & 255, unused_code & 255], np.uint8)

    def labels(self, picture: np.ndarray, *, clean: bool = False) -> np.ndarray:
        """Return the class of each pixel of a picture (H, W, 3) uint8, (H, W) int16; −1 for no class.

        A pixel has the class with the nearest colour, unless the distance is too large. ``clean``: pixels in which
        compression or scaling mixed two classes get a neighbour's class.
        """
        labels, distance = nearest_colours(picture, np.concatenate([self.table, self.ignored]))
        is_none = pack_colours(picture) == int(pack_colours(self.none))  # Exact, because a class's colour may be near
        labels[is_none], distance[is_none] = -1, 0
        far = (distance > MAX_COLOUR_DISTANCE**2).astype(np.uint8)
        if clean and far.any():
            far = cv2.morphologyEx(far, cv2.MORPH_OPEN, np.ones((MIN_AREA_SIDE, MIN_AREA_SIDE), np.uint8))
        labels[(labels >= len(self.table)) | (far > 0)] = -1
        return replace_mixed_pixels(labels, picture) if clean and distance.any() else labels

    def count_unknown(self, picture: np.ndarray) -> int:
        """Count the pixels of a picture (H, W, 3) uint8 whose colour is neither a class's nor ignored."""
        unlike = nearest_colours(picture, np.concatenate([self.table, self.ignored]))[1] > MAX_COLOUR_DISTANCE**2
        return int(
            cv2.morphologyEx(
                unlike.astype(np.uint8), cv2.MORPH_OPEN, np.ones((MIN_AREA_SIDE, MIN_AREA_SIDE), np.uint8)
            ).sum()
        )

    def shares(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """Return each class's share of the pixels with a class, (N,) float32; equal shares if there are no pixels."""
        counts = np.zeros(len(self))
        for labels in map(self.labels, pictures):
            counts += np.bincount(labels[labels >= 0], minlength=len(self))
        return (counts / counts.sum() if counts.any() else np.full(len(self), 1 / len(self))).astype(np.float32)

    def picture(self, labels: np.ndarray) -> np.ndarray:
        """Paint a label map, (H, W) integers with −1 for no class, in the classes' colours: (H, W, 3) uint8."""
        return np.concatenate([self.table, self.none[None]])[labels]

    def resized(self, picture: np.ndarray, width: int, height: int) -> np.ndarray:
        """Resize a coloured label map, (H, W, 3) uint8, without mixing classes; see ``labels_at``."""
        return self.picture(self.labels_at(picture, width, height))

    def labels_at(self, picture: np.ndarray, width: int, height: int) -> np.ndarray:
        """Return the class of each pixel of a label map at another size, (height, width) int16; −1 for no class.

        ``picture``: (H, W, 3) uint8. A pixel gets the class with the largest share of its area; in an enlarged map,
        borders between classes are rounded.
        """
        labels = self.labels(picture, clean=True)
        if labels.shape == (height, width):
            return labels
        method = cv2.INTER_AREA if width < labels.shape[1] else cv2.INTER_LINEAR
        largest_share, winning_labels = (
            np.full((height, width), -1.0, np.float32),
            np.full((height, width), -1, np.int16),
        )
        for label in np.unique(labels).tolist():
            share = cv2.resize((labels == label).astype(np.float32), (width, height), interpolation=method)
            winning_labels[share > largest_share] = label
            np.maximum(largest_share, share, out=largest_share)
        return winning_labels
