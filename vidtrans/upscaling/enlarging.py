"""Enlarge a picture: what it shows is kept, and what it cannot show comes from its source as far as both agree.

In the order of this file: a picture at the size of a guide, by a guided filter from colours to colours or by one map of
colours for all pixels; candidates for the detail that a small picture cannot show, and their agreement with the truth
one scale down; a network's faults; the modes; pictures of a stream. ``ops`` is ``array_pictures`` or
``tensor_pictures``; pictures and maps are theirs, float32 from 0 to 1.

The faults of a network's pictures (blur, ringing, noise) are found by their agreement with the source at three scales.
Half and a quarter of the size are nearly free of a fault whose reach is a pixel. There it shows how far the finest
detail can be predicted from what is coarser and from the source; at full size a blur makes it weaker than predicted,
ringing stronger, and noise adds what nothing predicts.

Smoothing along lines and edges takes away the steps and beads that pixels make of them: a line integral along the
direction of the smoothed structure tensor (Kyprianidis and Kang, "Image and Video Abstraction by Coherence-Enhancing
Filtering", Computer Graphics Forum 2011).

Pictures of a stream take their colours by interpolation, and the luma with the detail of the source's luma: the guided
filter with one channel, whose detail has a gain that is measured one scale down. It takes a small part of the time of
the modes, and knows neither the output's own edges nor a network's faults.
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
from vidtrans.upscaling.array_pictures import Size, shown_weights, unit

if TYPE_CHECKING:
    import torch

Ops = Any  # a module of operations
Picture = Any  # an array or a tensor
Map = Any  # the same, of one channel
Strips = Callable[[slice], Picture]  # the rows of a picture
RADIUS = 2  # pixels of the small picture, of the windows in which a colour is a linear map of the guide's
EPSILON = 2e-4  # variance, of colours from 0 to 1, below which a window counts as flat
# A map of colours: nodes a side, the most pixels that it is fitted to, the weight with which a node without pixels
# stays on the linear map of colours, and rounds of the fit.
NODES, FITTED, PRIOR, ROUNDS = 17, 10_000, 0.05, 6
BACK_PROJECTIONS = 3  # of the output; a fourth changes a picture by less than a level
SHARPENING = 1.5  # of the edges, as a factor of what a blur removes from them
SHARPENED = 0.6  # pixels of the small picture: the blur's standard deviation
WINDOW = 3.0  # pixels of the small picture: the standard deviation of the window in which agreement is measured
RIDGE = 1e-4  # of the least squares; colours are from 0 to 1
SCALES = 3
# A look that changes fine detail more than coarse detail is not a fault: its finest detail agrees less with the source.
LEAST_AGREEMENT, LEAST_STEADY = 0.5, 0.87  # of the finest detail; and as a share of the next scale's
# The strength of the finest detail over that of the coarsest: a blur is below; ringing between the others, and falls
# from scale to scale; where detail is stronger, the look draws lines of its own. A blur weakens the next scale, too.
BLURRED, RINGING, DRAWN = 0.78, 1.14, 1.26
BLURRED_NEXT = 0.95
STRONGEST = 1.55  # of the finest detail, over what is predicted
LEAST_ALIKE = 0.45  # agreement of the finest detail; or at any scale, where the network's own texture is not sought
# The network's own texture: its finest detail is far weaker than predicted, and does not agree with the source.
OWN, NOT_OWN = 0.72, 0.83  # strength over the next scale's, and agreement of the next scale with the source
# A network that follows the source closely but for its finest detail, which it has lost: that detail's strength, and
# agreement over the next scale's, at most; the agreement of the coarser scales, at least.
LOST, LOST_ALIKE, KEPT_ALIKE = 0.42, 0.58, (0.7, 0.9)
POWER = 1.5  # the coarsest scale has a part of the fault, so the factor is larger than measured
LEAST, MOST = (0.6, 0.8), (1.9, 1.25)  # factors of the finest detail and of the next
NOISIEST = 7 / 255  # standard deviation: beyond, it is texture
# Quantiles of absolute differences, with those of a normal distribution of deviation 1: noise has the same deviation by
# both; what a look adds is sparse, and has less by the lower one.
LOW, MIDDLE = (0.1, 0.1257), (0.25, 0.3186)
LEAST_NORMAL = 0.85  # of the one deviation to the other
# The most power of the errors of a map of colours, over those of a guided filter, and over the detail's.
MAP_BETTER, MAP_ERROR = 0.8, 0.5
COLOURS = 3
DIGITS = 3  # of the factors, so that rounding of a processor does not change them
REACH, SPREAD = 3, 1.6  # pixels along a line, each way, and the weights' standard deviation
NOISE, AROUND = 0.8, 1.5  # pixels: deviations of the blurs before and after the derivatives
SLOPE = np.array([-0.5, 0, 0.5], np.float32)
BESIDE = np.array([3, 10, 3], np.float32) / 16  # Scharr's
FLAT = 1e-5  # gradients, squared, below which there is no line
# Where the output's finest detail is its own, not the source's: how much its lines are sharpened, as a factor of what a
# blur removes from them; that blur's standard deviation, and that of the steps of pixels, in pixels of the output.
LINE_SHARPENING, LINE_SHARPENED, STEPS = 2.0, 0.6, 0.5
HALO = 4 / 255  # beyond the range of the pixels around and of the guided picture
SHOWN = 1.5  # a clean picture keeps of the small one what this many times fewer pixels a side show
GAIN_RIDGE = 3e-5  # of the least squares of the gain
GAIN_WINDOW = 5  # pixels of the small picture, around each pixel, in which the gain is measured
# One back-projection sharpens about as much as this blur's difference, which takes a fraction of its time: a standard
# deviation in pixels, of pictures that become at least twice as large.
CRISP, LEAST_CRISP = 0.45, 0.1


class LocallyLinear:
    """A linear map of colours around each pixel, from ``guide`` to ``picture``, both small and of one size."""

    def __init__(self, ops: Ops, guide: Picture, picture: Picture) -> None:
        self._ops, self._maps = ops, _local_maps(ops, ops.channels(guide), ops.channels(picture))

    def __call__(self, guide: Picture) -> Strips:
        """Return the strips of the picture at the size of a guide, of any type."""
        ops, size = self._ops, self._ops.size_of(guide)
        maps = [[ops.in_strips(each, size, is_limited=True) for each in maps_of] for maps_of in self._maps]

        def strip(rows: slice) -> Picture:
            planes, made = ops.channels(ops.strip_of(guide, rows)), []
            for *factors, shift in maps:
                channel = shift[rows]
                for factor, plane in zip(factors, planes, strict=True):
                    channel = ops.plus_product(channel, factor[rows], plane)
                made.append(channel)
            return ops.merge(made)

        return strip

    def averaged(self, guide: Picture, small_guide: Picture) -> Picture:
        """Return the picture at the size of a guide after averaging to that of the small guide.

        The average of what is mapped linearly is the map of the average.
        """
        planes, made = self._ops.channels(small_guide), []
        for *factors, shift in self._maps:
            made.append(sum((factor * plane for factor, plane in zip(factors, planes, strict=True)), start=shift))
        return self._ops.merge(made)


class Mapped:
    """One map of colours for all pixels, by the nodes of a lattice."""

    def __init__(self, ops: Ops, nodes: np.ndarray) -> None:
        self._ops, self._map = ops, ops.colour_map(nodes)

    def __call__(self, guide: Picture) -> Strips:
        """Return the strips of the picture at the size of a guide, of any type."""
        return lambda rows: self._map(self._ops.strip_of(guide, rows))

    def averaged(self, guide: Picture, small_guide: Picture) -> Picture:
        """Return the averaged picture, of colours that were averaged before over less than the half of its pixels."""
        ops, small = self._ops, self._ops.size_of(small_guide)
        enough = twice(small, ops.size_of(guide))
        return ops.shrink(self._map(shrunk(ops, guide, enough)), small)


def twice(small: Size, large: Size) -> Size:
    """Return twice a size, or a larger one if that is smaller."""
    return min(2 * small[0], large[0]), min(2 * small[1], large[1])


def shrunk(ops: Ops, picture: Picture, size: Size) -> Picture:
    """Return a picture of any type at a smaller size, in float32."""
    made = ops.sum_of_strips(ops.size_of(picture), size)
    for rows in ops.strips(ops.size_of(picture)):
        made.add(rows, ops.strip_of(picture, rows))
    return made.picture()


def guide_from(ops: Ops, guide: Picture, picture: Picture, colour_map: np.ndarray | None) -> LocallyLinear | Mapped:
    """Return the map from a small guide's colours to a picture's, by the nodes of a map for all pixels, if given."""
    return LocallyLinear(ops, guide, picture) if colour_map is None else Mapped(ops, colour_map)


def fit_colour_map(guide: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Return the nodes, (n, n, n, 3) float32, of the map from a guide's colours to a picture's of the same size."""
    step = max(1, int(np.sqrt(guide.size / 3 / FITTED)))
    given, wanted = (each[::step, ::step].reshape(-1, 3).astype(np.float64) for each in (guide, picture))
    linear = np.linalg.lstsq(np.c_[given, np.ones(len(given))], wanted, rcond=None)[0]
    nodes = node_colours(NODES).reshape(-1, 3) @ linear[:3] + linear[3]
    weights = interpolation(given, NODES)
    each = (np.asarray(weights.sum(axis=0)).ravel() + PRIOR)[:, None]
    for _ in range(ROUNDS):
        nodes += weights.T @ (wanted - weights @ nodes) / each
    return nodes.reshape(NODES, NODES, NODES, 3).astype(np.float32)


