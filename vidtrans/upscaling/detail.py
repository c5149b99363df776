"""Candidates for the detail that a small picture cannot show, and their agreement with the truth one scale down.

``ops`` is ``array_pictures`` or ``tensor_pictures``; pictures are theirs, float32 from 0 to 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from vidtrans.upscaling.array_pictures import Size, shown_weights
from vidtrans.upscaling.guidance import guide_from, twice

BACK_PROJECTIONS = 3  # of the output; a fourth changes a picture by less than a level
SHARPENING = 1.5  # of the edges, as a factor of what a blur removes from them
SHARPENED = 0.6  # pixels of the small picture: the blur's standard deviation
WINDOW = 3.0  # pixels of the small picture: the standard deviation of the window in which agreement is measured
RIDGE = 1e-4  # of the least squares; colours are from 0 to 1
Ops = Any  # a module of operations
Picture = Any  # an array or a tensor


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


def _shared(ops: Ops, one: Picture, other: Picture) -> Any:  # noqa: ANN401  (a map)
    """Return the product of two pictures, summed over colours and averaged around each pixel."""
    return ops.blur(ops.product(one, other), WINDOW)
