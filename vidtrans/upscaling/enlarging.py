"""Enlarge a network's picture, preserve its content, and add detail from its source where both agree.

In the order of this file: a picture at the size of a guide, by a guided filter from colours to colours or by one colour
map for all pixels; candidates for the detail that a small picture lacks, and their accuracy one scale down; a network's
faults; the modes; pictures of a stream. ``ops`` is ``array_pictures`` or ``tensor_pictures``; pictures and maps are
theirs, float32 from 0 to 1.

The faults of a network's pictures (blur, ringing, noise) are detected by their agreement with the source at three
scales. Half and a quarter of the size are nearly free of a fault that extends over a pixel. They show how well the
finest detail can be predicted from coarser detail and from the source. At full size a blur makes the detail weaker than
predicted, ringing makes it stronger, and noise adds unpredictable detail.

Smoothing along lines and edges removes their staircase: a line integral along the direction of the smoothed structure
tensor (Kyprianidis and Kang, "Image and Video Abstraction by Coherence-Enhancing Filtering", Computer Graphics Forum
2011).

Pictures of a stream get their colours by interpolation, and detail from the source's luma: the guided filter with one
channel, whose detail has a gain that is measured one scale down. It takes a small part of the time of the modes, and
uses neither the output's own edges nor a network's faults.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

from vidtrans.grading.lattice import interpolation, node_colours
from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.array_pictures import Size, round_trip_kernel, unit

if TYPE_CHECKING:
    import torch

Ops = Any  # The module of operations: ``array_pictures`` or ``tensor_pictures``
Picture = Any  # A picture of three channels, as an array or a tensor
Map = Any  # A picture of one channel, as an array or a tensor
Strips = Callable[[slice], Picture]  # Function that returns the given rows of a picture
RADIUS = 2  # Radius of the guided filter's windows, in pixels of the small picture
EPSILON = 2e-4  # Regularisation of the guided filter: variance below which a window counts as flat; colours are 0 to 1
# Fit of the colour map: nodes per side, largest number of pixels, weight of the linear map at empty nodes, iterations
NODES, MAX_FIT_PIXELS, PRIOR, FIT_ROUNDS = 17, 10_000, 0.05, 6
BACK_PROJECTIONS = 3  # Back-projections of the output; a fourth would change it by less than an 8-bit level
EDGE_SHARPENING = 1.5  # Amount of unsharp masking for the sharpened edges
EDGE_SIGMA = 0.6  # σ of the blur of the unsharp mask for the sharpened edges, in pixels of the small picture
ACCURACY_SIGMA = 3.0  # σ of the window in which the candidates' accuracy is measured, in pixels of the small picture
RIDGE = 1e-4  # Ridge of the least squares for the accuracy; colours are 0 to 1
NUM_SCALES = 3  # Number of scales at which a network's faults are measured
# Strength is the share of predicted detail that an output has, agreement its correlation with the prediction.
# A style that changes fine detail more than coarse detail is no fault; its finest detail agrees less with the source.
MIN_AGREEMENT, MIN_STEADY = 0.5, 0.87  # Least agreement of the finest detail for a fault; relative to the next scale
# Ringing falls from scale to scale; a blur also weakens the second-finest scale; stronger detail is the style's lines.
# Strength of the finest detail relative to the coarsest: blur is below BLURRED, ringing between RINGING and DRAWN
BLURRED, RINGING, DRAWN = 0.78, 1.14, 1.26
BLURRED_NEXT = 0.95  # Strength of the second-finest detail relative to the coarsest below which it is blurred
MAX_STRENGTH = 1.55  # Largest relative strength of the finest detail that counts as ringing
MIN_LIKENESS = 0.45  # Agreement below which a picture's detail counts as unlike the source's
# Limits for boiling texture, whose finest detail is far weaker than predicted and does not agree with the source
OWN_STRENGTH, OWN_AGREEMENT = 0.72, 0.83  # Largest strength relative to the next scale; largest agreement of that scale
# Limits for lost detail: strength of the finest detail, its agreement relative to the next scale, coarser agreement
LOST_STRENGTH, LOST_AGREEMENT, COARSE_AGREEMENT = 0.42, 0.58, (0.7, 0.9)
CORRECTION_POWER = 1.5  # Exponent that enlarges a measured correction, because the coarsest scale has part of the fault
MIN_CORRECTION, MAX_CORRECTION = (0.6, 0.8), (1.9, 1.25)  # Limits of the factors on the finest detail and next scale
MAX_NOISE = 7 / 255  # Standard deviation, of full scale, above which noise counts as texture of the style
# Two estimates of the standard deviation of a difference: by a low and by a middle quantile of its absolute values.
# For noise they are equal; for the sparse detail of a style the estimate by the low quantile is smaller.
# Each pair is (quantile, its value in a standard normal distribution).
LOW, MIDDLE = (0.1, 0.1257), (0.25, 0.3186)
MIN_NORMALITY = 0.85  # Minimum ratio of the estimates by LOW and MIDDLE from which a difference is noise
# Largest squared error of one colour map, relative to the guided filter's error and to the power of the detail
MAP_BETTER, MAP_ERROR = 0.8, 0.5
COLOURS = 3  # Number of colour channels
DIGITS = 3  # Decimal digits of the correction factors, so that a processor's rounding does not change them
LINE_REACH, LINE_SIGMA = 3, 1.6  # Half length of the line integral, and σ of its weights, in pixels
NOISE_SIGMA, TENSOR_SIGMA = 0.8, 1.5  # σ of the blurs before and after the derivatives, in pixels
SLOPE = np.array([-0.5, 0, 0.5], np.float32)  # Kernel of the central difference
SCHARR_SMOOTHING = np.array([3, 10, 3], np.float32) / 16  # Scharr's smoothing kernel across the difference
FLAT = 1e-5  # Squared gradient of luma (0 to 1) below which a pixel has no line
# For boiling textures: amount and blur σ of the unsharp mask for lines, and blur σ against staircases (output pixels)
LINE_SHARPENING, LINE_SHARPENING_SIGMA, STAIRCASE_SIGMA = 2.0, 0.6, 0.5
HALO = 4 / 255  # Tolerance, of full scale, beyond the range of neighbouring pixels and of the guided picture
CLEAN_FACTOR = 1.5  # Mode "clean" uses the output only at a size smaller by this factor; finer detail is the source's
GAIN_RIDGE = 3e-5  # Ridge of the least squares that measure the gain of luma detail
GAIN_RADIUS = 5  # Radius of the window in which the luma gain is measured, in pixels of the small picture
# σ, and its minimum, in pixels, of an unsharp mask that replaces a back-projection at enlargements of 2 and more
CRISP_SIGMA, MIN_CRISP_SIGMA = 0.45, 0.1


class GuidedFilter:
    """A guided filter: maps the guide's colours to the picture's by a linear map around each pixel.

    It maps the colours of ``guide`` to those of ``picture``, both small and of one size.
    """

    def __init__(self, ops: Ops, guide: Picture, picture: Picture) -> None:
        self._ops, self._maps = ops, _local_maps(ops, ops.channels(guide), ops.channels(picture))

    def __call__(self, guide: Picture) -> Strips:
        """Return the picture enlarged to the size of ``guide``, which may have any dtype, by strips."""
        ops, size = self._ops, self._ops.size_of(guide)
        maps = [[ops.EnlargedStrips(each, size, is_limited=True) for each in maps_of] for maps_of in self._maps]

        def strip(rows: slice) -> Picture:
            """Return the picture's rows."""
            planes, made = ops.channels(ops.strip_of(guide, rows)), []
            for *factors, shift in maps:
                channel = shift[rows]
                for factor, plane in zip(factors, planes, strict=True):
                    channel = ops.plus_product(channel, factor[rows], plane)
                made.append(channel)
            return ops.merge(made)

        return strip

    def average(self, guide: Picture, small_guide: Picture) -> Picture:
        """Return the picture at the size of a guide, averaged to the size of ``small_guide``.

        The average of a linear map is the map of the average.
        """
        planes, made = self._ops.channels(small_guide), []
        for *factors, shift in self._maps:
            made.append(sum((factor * plane for factor, plane in zip(factors, planes, strict=True)), start=shift))
        return self._ops.merge(made)