def _local_maps(ops: Ops, guide: Sequence[Any], picture: Sequence[Any]) -> list[list[Any]]:
    """Return for each channel of a picture the factors of the guide's three channels and the shift, averaged."""

    def mean(channel: Map) -> Map:
        return ops.mean_around(channel, RADIUS)

    means = [mean(channel) for channel in guide]
    a, b, c, d, e, f = (
        mean(guide[i] * guide[j]) - means[i] * means[j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    )
    a, d, f = a + EPSILON, d + EPSILON, f + EPSILON
    # The inverse of a symmetric 3x3 matrix is its adjugate over its determinant.
    inverse = [[d * f - e * e, c * e - b * f, b * e - c * d], [], []]
    inverse[1] = [inverse[0][1], a * f - c * c, b * c - a * e]
    inverse[2] = [inverse[0][2], inverse[1][2], a * d - b * b]
    scale = 1 / (a * inverse[0][0] + b * inverse[0][1] + c * inverse[0][2])
    found = []
    for channel in picture:
        own = mean(channel)
        shared = [mean(other * channel) - its * own for other, its in zip(guide, means, strict=True)]
        factors = [sum(x * y for x, y in zip(row, shared, strict=True)) * scale for row in inverse]
        shift = own - sum(factor * its for factor, its in zip(factors, means, strict=True))
        found.append([mean(each) for each in (*factors, shift)])
    return found


class Details(NamedTuple):
    """The detail of the guided picture and that of the sharpened edges, or maps of how far each is right."""

    guided: Any
    edges: Any


def half_of(ops: Ops, picture: Picture) -> Picture:
    """Return a picture at half its size."""
    width, height = ops.size_of(picture)
    return ops.shrink(picture, (max(1, width // 2), max(1, height // 2)))


def back_project(ops: Ops, picture: Picture, size: Size, times: int) -> Picture:
    """Return a picture of the same size which, enlarged to ``size`` and shrunk again, is nearly ``picture``."""
    weights = [shown_weights(*sides) for sides in zip(ops.size_of(picture), size, strict=True)]
    corrected = picture
    for _ in range(times):
        corrected = ops.plus(corrected, ops.minus(picture, ops.filtered(corrected, *weights)))
    return corrected


def enlarged_back(ops: Ops, picture: Picture, size: Size, times: int) -> Picture:
    """Return a picture after back-projections, at the larger size."""
    return ops.enlarge(back_project(ops, picture, size, times), size)


def unseen(ops: Ops, picture: Picture, size: Size) -> Picture:
    """Return the part of a picture that its shrunk version of ``size`` does not show: a difference around 0."""
    return ops.minus(picture, enlarged_back(ops, ops.shrink(picture, size), ops.size_of(picture), 1))


class SharpEdges(NamedTuple):
    """A small picture which, enlarged and limited to the range of the pixels around, has sharper edges."""

    sharp: Picture
    low: Picture
    high: Picture

    def enlarged(self, ops: Ops, size: Size) -> Picture:
        """Return the picture at a larger size."""
        limits = (ops.spread(extreme, size) for extreme in (self.low, self.high))
        return ops.between(ops.enlarge(self.sharp, size), *limits)


def sharp_edges(ops: Ops, x: Picture, size: Size) -> SharpEdges:
    """Return what makes the edges of a small picture sharp at the larger ``size``."""
    projected = back_project(ops, x, size, BACK_PROJECTIONS - 1)
    sharp = ops.plus(projected, ops.minus(projected, ops.blur(projected, SHARPENED)), SHARPENING)
    return SharpEdges(sharp, *ops.extremes(x))


def seen_of(ops: Ops, edges: SharpEdges, size: Size) -> Picture:
    """Return what a small picture shows of its edges, to be enlarged to ``size``."""
    small = ops.size_of(edges.sharp)
    return back_project(ops, ops.shrink(edges.enlarged(ops, twice(small, size)), small), size, 1)


class DetailScale(NamedTuple):
    """The candidates for the finest detail of a picture, from half its size, beside the truth of it."""

    found: Details
    truth: Picture
    half: Picture
    half_source: Picture


def scale_of(ops: Ops, x: Picture, source: Picture, colour_map: np.ndarray | None = None) -> DetailScale:
    """Return the candidates at the size of ``x``, where it is itself the truth; the source has the same size.

    ``colour_map``: the nodes of the map that makes the guided picture; otherwise it is made by a guided filter.
    """
    half, half_source, size = half_of(ops, x), half_of(ops, source), ops.size_of(x)
    guide, edges = guide_from(ops, half_source, half, colour_map), sharp_edges(ops, half, size)
    strip = guide(source)
    by_guide = ops.stacked(strip(rows) for rows in ops.strips(size))
    found = Details(
        ops.minus(by_guide, enlarged_back(ops, guide.averaged(source, half_source), size, 1)),
        ops.minus(edges.enlarged(ops, size), ops.enlarge(seen_of(ops, edges, size), size)),
    )
    return DetailScale(found, ops.minus(x, enlarged_back(ops, half, size, 1)), half, half_source)


def agreement(ops: Ops, scale: DetailScale) -> Details:
    """Return how far each candidate is right, from 0 to 1: least squares in a window around each pixel, two maps."""
    from_guide, from_edges = scale.found
    gg, ee = _shared(ops, from_guide, from_guide) + RIDGE, _shared(ops, from_edges, from_edges) + RIDGE
    ge = _shared(ops, from_guide, from_edges)
    gt, et = _shared(ops, from_guide, scale.truth), _shared(ops, from_edges, scale.truth)
    determinant = gg * ee - ge * ge
    return Details(ops.clip((ee * gt - ge * et) / determinant, 0, 1), ops.clip((gg * et - ge * gt) / determinant, 0, 1))


def predicted(ops: Ops, scale: DetailScale, right: Details) -> Picture:
    """Return the detail that the candidates make together; ``right`` says how far each is right, at any size."""
    size = ops.size_of(scale.truth)
    parts = [ops.times(each, ops.spread(gain, size)) for each, gain in zip(scale.found, right, strict=True)]
    return ops.plus(*parts)


def _shared(ops: Ops, one: Picture, other: Picture) -> Picture:
    """Return the product of two pictures, summed over colours and averaged around each pixel."""
    return ops.blur(ops.product(one, other), WINDOW)


@dataclass(frozen=True)
class Faults:
    """The faults of a network's pictures of one shot.

    ``finest`` and ``next``: factors for the detail of the finest octave and of the next. ``noise``: standard deviation
    in the finest octave, of colours from 0 to 1. ``is_own``: that octave is the network's own texture, which boils.
    ``is_unlike``: that octave is not the source's, as where this is a drawing; its detail stays out. ``is_colour_map``:
    a colour of the source becomes the same one all over a picture, as in a grade or a poster. ``is_lost``: the network
    follows the source closely, but its finest detail is gone, so that the source's takes its place.
    """

    finest: float = 1.0
    next: float = 1.0
    noise: float = 0.0
    is_own: bool = False
    is_unlike: bool = False
    is_colour_map: bool = False
    is_lost: bool = False


FAULTLESS = Faults()


def find_faults(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Faults:
    """Return the faults of a network's outputs, each beside its source at the same size, (h, w, 3) float32."""
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
    is_steady = agrees[0] > max(LEAST_AGREEMENT, LEAST_STEADY * agrees[1])
    over_coarsest, next_over = strength[:2] / strength[2]
    is_blurred = over_coarsest < BLURRED and next_over < BLURRED_NEXT and strength[2] < DRAWN
    rings = RINGING < over_coarsest < DRAWN and STRONGEST > strength[0] > strength[1]
    finest = following = 1.0
    if is_steady and (is_blurred or rings):
        finest, following = np.clip((strength[2] / strength[:2]) ** POWER, LEAST, MOST)
    # White noise has a quarter of its power at half the size.
    deviation = float(np.sqrt(max(0.0, (low[0] ** 2 - 1.2 * low[1] ** 2) * 4 / 3)))
    is_unlike = agrees.max() < LEAST_ALIKE
    is_own = not (is_unlike or is_steady) and strength[0] < OWN * strength[1] and agrees[1] < NOT_OWN
    is_lost = strength[0] < LOST and agrees[0] < LOST_ALIKE * agrees[1] and bool((agrees[1:] > KEPT_ALIKE).all())
    is_unlike |= not is_own and agrees[0] < LEAST_ALIKE
    is_noise = low[0] > LEAST_NORMAL * middle[0] and deviation < NOISIEST
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
    """Return the candidates for the detail at each scale, the finest first, and those of the next coarser scale."""
    scales: list[DetailScale] = []
    for _ in range(SCALES + 1):
        scales.append(scale_of(array_pictures, output, source))
        output, source = scales[-1].half, scales[-1].half_source
    return scales


def _errors(finest: DetailScale, output: np.ndarray, source: np.ndarray) -> tuple[float, float]:
    """Return the powers of the errors of the finest detail: by the guided filter, and by a map of all colours."""
    colour_map = fit_colour_map(finest.half_source, finest.half)
    scales = (finest, scale_of(array_pictures, output, source, colour_map))
    by_filter, by_map = (float(np.mean((scale.found.guided - scale.truth) ** 2)) for scale in scales)
    return by_filter, by_map


def _moments(scales: Sequence[DetailScale]) -> np.ndarray:
    """Return of each scale the detail's power, its prediction's, what both share, and two deviations: (5, N)."""
    moments = []
    for scale, coarser in pairwise(scales):
        made = predicted(array_pictures, scale, agreement(array_pictures, coarser))
        low, middle = np.quantile(np.abs(scale.truth - made), (LOW[0], MIDDLE[0])) / (LOW[1], MIDDLE[1])
        moments.append([(scale.truth**2).mean(), (made**2).mean(), (made * scale.truth).mean(), low, middle])
    return np.array(moments, np.float64).T


def mended(ops: Ops, x: Picture, source: Picture, faults: Faults) -> Picture:
    """Return a network's picture without its faults; the source has the same size."""
    if faults.noise:
        x = _without_noise(ops, x, source, faults.noise)
    if (faults.finest, faults.next) != (1, 1):
        whole, half = ops.size_of(x), half_of(ops, x)
        finest = unseen(ops, x, ops.size_of(half))
        following = unseen(ops, half, ops.size_of(half_of(ops, half)))
        x = ops.plus(x, finest, faults.finest - 1)
        x = ops.plus(x, enlarged_back(ops, following, whole, 1), faults.next - 1)
    return ops.clip(x, 0, 1)


def _without_noise(ops: Ops, x: Picture, source: Picture, deviation: float) -> Picture:
    """Return a picture whose finest detail is brought nearer to what is predicted, by Wiener's rule."""
    scale = scale_of(ops, x, source)
    coarser = scale_of(ops, scale.half, scale.half_source)
    left = ops.minus(scale.truth, predicted(ops, scale, agreement(ops, coarser)))
    power = ops.blur(ops.product(left, left), WINDOW) / COLOURS
    return ops.minus(x, ops.times(left, ops.clip(deviation**2 / (power + 1e-12), 0, 1)))


def smoothed_along_lines(ops: Ops, picture: Picture) -> Picture:
    """Return a picture that is averaged along its lines; where it has none it stays as it is."""
    right, down = _directions(ops, ops.luma(picture))
    total, weights = picture, 1.0
    for distance in range(1, REACH + 1):
        weight = exp(-((distance / SPREAD) ** 2) / 2)
        for step in (-distance, distance):
            total = ops.plus(total, ops.moved(picture, step * right, step * down), weight)
        weights += 2 * weight
    return total * (1 / weights)


def _directions(ops: Ops, luma: Map) -> tuple[Map, Map]:
    """Return two maps, how far right and down a pixel along the line leads: 1 together, less where there is no line."""
    smooth = ops.blur(luma, NOISE)
    across, along = ops.filtered(smooth, SLOPE, BESIDE), ops.filtered(smooth, BESIDE, SLOPE)
    xx, xy, yy = (ops.blur(product, AROUND) for product in (across * across, across * along, along * along))
    gap = ((xx - yy) ** 2 + 4 * xy * xy) ** 0.5
    cosine = (xx - yy) / (gap + FLAT**2)  # of twice the angle of the gradient, to which a line is perpendicular
    line = gap / (xx + yy + FLAT)
    sign = ops.clip((xy + 1e-12) * 1e30, -1, 1)
    return -sign * line * ops.clip((1 - cosine) / 2, 0, 1) ** 0.5, line * ops.clip((1 + cosine) / 2, 0, 1) ** 0.5


def upscale(
    output: np.ndarray, source: np.ndarray, mode: str, faults: Faults = FAULTLESS, share: float = 1.0
) -> np.ndarray:
    """Return a network's output at its source's size.

    Args:
        output: (h, w, 3) uint8, uint16 or float32 from 0 to 1.
        source: the frame that it was painted from, (H, W, 3) of any of these types.
        mode: of ``MODES``. "guided": with the detail of the source where it agrees; "auto": the same, but the output's
            own finest detail is not strengthened where it boils, what a drawing shows stays out, and a network that
            has lost its finest detail is enlarged as by "clean"; "clean": the source's detail instead of the output's,
            where they agree; "faithful": by back-projection alone, which shows nothing but the output; "bicubic".
        faults: what is mended in the output before.
        share: of what the mode adds to a bicubic resize, from 0 to 1.

    Returns:
        (H, W, 3) of the output's type. A picture that becomes smaller on both sides is averaged, whatever the mode.
    """
    if array_pictures.size_of(output) == array_pictures.size_of(source):
        return output
    return enlarged(array_pictures, unit(output), source, mode, faults, share, lambda made: _as(made, output.dtype))


def upscale_on(
    device: torch.device | str,
    output: np.ndarray,
    source: np.ndarray,
    mode: str,
    faults: Faults = FAULTLESS,
    share: float = 1.0,
) -> np.ndarray:
    """Return a network's output at its source's size, as ``upscale`` does, by torch on a device."""
    from vidtrans.upscaling import tensor_pictures as ops  # imports torch

    if output.shape == source.shape:
        return output
    made = enlarged(ops, ops.uploaded(output, device), ops.uploaded(source, device), mode, faults, share)[0]
    return ops.downloaded(made, output.dtype)


def enlarged(
    ops: Ops,
    x: Picture,
    source: Picture,
    mode: str,
    faults: Faults = FAULTLESS,
    share: float = 1.0,
    delivered: Callable[[Picture], Picture] = lambda made: made,
) -> Picture:
    """Return a picture ``x``, float32, at its source's size; ``ops`` is the module of operations for both.

    ``delivered``: makes of strips of the result, float32 from 0 to 1, those that are returned.
    """
    size, small = ops.size_of(source), ops.size_of(x)
    if size[0] <= small[0] or size[1] <= small[1]:
        is_smaller = size[0] <= small[0] and size[1] <= small[1]
        return delivered(ops.clip(ops.shrink(x, size) if is_smaller else ops.enlarge(x, size), 0, 1))
    made = _strips(ops, x, source, mode, faults)
    soft = ops.in_strips(x, size) if share < 1 else None

    def strip(rows: slice) -> Picture:
        picture = made(rows)
        if soft is not None:
            bicubic = soft[rows]
            picture = ops.plus(bicubic, ops.minus(picture, bicubic), share)
        return delivered(ops.clip(picture, 0, 1))

    return ops.stacked(map(strip, ops.strips(size)))


def _strips(ops: Ops, x: Picture, source: Picture, mode: str, faults: Faults) -> Strips:
    """Return the strips of a picture at its source's size, in a mode of ``MODES``."""
    size = ops.size_of(source)
    if mode == "bicubic":
        return ops.in_strips(x, size).__getitem__
    if mode == "faithful":
        return ops.in_strips(back_project(ops, x, size, BACK_PROJECTIONS), size).__getitem__
    small_source = shrunk(ops, source, ops.size_of(x))
    x = mended(ops, x, small_source, faults)
    is_auto = mode == "auto"
    if mode == "clean" or (is_auto and faults.is_lost):
        return _clean(ops, x, small_source, source)
    if is_auto and faults.is_own:
        return _own(ops, x, size)
    return _guided(ops, x, small_source, source, faults, is_unlike=is_auto and faults.is_unlike)


def _guided(ops: Ops, x: Picture, small_source: Picture, source: Picture, faults: Faults, *, is_unlike: bool) -> Strips:
    size, colour_map = ops.size_of(source), None
    if faults.is_colour_map:
        colour_map = fit_colour_map(*(ops.on_host(half_of(ops, each)) for each in (small_source, x)))
    right = agreement(ops, scale_of(ops, x, small_source, colour_map))
    if is_unlike:
        right = Details(right.guided * 0, right.edges)
    guide, edges = guide_from(ops, small_source, x, colour_map), sharp_edges(ops, x, size)
    seen = back_project(ops, guide.averaged(source, small_source), size, 1), seen_of(ops, edges, size)
    # What is seen of both is taken away before the rest is enlarged, so that of both the detail is added.
    rest = back_project(ops, x, size, BACK_PROJECTIONS)
    for each, weights in zip(seen, right, strict=True):
        rest = ops.minus(rest, ops.times(each, weights))
    whole, sharp = ops.in_strips(rest, size), ops.in_strips(edges.sharp, size)
    low, high, *gains = (ops.in_strips(each, size, is_limited=True) for each in (edges.low, edges.high, *right))
    guided = guide(source)

    def made(rows: slice) -> Picture:
        lowest, highest, by_guide = low[rows], high[rows], guided(rows)
        both = by_guide, ops.between(sharp[rows], lowest, highest)
        detail = ops.plus(*(ops.times(each, weights[rows]) for each, weights in zip(both, gains, strict=True)))
        picture = _within(ops, ops.plus(whole[rows], detail), lowest, highest)
        lowest, highest = lowest - HALO, highest + HALO
        if not is_unlike:
            lowest, highest = ops.widened(lowest, highest, by_guide)
        return ops.between(picture, lowest, highest)

    return made


def _own(ops: Ops, x: Picture, size: Size) -> Strips:
    """Smooth lines and edges along their direction and sharpen them, at twice the size, which is then enlarged."""
    small, large = ops.size_of(x), twice(ops.size_of(x), size)
    grown = ops.between(ops.enlarge(x, large), *(ops.spread(extreme, large) for extreme in ops.extremes(x)))
    smooth = smoothed_along_lines(ops, grown)
    low, high = ops.extremes(smooth, 2)
    blurred = ops.blur(smooth, LINE_SHARPENED * large[0] / small[0])
    sharp = ops.between(ops.plus(smooth, ops.minus(smooth, blurred), LINE_SHARPENING), low, high)
    # What shows at the small size stays as it was, but for the steps of its pixels.
    changed = ops.blur(ops.minus(ops.shrink(grown, small), ops.shrink(sharp, small)), STEPS)
    made = ops.between(ops.plus(sharp, enlarged_back(ops, changed, large, 1)), low, high)
    whole = ops.in_strips(made, size)
    lowest, highest = (ops.in_strips(extreme, size, is_limited=True) for extreme in ops.extremes(made))
    return lambda rows: ops.between(whole[rows], lowest[rows], highest[rows])


def _clean(ops: Ops, x: Picture, small_source: Picture, source: Picture) -> Strips:
    size, small = ops.size_of(source), ops.size_of(x)
    fewer = max(1, round(small[0] / SHOWN)), max(1, round(small[1] / SHOWN))
    scale = scale_of(ops, x, small_source)
    right = agreement(ops, scale_of(ops, scale.half, scale.half_source)).guided
    shown, shown_source = ops.shrink(x, fewer), ops.shrink(small_source, fewer)
    guide = LocallyLinear(ops, shown_source, shown)
    seen = ops.in_strips(back_project(ops, guide.averaged(source, shown_source), size, 1), size)
    soft, own = ops.in_strips(x, size), ops.in_strips(unseen(ops, x, fewer), size)
    low, high, factor = (ops.in_strips(each, size, is_limited=True) for each in (*ops.extremes(x), right))
    guided = guide(source)

    def made(rows: slice) -> Picture:
        instead = ops.minus(ops.minus(guided(rows), seen[rows]), own[rows])
        return _within(ops, ops.plus(soft[rows], ops.times(instead, factor[rows])), low[rows], high[rows])

    return made


def _within(ops: Ops, picture: Picture, low: Picture, high: Picture) -> Picture:
    """Limit a picture to a range and as much beyond, which keeps out much of the source's texture."""
    span = ops.minus(high, low)
    return ops.between(picture, ops.minus(low, span), ops.plus(high, span))


def _as(made: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Return a picture from 0 to 1 in another type."""
    if dtype == np.float32:
        return made
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    return np.rint(made * np.float32(most)).astype(dtype)


def upscale_stream(output: np.ndarray, source: np.ndarray, mode: str) -> np.ndarray:
    """Return a network's output at its source's size, (H, W, 3) uint8.

    Args:
        output: (h, w, 3) uint8, smaller than the source.
        source: the frame that it was painted from, (H, W, 3) uint8.
        mode: "luma": with the detail of the source's luma where both agree; or "bicubic".
    """
    colours = array_pictures.enlarge(output, array_pictures.size_of(source))
    if mode == "bicubic":
        return colours
    level = np.float32(1 / 255)
    change = luma_change(array_pictures, array_pictures.luma(output * level), array_pictures.luma(source) * level)
    return cv2.add(colours, array_pictures.merge([change * np.float32(255)] * 3), dtype=cv2.CV_8U)


def upscale_stream_on(device: torch.device | str, output: np.ndarray, source: np.ndarray, mode: str) -> np.ndarray:
    """Return a network's output at its source's size, uint8, as ``upscale_stream`` does, by torch on a device."""
    from vidtrans.upscaling import tensor_pictures as ops  # imports torch

    x, frame = ops.uploaded(output, device), ops.uploaded(source, device)
    if mode == "bicubic":
        made = ops.enlarge(x, ops.size_of(frame)).clamp(0, 1)
    else:
        made = enlarged_by_luma(ops, x, ops.luma(frame))
    return ops.downloaded(made[0], output.dtype)


def enlarged_by_luma(ops: Ops, x: Picture, guide: Map) -> Picture:
    """Return a picture ``x`` at the size of ``guide``, the luma of its source."""
    change = luma_change(ops, ops.luma(x), guide)
    colours = ops.clip(ops.enlarge(x, ops.size_of(guide)), 0, 1)
    return ops.clip(ops.plus(colours, ops.merge([change] * 3)), 0, 1)


def luma_change(ops: Ops, luma: Map, guide: Map) -> Map:
    """Return what to add to each colour of a picture that was enlarged to the size of ``guide``, and clipped.

    ``luma``: the small picture's. ``guide``: the luma of its source.
    """
    size, small = ops.size_of(guide), ops.size_of(luma)
    small_guide = ops.shrink(guide, small)
    factor = slope(ops, small_guide, luma) * gain(ops, luma, small_guide)
    deviation = max(LEAST_CRISP, CRISP * min(1, size[0] / small[0] - 1))
    detail = guide - ops.enlarge(_crisp(ops, small_guide, deviation), size)
    made = ops.enlarge(_crisp(ops, luma, deviation), size) + ops.spread(factor, size) * detail
    low, high = ops.extremes(luma)
    span = high - low
    made = ops.between(made, ops.spread(low - span, size), ops.spread(high + span, size))
    return made - ops.clip(ops.enlarge(luma, size), 0, 1)


def slope(ops: Ops, guide: Map, luma: Map) -> Map:
    """Return the factor of the local linear map from the guide's luma to a picture's, averaged; all of one size."""
    own, its = ops.mean_around(luma, RADIUS), ops.mean_around(guide, RADIUS)
    shared = ops.mean_around(guide * luma, RADIUS) - own * its
    return ops.mean_around(shared / (ops.mean_around(guide * guide, RADIUS) - its * its + EPSILON), RADIUS)


def gain(ops: Ops, luma: Map, guide: Map) -> Map:
    """Return how far the guide's detail is right, from 0 to 1, by the finest detail that ``luma`` itself shows."""
    half, half_guide = half_of(ops, luma), half_of(ops, guide)
    fewer = ops.size_of(half)
    found = ops.spread(slope(ops, half_guide, half), ops.size_of(luma)) * unseen(ops, guide, fewer)
    truth = unseen(ops, luma, fewer)
    power = ops.mean_around(found * found, GAIN_WINDOW)
    return ops.clip(ops.mean_around(found * truth, GAIN_WINDOW) / (power + RIDGE), 0, 1)


def _crisp(ops: Ops, luma: Map, deviation: float) -> Map:
    return 2 * luma - ops.blur(luma, deviation)
