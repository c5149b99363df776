"""Transfer of colours between pictures that are not before and after versions of each other.

``transport_colours`` is for unpaired domains with similar content: it matches the frequencies of colours.
Pitié and Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping" (CVMP 2007); Pitié,
Kokaram and Dahyot, "Automated colour grading using colour distribution transfer" (CVIU 2007).

``match_colours`` is for a picture of something else: its tones, casts and saturation change, its hues stay. As in
Reinhard et al., "Color Transfer between Images" (2001), one picture's statistics are given to the other, in CIE Lab:
lightness by quantiles; colour per band of lightness, as in split toning, from colours near grey, which show
a grade and not a parrot. Transporting whole distributions was tried and failed: grass took the colours of a
parrot.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.grading.lattice import SIZE, ColourLattice, ColourSamples, node_colours

COUNT = 20_000  # colours of each side that are compared
ROUNDS = 20  # of three directions each
SHARE = 0.5  # of the way from the linear map: all of it, a grey wall takes the colour of a meadow that is as large
NOISE = 0.02  # of full scale: deviations below it tell noise from noise
STEEPEST = 3.0  # a slope above it would show the steps of 8 bits, one below its inverse flattens the picture
QUANTILES = np.linspace(0.01, 0.99, 33)
TONE_SHARE = 0.8  # of the way to the other's tones: the rest is what it shows
SLOPES = (0.4, 2.2)  # of the curve of tones
BANDS = np.linspace(5.0, 95.0, 7)  # of lightness, each with its cast
BAND_WIDTH = 12.0
NEAR_GREY = 12.0  # chroma at which a colour tells of the cast by half
MAX_CAST = 14.0
SATURATIONS = (0.6, 1.4)
SKIN_HUE, SKIN_WIDTH, SKIN_CHROMA = 50.0, 25.0, (8.0, 45.0)  # degrees; chroma
HELD_BACK = 0.6  # of the change of skin's colour
GREY_HELD_BACK = 0.3  # likewise of greys


@dataclass(frozen=True)
class AffineColours:
    """An affine colour map, ``matrix`` (3, 3) and ``shift`` (3,): ``matrix @ colour + shift`` of R'G'B' in [0, 1]."""

    matrix: np.ndarray
    shift: np.ndarray

    def __call__(self, colours: np.ndarray) -> np.ndarray:
        """Map colours (…, 3); the result is not clipped to [0, 1]."""
        mapped: np.ndarray = colours @ self.matrix.T + self.shift
        return mapped

    def on_picture(self, picture: np.ndarray) -> np.ndarray:
        """Map the colours of a picture, (H, W, 3) uint8 or uint16; those out of range are clipped."""
        full = np.iinfo(picture.dtype).max
        affine = np.column_stack([self.matrix, self.shift * full])
        moved: np.ndarray = np.rint(np.clip(cv2.transform(picture.astype(np.float32), affine), 0, full))
        return moved.astype(picture.dtype)

    def signed(self) -> AffineColours:
        """Return the same map for colours in [−1, 1], the range of networks."""
        return AffineColours(self.matrix, self.matrix.sum(axis=1) + 2 * self.shift - 1)

    def lattice(self, size: int = SIZE) -> ColourLattice:
        """Return the map on a lattice, clipped to [0, 1]."""
        return ColourLattice(np.clip(self(node_colours(size)), 0.0, 1.0))


def linear_map(before: np.ndarray, after: np.ndarray) -> AffineColours:
    """Return the affine map of colours (N, 3) to the mean and covariance of others, (M, 3), with least displacement.

    Its matrix is symmetric and positive, so no direction of colours is reversed and light stays light. Its slopes are
    at most ``STEEPEST``, at least 1 / ``STEEPEST``.
    """
    sides = [np.cov(colours.T) + NOISE**2 * np.eye(3) for colours in (before, after)]
    root, inverse = _power(sides[0], 0.5), _power(sides[0], -0.5)
    free = inverse @ _power(root @ sides[1] @ root, 0.5) @ inverse
    slopes, directions = np.linalg.eigh(free)
    matrix = (directions * np.clip(slopes, 1 / STEEPEST, STEEPEST)) @ directions.T
    return AffineColours(matrix, after.mean(axis=0) - matrix @ before.mean(axis=0))


