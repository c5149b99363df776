"""The pairing "flat regions → frame": the input is a picture of few colours with clean outlines.

The input is made by edge-preserving smoothing, a fixed palette (as in Winnemöller, Olsen and Gooch, "Real-time video
abstraction", 2006, for lightness), votes among neighbours, and the removal of islands. The colours do not depend on the
picture, so that an area has the same colour in all frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.class_colours import fill_from_nearest
from vidtrans.video.images.picture_analysis import connected_areas

# Colours of the palette at each lightness, besides grey, as (chroma, hue in degrees) in CIELAB. The hues are those of
# natural pictures: from red over skin and wood to foliage, and the blue of the sky.
TINTS = (
    *((26, hue) for hue in (0, 45, 110, 160, 212, 264, 315)),
    *((58, hue) for hue in (8, 38, 68, 98, 132, 165, 225, 275, 320)),
    *((90, hue) for hue in (38, 98, 138, 305)),
)
BITS_PER_CHANNEL = 6  # Number of upper bits of R, G and B that index the tables of a palette
# Distance, in CIELAB units, from a colour to the nearest colour with another label, at which the vote has full weight
FULL_VOTE_DISTANCE = 6.0
MIN_CONFIDENCE = 0.05  # Least weight of a vote, 0 to 1: of a colour half-way between two labels of the palette
MAX_SMOOTHED_CONTRAST = 0.2  # Contrast, 0 to 1, above which smoothing preserves edges
RIM_CONTRAST = 12  # Difference in grey levels between neighbours at the anti-aliased rim of an area in a painting
BORDER = cv2.BORDER_REFLECT_101  # Border mode of all filters: mirrored


@dataclass(frozen=True)
class RegionsSettings:
    """Settings of ``Regions``: the number of colours, and the size and smoothness of the areas."""

    levels: int = option(5, "number of lightness levels; more levels give more and smaller areas", bounds=(2, 12))
    smoothing: float = option(10.0, "σ in pixels of the smoothing of areas", bounds=(1.0, 200.0))
    contour_sigma: float = option(1.6, "σ in pixels of the smoothing of outlines", bounds=(0.3, 20.0))
    min_area: float = option(
        0.0005,
        "smallest area, as a share of the picture; smaller areas become part of their neighbours",
        bounds=(0.0, None),
    )


@dataclass(frozen=True)
class Palette:
    """A fixed palette of ``Regions``: tables from a colour, given by the upper bits of R, G and B, to its label.

    ``labels``, (2^18,) uint8: the label of each colour. ``confidence``, (2^18,) uint8: 255 at a distance of
    ``FULL_VOTE_DISTANCE`` or more from the border to another label, less for nearer colours. ``colours``, (N, 3) uint8:
    the RGB colour of each label.
    """

    labels: np.ndarray
    confidence: np.ndarray
    colours: np.ndarray


class Regions(Pairing):
    """A pairing of a frame reduced to flat colours of a fixed palette with the frame."""

    name = "regions"
    drawing_kind = "flats"
    tunable = ("smoothing", "levels", "contour_sigma", "min_area")
    operators_refusal = "vidtrans finds areas one after the other, pixel by pixel"
    Settings = RegionsSettings
    settings: RegionsSettings

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Reduce a frame, (H, W, 3) uint8, to areas of flat colours."""
        table, rounding = palette(self.settings.levels), self.settings.contour_sigma
        colours = _indices(_smooth(frames[0], self.settings.smoothing))
        labels = _vote(table.labels[colours], table.confidence[colours], rounding)
        smallest = self.settings.min_area * labels.size
        for share in (1 / 16, 1 / 4, 1):  # Smallest islands first, so that speckles can merge into areas
            labels = _remove_islands(labels, share * smallest)
        return table.colours[_vote(labels, np.full_like(labels, 255), rounding)]

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Map the colours of a flat painting, (H, W, 3) uint8, to the palette's colours, without soft rims."""
        table = palette(self.settings.levels)
        box = np.ones((3, 3), np.uint8)
        ramp = (cv2.dilate(picture, box) - cv2.erode(picture, box)).max(axis=2) > RIM_CONTRAST
        labels = _vote(table.labels[_indices(picture)], np.where(ramp, 8, 255).astype(np.uint8), 0.8)
        return table.colours[labels]

    @property
    def swatches(self) -> list[tuple[str, str]]:
        """Return the palette's colours, "#rrggbb", without meanings."""
        return [(f"#{colour.tobytes().hex()}", "") for colour in palette(self.settings.levels).colours]

    def agreement(self, net_input: np.ndarray, output: np.ndarray) -> float:
        """Return the share of pixels, 0 to 1, whose region colour computed from ``output`` equals that of the input.

        This resembles the FCN-score of Isola et al. (CVPR 2017), but with this pairing instead of a network. The frame
        itself has 1.
        """
        return float((self.input([output]) == net_input).all(axis=2).mean())


