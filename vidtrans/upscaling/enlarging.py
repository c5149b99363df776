"""Enlarge a picture: what it shows is kept, and what it cannot show comes from its source as far as both agree.

Smoothing along lines and edges takes away the steps and beads that pixels make of them: a line integral along the
direction of the smoothed structure tensor (Kyprianidis and Kang, "Image and Video Abstraction by Coherence-Enhancing
Filtering", Computer Graphics Forum 2011).
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from typing import Any

import numpy as np

from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.array_pictures import Size, unit
from vidtrans.upscaling.detail import (
    BACK_PROJECTIONS,
    Details,
    Ops,
    Picture,
    agreement,
    back_project,
    enlarged_back,
    half_of,
    scale_of,
    seen_of,
    sharp_edges,
    unseen,
)
from vidtrans.upscaling.guidance import LocallyLinear, Strips, fit_colour_map, guide_from, shrunk, twice
from vidtrans.upscaling.mending import FAULTLESS, Faults, mended

REACH, SPREAD = 3, 1.6  # pixels along a line, each way, and the weights' standard deviation
NOISE, AROUND = 0.8, 1.5  # pixels: deviations of the blurs before and after the derivatives
SLOPE = np.array([-0.5, 0, 0.5], np.float32)
BESIDE = np.array([3, 10, 3], np.float32) / 16  # Scharr's
FLAT = 1e-5  # gradients, squared, below which there is no line


def smoothed_along_lines(ops: Any, picture: Any) -> Any:  # noqa: ANN401  (arrays, or tensors)
    """Return a picture that is averaged along its lines; where it has none it stays as it is."""
    right, down = _directions(ops, ops.luma(picture))
    total, weights = picture, 1.0
    for distance in range(1, REACH + 1):
        weight = exp(-((distance / SPREAD) ** 2) / 2)
        for step in (-distance, distance):
            total = ops.plus(total, ops.moved(picture, step * right, step * down), weight)
        weights += 2 * weight
    return total * (1 / weights)


def _directions(ops: Any, luma: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return two maps, how far right and down a pixel along the line leads: 1 together, less where there is no line."""
    smooth = ops.blur(luma, NOISE)
    across, along = ops.filtered(smooth, SLOPE, BESIDE), ops.filtered(smooth, BESIDE, SLOPE)
    xx, xy, yy = (ops.blur(product, AROUND) for product in (across * across, across * along, along * along))
    gap = ((xx - yy) ** 2 + 4 * xy * xy) ** 0.5
    cosine = (xx - yy) / (gap + FLAT**2)  # of twice the angle of the gradient, to which a line is perpendicular
    line = gap / (xx + yy + FLAT)
    sign = ops.clip((xy + 1e-12) * 1e30, -1, 1)
    return -sign * line * ops.clip((1 - cosine) / 2, 0, 1) ** 0.5, line * ops.clip((1 + cosine) / 2, 0, 1) ** 0.5


# Where the output's finest detail is its own, not the source's: how much its lines are sharpened, as a factor of what a
# blur removes from them; that blur's standard deviation, and that of the steps of pixels, in pixels of the output.
LINE_SHARPENING, LINE_SHARPENED, STEPS = 2.0, 0.6, 0.5
HALO = 4 / 255  # beyond the range of the pixels around and of the guided picture
SHOWN = 1.5  # a clean picture keeps of the small one what this many times fewer pixels a side show


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
