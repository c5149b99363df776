"""Transfer the colours of pictures to pictures with different content.

``transport_colours`` is for unpaired domains with similar content: it matches the distributions of colours.
Pitié and Kokaram, "The Linear Monge-Kantorovitch Linear Colour Mapping" (CVMP 2007); Pitié,
Kokaram and Dahyot, "Automated colour grading using colour distribution transfer" (CVIU 2007).

``match_colours`` is for pictures with different content: tones, casts and saturation change, hues do not. As in
Reinhard et al., "Color Transfer between Images" (2001), one picture gets the statistics of the other, in CIE Lab:
lightness by quantiles; colour by bands of lightness, as in split toning, from colours near grey, which show the grade
and not the content. Transporting whole distributions failed here: grass took the colours of a parrot.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.grading.lattice import SIZE, ColourLattice, ColourSamples, node_colours
from vidtrans.video.colour.conversion import resize_alpha, to_float

SMALL_SIDE_PX = 192  # Short side to which unpaired pictures are scaled, in pixels
OPAQUE = 0.5  # Alpha above which a pixel's colour is sampled
COUNT = 20_000  # Number of colours that are sampled from each set of pictures
NUM_ROTATIONS = 20  # Iterations of the transport, each along three random directions
# A full transport would give a grey wall the colour of an equally large meadow, so it is only partly applied.
TRANSPORT_SHARE = 0.5  # Share of the full colour transport that is added to the linear map
NOISE = 0.02  # σ of noise, of full scale, that is added to both sets of colours for stable slopes
MAX_SLOPE = 3.0  # Largest slope of the linear map (larger ones show 8-bit steps); its inverse is the smallest
QUANTILES = np.linspace(0.01, 0.99, 33)  # Quantiles of lightness at which tones are matched
TONE_SHARE = 0.8  # Share of the tone difference that is matched; the rest is due to the pictures' content
TONE_SLOPES = (0.4, 2.2)  # Range of the slope of the lightness curve that matches tones
BANDS = np.linspace(5.0, 95.0, 7)  # Centres of lightness bands (CIE Lab, 0 to 100), each with its own colour cast
BAND_SIGMA = 12.0  # σ of a lightness band, in CIE Lab's lightness
GREY_CHROMA = 12.0  # CIE Lab chroma at which a colour's weight in the cast falls to a quarter
MAX_CAST = 14.0  # Largest change of a colour cast, in CIE Lab's a and b
SATURATIONS = (0.6, 1.4)  # Range of the factor on saturation
SKIN_HUE, SKIN_SIGMA, SKIN_CHROMA = 50.0, 25.0, (8.0, 45.0)  # Hue of skin and its σ, in degrees; range of its chroma
SKIN_DAMPING = 0.6  # Share by which the change of skin colours is reduced
GREY_DAMPING = 0.3  # Share by which the change of greys is reduced


@dataclass(frozen=True)
class AffineColours:
    """An affine colour map of R'G'B' in [0, 1]: ``matrix @ colour + shift``, with shapes (3, 3) and (3,)."""

    matrix: np.ndarray
    shift: np.ndarray

    def __call__(self, colours: np.ndarray) -> np.ndarray:
        """Map colours (…, 3); the result is not clipped to [0, 1]."""
        mapped: np.ndarray = colours @ self.matrix.T + self.shift
        return mapped

    def on_picture(self, picture: np.ndarray) -> np.ndarray:
        """Map the colours of a picture, (H, W, 3) uint8 or uint16; the result is clipped to the dtype's range."""
        full = np.iinfo(picture.dtype).max
        affine = np.column_stack([self.matrix, self.shift * full])
        moved: np.ndarray = np.rint(np.clip(cv2.transform(picture.astype(np.float32), affine), 0, full))
        return moved.astype(picture.dtype)

    def signed(self) -> AffineColours:
        """Return the same map for colours in [−1, 1], the range of networks' inputs and outputs."""
        return AffineColours(self.matrix, self.matrix.sum(axis=1) + 2 * self.shift - 1)

    def lattice(self, size: int = SIZE) -> ColourLattice:
        """Return the map on a lattice, clipped to [0, 1]."""
        return ColourLattice(np.clip(self(node_colours(size)), 0.0, 1.0))


