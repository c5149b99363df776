"""Enlarge a picture: what it shows is kept, and what it cannot show comes from its source as far as both agree."""

from __future__ import annotations

import numpy as np

from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.detail import (
    BACK_PROJECTIONS,
    Details,
    Ops,
    Picture,
    agreement,
    back_project,
    begin,
    candidates,
    predicted,
    scale_of,
    unseen,
)
from vidtrans.upscaling.guidance import guided
from vidtrans.upscaling.mending import FAULTLESS, Faults, mended

# Where the output's finest detail is its own, not the source's: the share of its sharpened edges, which stay within its
# colours, and the difference below which detail of the source is grain or compression.
OWN_EDGES, FAINT = 0.7, 3 / 255
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
            own finest detail is not strengthened where it boils, and what a drawing shows stays out; "clean": the
            source's detail instead of the output's, where they agree; "faithful": by back-projection alone, which
            shows nothing but the output; "bicubic".
        faults: what is mended in the output before.
        share: of what the mode adds to a bicubic resize, from 0 to 1.

    Returns:
        (H, W, 3) of the output's type. A side that becomes smaller is averaged, whatever the mode.
    """
    if array_pictures.size_of(output) == array_pictures.size_of(source):
        return output
    return _as(enlarged(array_pictures, unit(output), unit(source), mode, faults, share), output.dtype)


def enlarged(
    ops: Ops, x: Picture, source: Picture, mode: str, faults: Faults = FAULTLESS, share: float = 1.0
) -> Picture:
    """Return a picture ``x`` at its source's size; ``ops`` is the module of operations for both, float32."""
    size, small, given = ops.size_of(source), ops.size_of(x), x
    if size[0] <= small[0] or size[1] <= small[1]:
        is_smaller = size[0] <= small[0] and size[1] <= small[1]
        made = ops.shrink(x, size) if is_smaller else ops.enlarge(x, size)
    elif mode == "bicubic":
        made = ops.enlarge(x, size)
    elif mode == "faithful":
        made = ops.enlarge(back_project(ops, x, size, BACK_PROJECTIONS), size)
    else:
        small_source = ops.shrink(source, small)
        x = mended(ops, x, small_source, faults)
        if mode == "clean":
            made = _clean(ops, x, small_source, source)
        else:
            made = _guided(ops, x, small_source, source, faults if mode == "auto" else FAULTLESS)
    if share < 1:
        soft = ops.enlarge(given, size)
        made = ops.plus(soft, ops.minus(made, soft), share)
    return ops.clip(made, 0, 1)


def _guided(ops: Ops, x: Picture, small_source: Picture, source: Picture, faults: Faults) -> Picture:
    size, small = ops.size_of(source), ops.size_of(x)
    begun = begin(ops, x, small_source, source)
    by_guide = guided(ops, small_source, x, source)
    found, twice, low, high = candidates(ops, begun, by_guide), begun.twice, begun.low, begun.high
    right = agreement(ops, scale_of(ops, x, small_source))
    if faults.is_unlike:
        right = Details(right.guided * 0, right.edges)
    if faults.is_own:
        faint = ops.clip(found.guided, -FAINT, FAINT)
        made = ops.times(ops.minus(found.guided, faint), ops.spread(right.guided, size))
        made = ops.plus(ops.enlarge(x, size), ops.plus(made, found.edges, OWN_EDGES))
        return ops.between(made, low, high)
    shown = ops.enlarge(ops.plus(twice, ops.minus(x, ops.shrink(ops.enlarge(twice, size), small))), size)
    made = _within(ops, ops.plus(shown, predicted(ops, found, right)), low, high)
    low, high = low - HALO, high + HALO
    if not faults.is_unlike:
        low, high = ops.widened(low, high, by_guide)
    return ops.between(made, low, high)


def _clean(ops: Ops, x: Picture, small_source: Picture, source: Picture) -> Picture:
    size, small = ops.size_of(source), ops.size_of(x)
    fewer = max(1, round(small[0] / SHOWN)), max(1, round(small[1] / SHOWN))
    shown, shown_source = ops.shrink(x, fewer), ops.shrink(source, fewer)
    scale = scale_of(ops, x, small_source)
    right = agreement(ops, scale_of(ops, scale.half, scale.half_source)).guided
    instead = unseen(ops, guided(ops, shown_source, shown, source), fewer)
    own = ops.enlarge(unseen(ops, x, fewer), size)
    made = ops.plus(ops.enlarge(x, size), ops.times(ops.minus(instead, own), ops.spread(right, size)))
    return _within(ops, made, *(ops.spread(extreme, size) for extreme in ops.extremes(x)))


def _within(ops: Ops, picture: Picture, low: Picture, high: Picture) -> Picture:
    """Limit a picture to a range and as much beyond, which keeps out much of the source's texture."""
    span = ops.minus(high, low)
    return ops.between(picture, ops.minus(low, span), ops.plus(high, span))


def unit(picture: np.ndarray) -> np.ndarray:
    """Return a picture in float32, from 0 to 1."""
    if picture.dtype == np.float32:
        return picture
    return picture * np.float32(1 / np.iinfo(picture.dtype).max)


def _as(unit: np.ndarray, dtype: np.dtype[np.generic]) -> np.ndarray:
    """Return a picture from 0 to 1 in another type."""
    if dtype == np.float32:
        return unit
    most = np.iinfo(dtype).max  # type: ignore[type-var]
    return np.rint(unit * np.float32(most)).astype(dtype)