@lru_cache(maxsize=8)
def palette(levels: int) -> Palette:
    """Build the palette with ``levels`` steps of lightness; each has grey and those ``TINTS`` that RGB can display."""
    axis = (np.arange(1 << BITS_PER_CHANNEL, dtype=np.float32) + 0.5) / (1 << BITS_PER_CHANNEL)
    rgb = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(1, -1, 3)
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2Lab)[0]
    chroma, hue = np.array([(0, 0), *TINTS], np.float32).T
    tints = np.stack([chroma * np.cos(np.radians(hue)), chroma * np.sin(np.radians(hue))], axis=1)
    squared = np.square(lab[:, None, 1:] - tints).sum(axis=2)
    first, second = np.argpartition(squared, (0, 1), axis=1)[:, :2].T
    rows = np.arange(len(lab))
    # ``boundary_distance``, ``edge``: distances from a colour to the border between its two nearest tints, and to the
    # nearest step of lightness, in CIELAB units
    cell_distance = np.linalg.norm(tints[second] - tints[first], axis=1)
    boundary_distance = (squared[rows, second] - squared[rows, first]) / (2 * cell_distance)
    step = lab[:, 0] * levels / 100
    below = np.clip(step.astype(int), 0, levels - 1)
    edge = np.where(
        (np.rint(step) > 0) & (np.rint(step) < levels), np.abs(step - np.rint(step)) * 100 / levels, FULL_VOTE_DISTANCE
    )
    sure = np.clip(np.minimum(boundary_distance, edge) / FULL_VOTE_DISTANCE, MIN_CONFIDENCE, 1)
    codes, labels = np.unique(below * len(tints) + first, return_inverse=True)
    return Palette(
        labels.astype(np.uint8), np.rint(255 * sure).astype(np.uint8), _colours(lab, labels, tints[codes % len(tints)])
    )


def _colours(lab: np.ndarray, labels: np.ndarray, tints: np.ndarray) -> np.ndarray:
    """Return the RGB colour of each label of a palette, (N, 3) uint8.

    ``lab``: the CIELAB colour of each table index, (M, 3). ``labels``: the label of each index, (M,). ``tints``: (a, b)
    by label, (N, 2). The target is halfway between the tint and the mean of the label's colours, because the tint of a
    cell at the gamut's edge is outside. The result is the label's colour nearest to the target, so that the palette
    maps to itself.
    """
    counts = np.bincount(labels)
    targets = np.stack([np.bincount(labels, lab[:, c]) / counts for c in range(3)], axis=1)
    targets[:, 1:] = np.where((tints == 0).all(axis=1, keepdims=True), 0, (targets[:, 1:] + tints) / 2)
    order = np.lexsort((np.square(lab - targets[labels]).sum(axis=1), labels))
    nearest = order[np.searchsorted(labels[order], np.arange(len(counts)))]
    upper = np.stack([nearest >> 2 * BITS_PER_CHANNEL, nearest >> BITS_PER_CHANNEL, nearest], axis=1) % (
        1 << BITS_PER_CHANNEL
    )
    return ((upper << (8 - BITS_PER_CHANNEL)) + (1 << (7 - BITS_PER_CHANNEL))).astype(np.uint8)


def _indices(picture: np.ndarray) -> np.ndarray:
    """Return indices into the tables of a ``Palette``, (H, W) int32, for (H, W, 3) uint8."""
    red, green, blue = (c.astype(np.int32) >> (8 - BITS_PER_CHANNEL) for c in cv2.split(picture))
    return red << (2 * BITS_PER_CHANNEL) | green << BITS_PER_CHANNEL | blue


def _smooth(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth a picture (H, W, 3) uint8 but preserve its edges.

    The method is the domain transform (Gastal and Oliveira 2011) at half size, and a bilateral filter that restores the
    sharpness lost by upscaling.
    """
    height, width = picture.shape[:2]
    half = cv2.resize(cv2.medianBlur(picture, 3), ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA)
    half = cv2.edgePreservingFilter(half, flags=cv2.RECURS_FILTER, sigma_s=sigma, sigma_r=MAX_SMOOTHED_CONTRAST)
    whole = cv2.resize(half, (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(2):
        whole = cv2.bilateralFilter(whole, 5, 20, 3, borderType=BORDER)
    return whole


def _vote(labels: np.ndarray, weights: np.ndarray, sigma: float) -> np.ndarray:
    """Return, for each pixel, the label with the largest sum of ``weights`` in a Gaussian window around the pixel.

    Labels, weights and result are (H, W) uint8. ``sigma``: the window's σ in pixels.
    """
    winners, most_votes = np.empty_like(labels), None
    for label in np.flatnonzero(np.bincount(labels.ravel())):
        label_weights = np.where(labels == label, weights, np.uint8(0))
        votes = cv2.GaussianBlur(label_weights, (0, 0), sigma, borderType=BORDER)
        if most_votes is None:
            winners[:], most_votes = label, votes
        else:
            np.putmask(winners, votes > most_votes, label)
            most_votes = np.maximum(most_votes, votes)
    return winners


def _remove_islands(labels: np.ndarray, smallest: float) -> np.ndarray:
    """Return the ``labels``, (H, W) uint8, with areas of fewer than ``smallest`` pixels filled by the nearest label."""
    parts = connected_areas(labels)
    island = np.bincount(parts.ravel())[parts] < smallest
    if not island.any() or island.all():
        return labels
    return fill_from_nearest(labels, island)