def linear_map(before: np.ndarray, after: np.ndarray) -> AffineColours:
    """Return the affine map that gives colours ``before``, (N, 3), the mean and covariance of ``after``, (M, 3).

    Of all such maps, it moves the colours least.

    Its matrix is symmetric and positive definite, so no direction of colours is reversed. Its slopes are at most
    ``MAX_SLOPE``, at least 1 / ``MAX_SLOPE``.
    """
    sides = [np.cov(colours.T) + NOISE**2 * np.eye(3) for colours in (before, after)]
    root, inverse = _power(sides[0], 0.5), _power(sides[0], -0.5)
    free = inverse @ _power(root @ sides[1] @ root, 0.5) @ inverse
    slopes, directions = np.linalg.eigh(free)
    matrix = (directions * np.clip(slopes, 1 / MAX_SLOPE, MAX_SLOPE)) @ directions.T
    return AffineColours(matrix, after.mean(axis=0) - matrix @ before.mean(axis=0))


def affine_colours(before: Iterable[np.ndarray], after: Iterable[np.ndarray]) -> AffineColours:
    """Return the affine map of colours in [0, 1] that the method ``linear`` learns, with which generators can start."""
    first, second = (np.concatenate(list(map(opaque_colours, pictures))) for pictures in (before, after))
    return linear_map(first, second)


