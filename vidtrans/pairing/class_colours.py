"""The colours of classes: parse lists of them, find the class of each pixel, and scale label maps by class."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vidtrans.video.images.picture import pack_colours

COLOUR = re.compile(r"#?([0-9a-fA-F]{6})")
LEVELS = 256
UNLIKE = 60  # levels, the distance from a colour beyond which it is another; compression changes it less
AREA = 3  # pixels: smaller areas of other colours are borders that compression mixed
GOLDEN_ANGLE = 137.508  # degrees between hues that follow each other: no two of the first dozens look alike
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # from a pixel to a neighbour; the one across is at minus that


def colours(palette: str, name: str = "palette") -> np.ndarray:
    """Parse a palette into colours, (N, 3) uint8, N may be 0. Raises ValueError for an invalid colour."""
    parts = parts_of(palette)
    found = [COLOUR.fullmatch(part) for part in parts]
    wrong = next((part for part, match in zip(parts, found, strict=True) if match is None), "")
    if wrong:
        raise ValueError(f"pairing.{name}: '{wrong[:20]}' is no colour; write '#rrggbb'")
    return np.array([list(bytes.fromhex(match[1])) for match in found if match], np.uint8).reshape(-1, 3)


def parts_of(text: str) -> list[str]:
    """Return the parts of a list that spaces or commas separate."""
    return text.replace(",", " ").split()


def nearest_colours(frame: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of each pixel's nearest colour, (H, W) int16, the first of equals, and its squared distance."""
    codes, inverse = np.unique(pack_colours(frame), return_inverse=True)
    pixels = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1)
    best, least = np.zeros(len(codes), np.int16), np.full(len(codes), 3 * LEVELS**2, np.int32)
    for number, colour in enumerate(table.astype(np.int32)):
        distance = np.square(pixels - colour).sum(axis=1)
        best[distance < least] = number
        np.minimum(least, distance, out=least)
    shape = frame.shape[:2]
    return best[inverse].reshape(shape), least[inverse].reshape(shape)