def transport_colours(before: np.ndarray, after: np.ndarray, seed: int = 0) -> ColourSamples:
    """Return ``COUNT`` random colours of one set, in [0, 1], and their counterparts near the other set's distribution.

    Starting from the linear map, values are matched by rank along random directions, three at a time. The change
    relative to the linear map is scaled by ``SHARE``.
    """
    random = np.random.default_rng(seed)
    source, target = (colours[random.integers(len(colours), size=COUNT)] for colours in (before, after))
    linear = linear_map(before, after)(source)
    moved = linear.copy()
    for _ in range(ROUNDS):
        directions = np.linalg.qr(random.normal(size=(3, 3)))[0]
        projected, wanted = moved @ directions, np.sort(target @ directions, axis=0)
        places = np.argsort(np.argsort(projected, axis=0, kind="stable"), axis=0, kind="stable")
        moved += (np.take_along_axis(wanted, places, axis=0) - projected) @ directions.T
    return ColourSamples(source, np.clip(linear + SHARE * (moved - linear), 0.0, 1.0), np.ones(COUNT))


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(matrix)
    powered: np.ndarray = (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
    return powered


def match_colours(before: np.ndarray, after: np.ndarray, seed: int = 0) -> ColourSamples:
    """Return ``COUNT`` random colours of one set, (N, 3) in [0, 1], and counterparts in the grade of another set."""
    rng = np.random.default_rng(seed)
    sides = [colours[rng.choice(len(colours), COUNT, replace=len(colours) < COUNT)] for colours in (before, after)]
    source, target = map(_lab, sides)
    light = _match_tones(source[:, 0], target[:, 0])
    cast, wanted = _casts(source), _casts(target)
    own = _at(cast, source[:, 0])
    change = _at(wanted, light) - own
    change *= np.minimum(1, MAX_CAST / np.maximum(np.linalg.norm(change, axis=1, keepdims=True), 1e-6))
    coloured = source[:, 1:] - own
    chroma, other = (
        np.median(np.linalg.norm(c, axis=1)) for c in (coloured, target[:, 1:] - _at(wanted, target[:, 0]))
    )
    ratio = np.clip((other + 3) / (chroma + 3), *SATURATIONS)
    skin = _skin(source)[:, None]
    grey = np.clip(1 - np.linalg.norm(coloured, axis=1, keepdims=True) / NEAR_GREY, 0, 1)
    damping = 1 - np.maximum(HELD_BACK * skin, GREY_HELD_BACK * grey)
    moved = own + coloured * (1 + (ratio - 1) * (1 - HELD_BACK * skin)) + change * damping
    return ColourSamples(_rgb(source), _rgb(np.column_stack([light, moved])), np.ones(len(source)))


def _match_tones(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return lightness (N,) with quantiles close to those of ``target``, by a curve of bounded slope.

    The curve is extended towards black and white.
    """
    at, wanted = (np.quantile(light, QUANTILES) for light in (source, target))
    at = np.maximum.accumulate(at + np.arange(len(at)) * 1e-3)
    to = at + TONE_SHARE * (wanted - at)
    slopes = np.clip(np.diff(to) / np.diff(at), *SLOPES)
    middle = len(at) // 2
    steps = np.concatenate([[0.0], np.cumsum(slopes * np.diff(at))])
    to = np.clip(to[middle] + steps - steps[middle], 0, 100)
    return np.interp(source, [0, *at, 100], [min(to[0], at[0]), *to, max(to[-1], at[-1])])


def _casts(lab: np.ndarray) -> np.ndarray:
    """Return the cast, CIE Lab's a and b, of each band of lightness, (bands, 2); near 0 for bands without greys."""
    chroma = np.linalg.norm(lab[:, 1:], axis=1)
    near = 1 / (1 + (chroma / NEAR_GREY) ** 2) ** 2
    bands = np.exp(-0.5 * ((lab[:, :1] - BANDS) / BAND_WIDTH) ** 2) * near[:, None]
    total = bands.sum(axis=0)[:, None]
    # A hundredth of all colours, of no cast, against bands that hold next to nothing.
    cast: np.ndarray = bands.T @ lab[:, 1:] / (total + 0.01 * len(lab))
    return cast


def _at(casts: np.ndarray, light: np.ndarray) -> np.ndarray:
    return np.stack([np.interp(light, BANDS, casts[:, c]) for c in (0, 1)], axis=1)


def _skin(lab: np.ndarray) -> np.ndarray:
    """Return the similarity of colours, (N, 3) CIE Lab, to skin: (N,), 0 to 1."""
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    low, high = SKIN_CHROMA
    coloured = np.clip((chroma - low) / low, 0, 1) * np.clip((high - chroma) / low, 0, 1)
    skin: np.ndarray = np.exp(-0.5 * ((hue - SKIN_HUE) / SKIN_WIDTH) ** 2) * coloured
    return skin


def _lab(colours: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(colours.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)


def _rgb(lab: np.ndarray) -> np.ndarray:
    return np.clip(cv2.cvtColor(lab.astype(np.float32)[None], cv2.COLOR_LAB2RGB)[0].astype(np.float64), 0, 1)