class GlobalColourMap:
    """One colour map for all pixels, by lattice nodes: an alternative to the guided filter."""

    def __init__(self, ops: Ops, nodes: np.ndarray) -> None:
        self._ops, self._map = ops, ops.colour_map(nodes)

    def __call__(self, guide: Picture) -> Strips:
        """Return the picture enlarged to the size of ``guide``, which may have any dtype, by strips."""
        return lambda rows: self._map(self._ops.strip_of(guide, rows))

    def average(self, guide: Picture, small_guide: Picture) -> Picture:
        """Return the picture at the size of a guide, averaged to the size of ``small_guide``.

        To save time, the guide is first shrunk to twice the small size.
        """
        ops, small = self._ops, self._ops.size_of(small_guide)
        enough = doubled_size(small, ops.size_of(guide))
        return ops.shrink(self._map(shrink_any(ops, guide, enough)), small)


def doubled_size(small: Size, large: Size) -> Size:
    """Return twice the size ``small``, but at most ``large``."""
    return min(2 * small[0], large[0]), min(2 * small[1], large[1])


def shrink_any(ops: Ops, picture: Picture, size: Size) -> Picture:
    """Shrink a picture of any dtype to a size; return float32."""
    made = ops.ShrinkSum(ops.size_of(picture), size)
    for rows in ops.strips(ops.size_of(picture)):
        made.add(rows, ops.strip_of(picture, rows))
    return made.picture()


def make_guide(
    ops: Ops, guide: Picture, picture: Picture, colour_map: np.ndarray | None
) -> GuidedFilter | GlobalColourMap:
    """Return the map from the colours of a small guide to those of a picture.

    ``colour_map``: the nodes of a map for all pixels; None for a guided filter.
    """
    return GuidedFilter(ops, guide, picture) if colour_map is None else GlobalColourMap(ops, colour_map)