def opaque_colours(picture: np.ndarray) -> np.ndarray:
    """Return the colours of a shrunk picture's opaque pixels, (N, 3) float64 in [0, 1]."""
    height, width = picture.shape[:2]
    scale = min(1.0, SMALL_SIDE_PX / min(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if picture.shape[2] == 4:
        rgba = to_float(resize_alpha(picture, *size))
        return rgba[rgba[..., 3] > OPAQUE][:, :3].astype(np.float64)
    small: np.ndarray = cv2.resize(to_float(picture), size, interpolation=cv2.INTER_AREA)
    return small.reshape(-1, 3).astype(np.float64)


def transport_colours(before: np.ndarray, after: np.ndarray, seed: int = 0) -> ColourSamples:
    """Return ``COUNT`` random colours of ``before``, and these moved towards the distribution of ``after``.

    ``before``: (N, 3) in [0, 1]. ``after``: (M, 3) in [0, 1].

    Starting from the linear map, values are matched by rank along random directions, three at a time. The change
    relative to the linear map is scaled by ``TRANSPORT_SHARE``.
    """
    random = np.random.default_rng(seed)
    source, target = (colours[random.integers(len(colours), size=COUNT)] for colours in (before, after))
    linear = linear_map(before, after)(source)
    moved = linear.copy()
    for _ in range(NUM_ROTATIONS):
        directions = np.linalg.qr(random.normal(size=(3, 3)))[0]
        projected, ranked_target = moved @ directions, np.sort(target @ directions, axis=0)
        places = np.argsort(np.argsort(projected, axis=0, kind="stable"), axis=0, kind="stable")
        moved += (np.take_along_axis(ranked_target, places, axis=0) - projected) @ directions.T
    return ColourSamples(source, np.clip(linear + TRANSPORT_SHARE * (moved - linear), 0.0, 1.0), np.ones(COUNT))


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Return a symmetric positive matrix to the power ``exponent``."""
    values, vectors = np.linalg.eigh(matrix)
    powered: np.ndarray = (vectors * np.maximum(values, 1e-12) ** exponent) @ vectors.T
    return powered


def match_colours(before: np.ndarray, after: np.ndarray, seed: int = 0) -> ColourSamples:
    """Return ``COUNT`` random colours of ``before``, and these colours graded like ``after``.

    ``before``: (N, 3) in [0, 1]. ``after``: (M, 3) in [0, 1].
    """
    rng = np.random.default_rng(seed)
    sides = [colours[rng.choice(len(colours), COUNT, replace=len(colours) < COUNT)] for colours in (before, after)]
    source, target = map(_lab, sides)
    light = _match_tones(source[:, 0], target[:, 0])
    cast, target_casts = _casts(source), _casts(target)
    own = _cast_at(cast, source[:, 0])
    change = _cast_at(target_casts, light) - own
    change *= np.minimum(1, MAX_CAST / np.maximum(np.linalg.norm(change, axis=1, keepdims=True), 1e-6))
    coloured = source[:, 1:] - own
    chroma, other = (
        np.median(np.linalg.norm(c, axis=1)) for c in (coloured, target[:, 1:] - _cast_at(target_casts, target[:, 0]))
    )
    ratio = np.clip((other + 3) / (chroma + 3), *SATURATIONS)
    skin = _skin(source)[:, None]
    grey = np.clip(1 - np.linalg.norm(coloured, axis=1, keepdims=True) / GREY_CHROMA, 0, 1)
    damping = 1 - np.maximum(SKIN_DAMPING * skin, GREY_DAMPING * grey)
    moved = own + coloured * (1 + (ratio - 1) * (1 - SKIN_DAMPING * skin)) + change * damping
    return ColourSamples(_rgb(source), _rgb(np.column_stack([light, moved])), np.ones(len(source)))


def _match_tones(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return lightness values (N,) changed by a curve of bounded slope to quantiles near those of ``target``.

    The curve is extended towards black and white.
    """
    at, target_quantiles = (np.quantile(light, QUANTILES) for light in (source, target))
    at = np.maximum.accumulate(at + np.arange(len(at)) * 1e-3)
    to = at + TONE_SHARE * (target_quantiles - at)
    slopes = np.clip(np.diff(to) / np.diff(at), *TONE_SLOPES)
    middle = len(at) // 2
    steps = np.concatenate([[0.0], np.cumsum(slopes * np.diff(at))])
    to = np.clip(to[middle] + steps - steps[middle], 0, 100)
    return np.interp(source, [0, *at, 100], [min(to[0], at[0]), *to, max(to[-1], at[-1])])


def _casts(lab: np.ndarray) -> np.ndarray:
    """Return the colour cast, CIE Lab's a and b, of each lightness band, (bands, 2); near 0 for bands without greys."""
    chroma = np.linalg.norm(lab[:, 1:], axis=1)
    near = 1 / (1 + (chroma / GREY_CHROMA) ** 2) ** 2
    bands = np.exp(-0.5 * ((lab[:, :1] - BANDS) / BAND_SIGMA) ** 2) * near[:, None]
    total = bands.sum(axis=0)[:, None]
    # Colours without a cast, a hundredth of all colours, are added to stabilise nearly empty bands.
    cast: np.ndarray = bands.T @ lab[:, 1:] / (total + 0.01 * len(lab))
    return cast


def _cast_at(casts: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Return the colour cast, a and b, at these lightness values, interpolated between bands: (N, 2)."""
    return np.stack([np.interp(light, BANDS, casts[:, c]) for c in (0, 1)], axis=1)


def _skin(lab: np.ndarray) -> np.ndarray:
    """Return the similarity of colours, (N, 3) CIE Lab, to skin: (N,), 0 to 1."""
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    low, high = SKIN_CHROMA
    coloured = np.clip((chroma - low) / low, 0, 1) * np.clip((high - chroma) / low, 0, 1)
    skin: np.ndarray = np.exp(-0.5 * ((hue - SKIN_HUE) / SKIN_SIGMA) ** 2) * coloured
    return skin


def _lab(colours: np.ndarray) -> np.ndarray:
    """Convert RGB colours (N, 3) in [0, 1] to CIE Lab, float64."""
    return cv2.cvtColor(colours.astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0].astype(np.float64)


def _rgb(lab: np.ndarray) -> np.ndarray:
    """Convert CIE Lab colours (N, 3) to RGB, float64 clipped to [0, 1]."""
    return np.clip(cv2.cvtColor(lab.astype(np.float32)[None], cv2.COLOR_LAB2RGB)[0].astype(np.float64), 0, 1)