def without_mixtures(labels: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Replace labels (H, W) int16 of pixels that mix two neighbours by the nearest unmixed label.

    A pixel is a mixture if it lies strictly between two opposite neighbours in every channel in which these differ.
    """
    box = np.ones((3, 3), np.uint8)
    rows, columns = np.nonzero(cv2.dilate(labels, box) != cv2.erode(labels, box))  # all else is within an area
    padded, found = np.pad(frame, ((1, 1), (1, 1), (0, 0)), mode="edge"), np.zeros(len(rows), bool)
    here = frame[rows, columns]
    for dy, dx in STEPS:
        one, other = (padded[rows + 1 + sign * dy, columns + 1 + sign * dx] for sign in (1, -1))
        low, high = np.minimum(one, other), np.maximum(one, other)
        between = ((low < here) & (here < high)) | ((low == here) & (here == high))
        found |= between.all(axis=1) & (low != high).any(axis=1)
    mixed = np.zeros(labels.shape, bool)
    mixed[rows[found], columns[found]] = True
    if not mixed.any() or mixed.all():
        return labels
    return filled_from_nearest(labels, mixed)


def filled_from_nearest(labels: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Fill labels (H, W), integers, inside ``holes`` (H, W) bool, some but not all, from the nearest pixel outside."""
    _, nearest = cv2.distanceTransformWithLabels(
        holes.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    label_of = np.zeros(nearest.max() + 1, labels.dtype)
    label_of[nearest[~holes]] = labels[~holes]
    filled: np.ndarray = label_of[nearest]
    return filled


def distinct_colours(count: int) -> np.ndarray:
    """Return colours that look different, (count, 3) uint8, always the same ones."""
    number = np.arange(count)
    hue, value = (number * GOLDEN_ANGLE) % 360, 0.6 + 0.4 * (number % 3) / 2
    hsv = np.stack([hue, np.full(count, 0.65), value], axis=1).astype(np.float32)
    return np.rint(cv2.cvtColor(hsv[None], cv2.COLOR_HSV2RGB)[0] * 255).astype(np.uint8)


@dataclass(frozen=True)
class ClassColours:
    """The classes of label maps by their colours: ``text`` in order, and those of ``ignore``, which are of no class."""

    text: str
    ignore: str = ""

    def __len__(self) -> int:
        return len(self.table)

    @cached_property
    def table(self) -> np.ndarray:
        """The colours of the classes, (N, 3) uint8."""
        return colours(self.text)

    @property
    def names(self) -> list[str]:
        """The colours of the classes in order, as '#rrggbb'."""
        return [f"#{code:06x}" for code in pack_colours(self.table).tolist()]

    @cached_property
    def ignored(self) -> np.ndarray:
        """The colours that are of no class, (N, 3) uint8."""
        return colours(self.ignore, "ignore")

    @cached_property
    def none(self) -> np.ndarray:
        """The colour of pixels without a class, (3,) uint8: the first of ``ignore``, or one that no class has."""
        if len(self.ignored):
            first: np.ndarray = self.ignored[0]
            return first
        taken = set(pack_colours(self.table).tolist())
        free = next(code for code in range(len(taken) + 1) if code not in taken)
        return np.array([free >> 16, free >> 8 & 255, free & 255], np.uint8)

    def labels(self, picture: np.ndarray, *, clean: bool = False) -> np.ndarray:
        """Return the class of each pixel of (H, W, 3) uint8, (H, W) int16; −1 for none.

        A pixel is of the class with the nearest colour, unless that is unlike it. ``clean``: pixels that compression or
        scaling mixed of two classes get a neighbour's.
        """
        labels, distance = nearest_colours(picture, np.concatenate([self.table, self.ignored]))
        is_none = pack_colours(picture) == int(pack_colours(self.none))  # exactly: it may be next to a class's
        labels[is_none], distance[is_none] = -1, 0
        far = (distance > UNLIKE**2).astype(np.uint8)
        if clean and far.any():
            far = cv2.morphologyEx(far, cv2.MORPH_OPEN, np.ones((AREA, AREA), np.uint8))
        labels[(labels >= len(self.table)) | (far > 0)] = -1
        return without_mixtures(labels, picture) if clean and distance.any() else labels

    def count_unknown(self, picture: np.ndarray) -> int:
        """Return how many pixels of (H, W, 3) uint8 have a colour that is neither a class's nor ignored."""
        unlike = nearest_colours(picture, np.concatenate([self.table, self.ignored]))[1] > UNLIKE**2
        return int(cv2.morphologyEx(unlike.astype(np.uint8), cv2.MORPH_OPEN, np.ones((AREA, AREA), np.uint8)).sum())

    def shares(self, pictures: Iterable[np.ndarray]) -> np.ndarray:
        """Return the share of the pixels with a class that each has, (N,) float32; equal ones if there are none."""
        counts = np.zeros(len(self))
        for labels in map(self.labels, pictures):
            counts += np.bincount(labels[labels >= 0], minlength=len(self))
        return (counts / counts.sum() if counts.any() else np.full(len(self), 1 / len(self))).astype(np.float32)

    def picture(self, labels: np.ndarray) -> np.ndarray:
        """Return a label map, (H, W) integers with −1 for none, in the classes' colours: (H, W, 3) uint8."""
        painted: np.ndarray = np.concatenate([self.table, self.none[None]])[labels]
        return painted

    def resized(self, picture: np.ndarray, width: int, height: int) -> np.ndarray:
        """Return a label map in colours, (H, W, 3) uint8, at another size: ``labels_at`` in the classes' colours."""
        return self.picture(self.labels_at(picture, width, height))

    def labels_at(self, picture: np.ndarray, width: int, height: int) -> np.ndarray:
        """Return the class of each pixel of (H, W, 3) uint8 at another size, (height, width) int16; −1 for none.

        A pixel gets the class that has most of its area, never a mixture; where the map is enlarged, borders are
        rounded off.
        """
        labels = self.labels(picture, clean=True)
        if labels.shape == (height, width):
            return labels
        method = cv2.INTER_AREA if width < labels.shape[1] else cv2.INTER_LINEAR
        best, chosen = np.full((height, width), -1.0, np.float32), np.full((height, width), -1, np.int16)
        for label in np.unique(labels).tolist():
            share = cv2.resize((labels == label).astype(np.float32), (width, height), interpolation=method)
            chosen[share > best] = label
            np.maximum(best, share, out=best)
        return chosen