def fit_colour_map(guide: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return the nodes, (n, n, n, 3) float32, of the map from a guide's colours to those of a picture of equal size."""
    step = max(1, int(np.sqrt(guide.size / 3 / MAX_FIT_PIXELS)))
    inputs, outputs = (each[::step, ::step].reshape(-1, 3).astype(np.float64) for each in (guide, picture))
    linear = np.linalg.lstsq(np.c_[inputs, np.ones(len(inputs))], outputs, rcond=None)[0]
    nodes = node_colours(NODES).reshape(-1, 3) @ linear[:3] + linear[3]
    weights = interpolation(inputs, NODES)
    each = (np.asarray(weights.sum(axis=0)).ravel() + PRIOR)[:, None]
    for _ in range(FIT_ROUNDS):
        nodes += weights.T @ (outputs - weights @ nodes) / each
    return nodes.reshape(NODES, NODES, NODES, 3).astype(np.float32)


def _local_maps(ops: Ops, guide: Sequence[Any], picture: Sequence[Any]) -> list[list[Any]]:
    """Return for each channel of a picture the local linear map: averaged factors of guide channels, and shift."""

    def mean(channel: Map) -> Map:
        """Return the mean of a map in the filter's window around each pixel."""
        return ops.mean_around(channel, RADIUS)

    means = [mean(channel) for channel in guide]
    a, b, c, d, e, f = (
        mean(guide[i] * guide[j]) - means[i] * means[j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    a, d, f = a + EPSILON, d + EPSILON, f + EPSILON
    # The inverse of a symmetric 3x3 matrix is its adjugate divided by its determinant.
    inverse = [[d * f - e * e, c * e - b * f, b * e - c * d], [], []]
    inverse[1] = [inverse[0][1], a * f - c * c, b * c - a * e]
    inverse[2] = [inverse[0][2], inverse[1][2], a * d - b * b]
    scale = 1 / (a * inverse[0][0] + b * inverse[0][1] + c * inverse[0][2])
    found = []
    for channel in picture:
        own = mean(channel)
        shared = [mean(other * channel) - guide_mean * own for other, guide_mean in zip(guide, means, strict=True)]
        factors = [sum(x * y for x, y in zip(row, shared, strict=True)) * scale for row in inverse]
        shift = own - sum(factor * guide_mean for factor, guide_mean in zip(factors, means, strict=True))
        found.append([mean(each) for each in (*factors, shift)])
    return found


class Details(NamedTuple):
    """A pair of candidates for fine detail: from the guided picture, and from the sharpened edges.

    Each is a picture of the detail, or the map of its accuracy.
    """

    guided: Any
    edges: Any


def halve(ops: Ops, picture: Picture) -> Picture:
    """Shrink a picture to half its size."""
    width, height = ops.size_of(picture)
    return ops.shrink(picture, (max(1, width // 2), max(1, height // 2)))


def back_project(ops: Ops, picture: Picture, size: Size, times: int) -> Picture:
    """Return a picture that nearly equals ``picture`` after it is enlarged to ``size`` and shrunk again.

    ``times``: the number of iterations.
    """
    weights = [round_trip_kernel(*sides) for sides in zip(ops.size_of(picture), size, strict=True)]
    corrected = picture
    for _ in range(times):
        corrected = ops.plus(corrected, ops.minus(picture, ops.convolve(corrected, *weights)))
    return corrected


def enlarge_back_projected(ops: Ops, picture: Picture, size: Size, times: int) -> Picture:
    """Enlarge a picture to a size after ``times`` back-projections."""
    return ops.enlarge(back_project(ops, picture, size, times), size)


def lost_detail(ops: Ops, picture: Picture, size: Size) -> Picture:
    """Return the detail of a picture that is lost when it is shrunk to ``size``, as a difference around 0."""
    return ops.minus(picture, enlarge_back_projected(ops, ops.shrink(picture, size), ops.size_of(picture), 1))


class SharpEdges(NamedTuple):
    """A small picture with exaggerated edges, which become sharp when it is enlarged and clamped to a range.

    ``low`` and ``high``: the limits of the range, the extremes around each pixel.
    """

    sharp: Picture
    low: Picture
    high: Picture

    def enlarge(self, ops: Ops, size: Size) -> Picture:
        """Enlarge the picture, clamped to the range of the neighbouring pixels."""
        limits = (ops.enlarge_linear(extreme, size) for extreme in (self.low, self.high))
        return ops.clamp(ops.enlarge(self.sharp, size), *limits)


def sharp_edges(ops: Ops, x: Picture, size: Size) -> SharpEdges:
    """Sharpen the edges of a small picture before it is enlarged to ``size``."""
    projected = back_project(ops, x, size, BACK_PROJECTIONS - 1)
    sharp = ops.plus(projected, ops.minus(projected, ops.blur(projected, EDGE_SIGMA)), EDGE_SHARPENING)
    return SharpEdges(sharp, *ops.extremes(x))


def visible_edges(ops: Ops, edges: SharpEdges, size: Size) -> Picture:
    """Return the part of sharpened edges that is visible at the small size, back-projected for ``size``."""
    small = ops.size_of(edges.sharp)
    return back_project(ops, ops.shrink(edges.enlarge(ops, doubled_size(small, size)), small), size, 1)


class DetailScale(NamedTuple):
    """The candidates for a picture's finest detail, predicted from half its size, with the true detail.

    Attributes:
        found: The candidates.
        truth: The true detail.
        half: The picture at half its size.
        half_source: The source at half its size.
    """

    found: Details
    truth: Picture
    half: Picture
    half_source: Picture


def detail_scale(ops: Ops, x: Picture, source: Picture, colour_map: np.ndarray | None = None) -> DetailScale:
    """Return the candidates for the finest detail of ``x``, predicted from half its size and from the source.

    The source has the size of ``x``. The true detail, for comparison, is that of ``x``.

    ``colour_map``: the nodes of the map that makes the guided picture; the default is a guided filter.
    """
    half, half_source, size = halve(ops, x), halve(ops, source), ops.size_of(x)
    guide, edges = make_guide(ops, half_source, half, colour_map), sharp_edges(ops, half, size)
    strip = guide(source)
    by_guide = ops.join_strips(strip(rows) for rows in ops.strips(size))
    found = Details(
        ops.minus(by_guide, enlarge_back_projected(ops, guide.average(source, half_source), size, 1)),
        ops.minus(edges.enlarge(ops, size), ops.enlarge(visible_edges(ops, edges, size), size)),
    )
    return DetailScale(found, ops.minus(x, enlarge_back_projected(ops, half, size, 1)), half, half_source)


def measure_accuracy(ops: Ops, scale: DetailScale) -> Details:
    """Return the accuracy of each candidate of a scale, 0 to 1, as two maps.

    It is the weight of the candidate in the least-squares fit of the true detail, in a window around each pixel.
    """
    from_guide, from_edges = scale.found
    gg, ee = _mean_product(ops, from_guide, from_guide) + RIDGE, _mean_product(ops, from_edges, from_edges) + RIDGE
    ge = _mean_product(ops, from_guide, from_edges)
    gt, et = _mean_product(ops, from_guide, scale.truth), _mean_product(ops, from_edges, scale.truth)
    determinant = gg * ee - ge * ge
    return Details(ops.clip((ee * gt - ge * et) / determinant, 0, 1), ops.clip((gg * et - ge * gt) / determinant, 0, 1))


def predict_detail(ops: Ops, scale: DetailScale, accuracy: Details) -> Picture:
    """Return the detail predicted by both candidates together, weighted by ``accuracy``, a map of any size."""
    size = ops.size_of(scale.truth)
    parts = [ops.times(each, ops.enlarge_linear(gain, size)) for each, gain in zip(scale.found, accuracy, strict=True)]
    return ops.plus(*parts)


def _mean_product(ops: Ops, one: Picture, other: Picture) -> Picture:
    """Return the product of two pictures, summed over colours and averaged around each pixel."""
    return ops.blur(ops.product(one, other), ACCURACY_SIGMA)


@dataclass(frozen=True)
class Faults:
    """The measured faults (blur, ringing, noise …) of a network's pictures of one shot.

    Attributes:
        finest: The corrective factor for the detail of the finest octave.
        next: The corrective factor for the detail of the next octave.
        noise: The standard deviation of noise in the finest octave, of colours from 0 to 1.
        is_own: The finest octave is the network's own texture, which changes from frame to frame (boils).
        is_unlike: The finest octave is unlike the source's, as in a drawing; the source's detail is not added.
        is_colour_map: One map of colours for all pixels makes the picture, as in a grade or a poster.
        is_lost: The network follows the source but lost its finest detail, which the source's replaces.
    """

    finest: float = 1.0
    next: float = 1.0
    noise: float = 0.0
    is_own: bool = False
    is_unlike: bool = False
    is_colour_map: bool = False
    is_lost: bool = False


FAULTLESS = Faults()  # Faults of a network without any


def find_faults(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Faults:
    """Measure the faults (blur, ringing, noise …) of a network from pairs of output and source, (h, w, 3) float32."""
    found, errors = [], []
    for output, source in pairs:
        scales = _scales(output, source)
        found.append(_moments(scales))
        errors.append(_errors(scales[0], output, source))
    if not found:
        return FAULTLESS
    of_filter, of_map = np.mean(errors, axis=0)
    own, made, shared, low, middle = np.maximum(np.mean(found, axis=0), 1e-12)
    is_colour_map = of_map < min(MAP_BETTER * of_filter, MAP_ERROR * own[0])
    strength, agrees = shared / made, shared / np.sqrt(made * own)
    is_steady = agrees[0] > max(MIN_AGREEMENT, MIN_STEADY * agrees[1])
    over_coarsest, next_over = strength[:2] / strength[2]
    is_blurred = over_coarsest < BLURRED and next_over < BLURRED_NEXT and strength[2] < DRAWN
    rings = RINGING < over_coarsest < DRAWN and MAX_STRENGTH > strength[0] > strength[1]
    finest = following = 1.0
    if is_steady and (is_blurred or rings):
        finest, following = np.clip((strength[2] / strength[:2]) ** CORRECTION_POWER, MIN_CORRECTION, MAX_CORRECTION)
    # White noise has a quarter of its power at half the size.
    deviation = float(np.sqrt(max(0.0, (low[0] ** 2 - 1.2 * low[1] ** 2) * 4 / 3)))
    is_unlike = agrees.max() < MIN_LIKENESS
    is_own = not (is_unlike or is_steady) and strength[0] < OWN_STRENGTH * strength[1] and agrees[1] < OWN_AGREEMENT
    agrees_coarsely = bool((agrees[1:] > COARSE_AGREEMENT).all())
    is_lost = strength[0] < LOST_STRENGTH and agrees[0] < LOST_AGREEMENT * agrees[1] and agrees_coarsely
    is_unlike |= not is_own and agrees[0] < MIN_LIKENESS
    is_noise = low[0] > MIN_NORMALITY * middle[0] and deviation < MAX_NOISE
    noise = round(deviation, DIGITS + 1) if is_noise else 0.0
    return Faults(
        round(float(finest), DIGITS),
        round(float(following), DIGITS),
        noise,
        bool(is_own),
        bool(is_unlike),
        bool(is_colour_map),
        bool(is_lost),
    )


def _scales(output: np.ndarray, source: np.ndarray) -> list[DetailScale]:
    """Return the candidates for the detail at NUM_SCALES scales and at one coarser scale, the finest first."""
    scales: list[DetailScale] = []
    for _ in range(NUM_SCALES + 1):
        scales.append(detail_scale(array_pictures, output, source))
        output, source = scales[-1].half, scales[-1].half_source
    return scales


def _errors(finest: DetailScale, output: np.ndarray, source: np.ndarray) -> tuple[float, float]:
    """Return the mean squared errors of the finest detail predicted by the guided filter, and by one colour map."""
    colour_map = fit_colour_map(finest.half_source, finest.half)
    scales = (finest, detail_scale(array_pictures, output, source, colour_map))
    by_filter, by_map = (float(np.mean((scale.found.guided - scale.truth) ** 2)) for scale in scales)
    return by_filter, by_map


def _moments(scales: Sequence[DetailScale]) -> np.ndarray:
    """Return five statistics of the detail at each of N scales, (5, N): powers, a product, and two deviations.

    They are the power of the true detail and of its prediction, the product of the two, and the standard deviation of
    their difference, estimated by the quantiles LOW and MIDDLE.
    """
    moments = []
    for scale, coarser in pairwise(scales):
        made = predict_detail(array_pictures, scale, measure_accuracy(array_pictures, coarser))
        low, middle = np.quantile(np.abs(scale.truth - made), (LOW[0], MIDDLE[0])) / (LOW[1], MIDDLE[1])
        moments.append([(scale.truth**2).mean(), (made**2).mean(), (made * scale.truth).mean(), low, middle])
    return np.array(moments, np.float64).T


def correct_faults(ops: Ops, x: Picture, source: Picture, faults: Faults) -> Picture:
    """Correct the faults of a network's picture ``x``; the source has the same size."""
    if faults.noise:
        x = _remove_noise(ops, x, source, faults.noise)
    if (faults.finest, faults.next) != (1, 1):
        whole, half = ops.size_of(x), halve(ops, x)
        finest = lost_detail(ops, x, ops.size_of(half))
        following = lost_detail(ops, half, ops.size_of(halve(ops, half)))
        x = ops.plus(x, finest, faults.finest - 1)
        x = ops.plus(x, enlarge_back_projected(ops, following, whole, 1), faults.next - 1)
    return ops.clip(x, 0, 1)


def _remove_noise(ops: Ops, x: Picture, source: Picture, deviation: float) -> Picture:
    """Reduce the noise, of this standard ``deviation``, in a picture's finest detail, by a Wiener filter.

    Noise is the detail that is not predicted from the source and from half the picture's size.
    """
    scale = detail_scale(ops, x, source)
    coarser = detail_scale(ops, scale.half, scale.half_source)
    left = ops.minus(scale.truth, predict_detail(ops, scale, measure_accuracy(ops, coarser)))
    power = ops.blur(ops.product(left, left), ACCURACY_SIGMA) / COLOURS
    return ops.minus(x, ops.times(left, ops.clip(deviation**2 / (power + 1e-12), 0, 1)))


def smooth_along_lines(ops: Ops, picture: Picture) -> Picture:
    """Average a picture along its lines; pixels without a line stay unchanged."""
    right, down = _directions(ops, ops.luma(picture))
    total, weights = picture, 1.0
    for distance in range(1, LINE_REACH + 1):
        weight = exp(-((distance / LINE_SIGMA) ** 2) / 2)
        for step in (-distance, distance):
            total = ops.plus(total, ops.sample_shifted(picture, step * right, step * down), weight)
        weights += 2 * weight
    return total * (1 / weights)


def _directions(ops: Ops, luma: Map) -> tuple[Map, Map]:
    """Return the step along the line at each pixel, right and down: length 1, shorter where there is no clear line."""
    smooth = ops.blur(luma, NOISE_SIGMA)
    across, along = (ops.convolve(smooth, SLOPE, SCHARR_SMOOTHING), ops.convolve(smooth, SCHARR_SMOOTHING, SLOPE))
    xx, xy, yy = (ops.blur(product, TENSOR_SIGMA) for product in (across * across, across * along, along * along))
    gap = ((xx - yy) ** 2 + 4 * xy * xy) ** 0.5
    cosine = (xx - yy) / (gap + FLAT**2)  # Cosine of twice the gradient's angle; lines are perpendicular to it
    line = gap / (xx + yy + FLAT)
    sign = ops.clip((xy + 1e-12) * 1e30, -1, 1)
    return -sign * line * ops.clip((1 - cosine) / 2, 0, 1) ** 0.5, line * ops.clip((1 + cosine) / 2, 0, 1) ** 0.5


def upscale(
    output: np.ndarray, source: np.ndarray, mode: str, faults: Faults = FAULTLESS, share: float = 1.0
) -> np.ndarray:
    """Enlarge a network's output to the size of its source.

    Args:
        output: The network's picture, (h, w, 3) uint8, uint16 or float32 from 0 to 1.
        source: The frame that it was painted from, (H, W, 3) of any of these types.
        mode: One of ``MODES``. "guided": with the detail of the source where it agrees. "auto": the same, except that
            boiling texture is not strengthened, detail of a drawing is not added, and a network with lost detail is
            enlarged as by "clean". "clean": the source's detail instead of the output's, where they agree. "faithful":
            by back-projection alone, without the source. "bicubic".
        faults: The faults to correct in the output.
        share: The share of the difference from a bicubic resize, from 0 to 1.

    Returns:
        (H, W, 3) of the output's type. In every mode, a picture that becomes smaller on both sides is averaged.
    """
    if array_pictures.size_of(output) == array_pictures.size_of(source):
        return output
    return enlarge_to_source(
        array_pictures, unit(output), source, mode, faults, share, lambda made: _to_dtype(made, output.dtype)
    )


def upscale_on(
    device: torch.device | str,
    output: np.ndarray,
    source: np.ndarray,
    mode: str,
    faults: Faults = FAULTLESS,
    share: float = 1.0,
) -> np.ndarray:
    """Enlarge a network's output to its source's size, like ``upscale``, by torch on a device."""
    from vidtrans.upscaling import tensor_pictures as ops  # imports torch

    if output.shape == source.shape:
        return output
    made = enlarge_to_source(ops, ops.upload(output, device), ops.upload(source, device), mode, faults, share)[0]
    return ops.download(made, output.dtype)


def enlarge_to_source(
    ops: Ops,
    x: Picture,
    source: Picture,
    mode: str,
    faults: Faults = FAULTLESS,
    share: float = 1.0,
    convert: Callable[[Picture], Picture] = lambda made: made,
) -> Picture:
    """Enlarge a float32 picture ``x`` to its source's size; ``ops``: the module of operations for these pictures.

    ``mode``, ``faults`` and ``share``: see ``upscale``. ``convert``: converts strips of the result, float32 from 0
    to 1.
    """
    size, small = ops.size_of(source), ops.size_of(x)
    if size[0] <= small[0] or size[1] <= small[1]:
        is_smaller = size[0] <= small[0] and size[1] <= small[1]
        return convert(ops.clip(ops.shrink(x, size) if is_smaller else ops.enlarge(x, size), 0, 1))
    made = _mode_strips(ops, x, source, mode, faults)
    soft = ops.EnlargedStrips(x, size) if share < 1 else None

    def strip(rows: slice) -> Picture:
        """Return the rows of the result: the picture mixed with its bicubic enlargement by ``share``."""
        picture = made(rows)
        if soft is not None:
            bicubic = soft[rows]
            picture = ops.plus(bicubic, ops.minus(picture, bicubic), share)
        return convert(ops.clip(picture, 0, 1))

    return ops.join_strips(map(strip, ops.strips(size)))


def _mode_strips(ops: Ops, x: Picture, source: Picture, mode: str, faults: Faults) -> Strips:
    """Return a picture at its source's size by strips, in a mode of ``MODES``."""
    size = ops.size_of(source)
    if mode == "bicubic":
        return ops.EnlargedStrips(x, size).__getitem__
    if mode == "faithful":
        return ops.EnlargedStrips(back_project(ops, x, size, BACK_PROJECTIONS), size).__getitem__
    small_source = shrink_any(ops, source, ops.size_of(x))
    x = correct_faults(ops, x, small_source, faults)
    is_auto = mode == "auto"
    if mode == "clean" or (is_auto and faults.is_lost):
        return _enlarge_clean(ops, x, small_source, source)
    if is_auto and faults.is_own:
        return _enlarge_boiling(ops, x, size)
    return _enlarge_guided(ops, x, small_source, source, faults, is_unlike=is_auto and faults.is_unlike)


def _enlarge_guided(
    ops: Ops, x: Picture, small_source: Picture, source: Picture, faults: Faults, *, is_unlike: bool
) -> Strips:
    """Return the strips of a picture enlarged with the detail of the guided filter and of sharp edges.

    ``is_unlike``: the detail of the guided filter, which is the source's, is not added.
    """
    size, colour_map = ops.size_of(source), None
    if faults.is_colour_map:
        colour_map = fit_colour_map(*(ops.on_host(halve(ops, each)) for each in (small_source, x)))
    accuracy = measure_accuracy(ops, detail_scale(ops, x, small_source, colour_map))
    if is_unlike:
        accuracy = Details(accuracy.guided * 0, accuracy.edges)
    guide, edges = make_guide(ops, small_source, x, colour_map), sharp_edges(ops, x, size)
    visible = back_project(ops, guide.average(source, small_source), size, 1), visible_edges(ops, edges, size)
    # The part of both candidates that the small picture already shows is subtracted, so that finer detail is added.
    rest = back_project(ops, x, size, BACK_PROJECTIONS)
    for each, weights in zip(visible, accuracy, strict=True):
        rest = ops.minus(rest, ops.times(each, weights))
    whole, sharp = ops.EnlargedStrips(rest, size), ops.EnlargedStrips(edges.sharp, size)
    low, high, *gains = (ops.EnlargedStrips(each, size, is_limited=True) for each in (edges.low, edges.high, *accuracy))
    guided = guide(source)

    def strip(rows: slice) -> Picture:
        """Return rows of the enlarged picture, clamped to the range of the neighbouring pixels."""
        lowest, highest, by_guide = low[rows], high[rows], guided(rows)
        both = by_guide, ops.clamp(sharp[rows], lowest, highest)
        detail = ops.plus(*(ops.times(each, weights[rows]) for each, weights in zip(both, gains, strict=True)))
        picture = _clamp_extended(ops, ops.plus(whole[rows], detail), lowest, highest)
        lowest, highest = lowest - HALO, highest + HALO
        if not is_unlike:
            lowest, highest = ops.extend_range(lowest, highest, by_guide)
        return ops.clamp(picture, lowest, highest)

    return strip


def _enlarge_boiling(ops: Ops, x: Picture, size: Size) -> Strips:
    """Enlarge a picture whose texture changes from frame to frame (boils), without its source.

    Its lines and edges are smoothed and sharpened at twice the size.
    """
    small, large = ops.size_of(x), doubled_size(ops.size_of(x), size)
    grown = ops.clamp(ops.enlarge(x, large), *(ops.enlarge_linear(extreme, large) for extreme in ops.extremes(x)))
    smooth = smooth_along_lines(ops, grown)
    low, high = ops.extremes(smooth, 2)
    blurred = ops.blur(smooth, LINE_SHARPENING_SIGMA * large[0] / small[0])
    sharp = ops.clamp(ops.plus(smooth, ops.minus(smooth, blurred), LINE_SHARPENING), low, high)
    # Restore the picture as it was at the small size, except for its staircase edges.
    changed = ops.blur(ops.minus(ops.shrink(grown, small), ops.shrink(sharp, small)), STAIRCASE_SIGMA)
    made = ops.clamp(ops.plus(sharp, enlarge_back_projected(ops, changed, large, 1)), low, high)
    whole = ops.EnlargedStrips(made, size)
    lowest, highest = (ops.EnlargedStrips(extreme, size, is_limited=True) for extreme in ops.extremes(made))
    return lambda rows: ops.clamp(whole[rows], lowest[rows], highest[rows])


def _enlarge_clean(ops: Ops, x: Picture, small_source: Picture, source: Picture) -> Strips:
    """Return the strips of an enlarged picture whose finest detail is replaced by the guided filter's detail.

    It is replaced where the guided filter is accurate.
    """
    size, small = ops.size_of(source), ops.size_of(x)
    fewer = max(1, round(small[0] / CLEAN_FACTOR)), max(1, round(small[1] / CLEAN_FACTOR))
    scale = detail_scale(ops, x, small_source)
    accuracy = measure_accuracy(ops, detail_scale(ops, scale.half, scale.half_source)).guided
    shown, shown_source = ops.shrink(x, fewer), ops.shrink(small_source, fewer)
    guide = GuidedFilter(ops, shown_source, shown)
    visible = ops.EnlargedStrips(back_project(ops, guide.average(source, shown_source), size, 1), size)
    soft, own = ops.EnlargedStrips(x, size), ops.EnlargedStrips(lost_detail(ops, x, fewer), size)
    low, high, factor = (ops.EnlargedStrips(each, size, is_limited=True) for each in (*ops.extremes(x), accuracy))
    guided = guide(source)

    def strip(rows: slice) -> Picture:
        """Return rows of the enlarged picture with the replaced detail."""
        instead = ops.minus(ops.minus(guided(rows), visible[rows]), own[rows])
        return _clamp_extended(ops, ops.plus(soft[rows], ops.times(instead, factor[rows])), low[rows], high[rows])

    return strip


def _clamp_extended(ops: Ops, picture: Picture, low: Picture, high: Picture) -> Picture:
    """Clamp a picture to the range from ``low`` to ``high``, extended on both sides by its width.

    This limits the texture from the source.
    """
    span = ops.minus(high, low)
    return ops.clamp(picture, ops.minus(low, span), ops.plus(high, span))


def _to_dtype(picture: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Convert a picture in [0, 1] to a dtype."""
    if dtype == np.float32:
        return picture
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    return np.rint(picture * np.float32(most)).astype(dtype)


def upscale_stream(output: np.ndarray, source: np.ndarray, mode: str) -> np.ndarray:
    """Enlarge a network's output to its source's size, (H, W, 3) uint8, in real time.

    Args:
        output: The network's picture, (h, w, 3) uint8, smaller than the source.
        source: The frame that it was painted from, (H, W, 3) uint8.
        mode: "luma", with the detail of the source's luma where both agree, or "bicubic".
    """
    colours = array_pictures.enlarge(output, array_pictures.size_of(source))
    if mode == "bicubic":
        return colours
    level = np.float32(1 / 255)
    change = luma_change(array_pictures, array_pictures.luma(output * level), array_pictures.luma(source) * level)
    return cv2.add(colours, array_pictures.merge([change * np.float32(255)] * 3), dtype=cv2.CV_8U)


def upscale_stream_on(device: torch.device | str, output: np.ndarray, source: np.ndarray, mode: str) -> np.ndarray:
    """Enlarge a network's output to its source's size, uint8, like ``upscale_stream``, by torch on a device."""
    from vidtrans.upscaling import tensor_pictures as ops  # imports torch

    x, frame = ops.upload(output, device), ops.upload(source, device)
    if mode == "bicubic":
        made = ops.enlarge(x, ops.size_of(frame)).clamp(0, 1)
    else:
        made = enlarge_by_luma(ops, x, ops.luma(frame))
    return ops.download(made[0], output.dtype)


def enlarge_by_luma(ops: Ops, x: Picture, guide: Map) -> Picture:
    """Enlarge a picture ``x`` to the size of ``guide``, the luma of its source, with the detail of this luma."""
    change = luma_change(ops, ops.luma(x), guide)
    colours = ops.clip(ops.enlarge(x, ops.size_of(guide)), 0, 1)
    return ops.clip(ops.plus(colours, ops.merge([change] * 3)), 0, 1)


def luma_change(ops: Ops, luma: Map, guide: Map) -> Map:
    """Return the detail to add to each channel of a picture after its bicubic enlargement to the guide's size.

    ``luma``: of the small picture. ``guide``: the luma of its source.
    """
    size, small = ops.size_of(guide), ops.size_of(luma)
    small_guide = ops.shrink(guide, small)
    factor = slope(ops, small_guide, luma) * gain(ops, luma, small_guide)
    deviation = max(MIN_CRISP_SIGMA, CRISP_SIGMA * min(1, size[0] / small[0] - 1))
    detail = guide - ops.enlarge(_sharpen(ops, small_guide, deviation), size)
    made = ops.enlarge(_sharpen(ops, luma, deviation), size) + ops.enlarge_linear(factor, size) * detail
    low, high = ops.extremes(luma)
    span = high - low
    made = ops.clamp(made, ops.enlarge_linear(low - span, size), ops.enlarge_linear(high + span, size))
    return made - ops.clip(ops.enlarge(luma, size), 0, 1)


def slope(ops: Ops, guide: Map, luma: Map) -> Map:
    """Return the averaged factor of the local linear map from the guide's luma to the picture's; both have one size."""
    own, mean = ops.mean_around(luma, RADIUS), ops.mean_around(guide, RADIUS)
    shared = ops.mean_around(guide * luma, RADIUS) - own * mean
    return ops.mean_around(shared / (ops.mean_around(guide * guide, RADIUS) - mean * mean + EPSILON), RADIUS)


def gain(ops: Ops, luma: Map, guide: Map) -> Map:
    """Return the accuracy, 0 to 1, of the guide's detail, measured on the finest detail of ``luma``."""
    half, half_guide = halve(ops, luma), halve(ops, guide)
    fewer = ops.size_of(half)
    found = ops.enlarge_linear(slope(ops, half_guide, half), ops.size_of(luma)) * lost_detail(ops, guide, fewer)
    truth = lost_detail(ops, luma, fewer)
    power = ops.mean_around(found * found, GAIN_RADIUS)
    return ops.clip(ops.mean_around(found * truth, GAIN_RADIUS) / (power + GAIN_RIDGE), 0, 1)


def _sharpen(ops: Ops, luma: Map, deviation: float) -> Map:
    """Sharpen a luma map by unsharp masking with a blur of this deviation in pixels."""
    return 2 * luma - ops.blur(luma, deviation)
