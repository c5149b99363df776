"""Candidates for the detail that a small picture cannot show, and their agreement with the truth one scale down.

``ops`` is ``array_pictures`` or ``tensor_pictures``; pictures are theirs, float32 from 0 to 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from vidtrans.upscaling.array_pictures import Size
from vidtrans.upscaling.guidance import guided

BACK_PROJECTIONS = 3  # of the output; a fourth changes a picture by less than a level
SHARPENING = 1.5  # of the edges, as a factor of what a blur removes from them
SHARPENED = 0.5  # pixels of the small picture: the blur's standard deviation
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
    corrected = picture
    for _ in range(times):
        shown = ops.shrink(ops.enlarge(corrected, size), ops.size_of(picture))
        corrected = ops.plus(corrected, ops.minus(picture, shown))
    return corrected


def unseen(ops: Ops, picture: Picture, size: Size) -> Picture:
    """Return what of a picture its shrunk version of ``size`` does not show: a difference around 0."""
    return _unseen_beside(ops, picture, ops.shrink(picture, size))


def _unseen_beside(ops: Ops, picture: Picture, shrunk: Picture) -> Picture:
    whole = ops.size_of(picture)
    return ops.minus(picture, ops.enlarge(back_project(ops, shrunk, whole, 1), whole))


class Enlarging(NamedTuple):
    """A small picture ``x`` on the way to its source's size.

    ``twice``: after two back-projections. ``low`` and ``high``: the range of the pixels around, at the source's size.
    """

    x: Picture
    small_source: Picture
    source: Picture
    twice: Picture
    low: Picture
    high: Picture


def begin(ops: Ops, x: Picture, small_source: Picture, source: Picture) -> Enlarging:
    """Return what is needed of a picture more than once. ``small_source``: the source at the size of ``x``."""
    size = ops.size_of(source)
    low, high = (ops.spread(extreme, size) for extreme in ops.extremes(x))
    return Enlarging(x, small_source, source, back_project(ops, x, size, BACK_PROJECTIONS - 1), low, high)


def candidates(ops: Ops, begun: Enlarging, by_guide: Picture) -> Details:
    """Return what of the guided picture and of the sharpened edges the small picture cannot show, at full size."""
    small = ops.size_of(begun.x)
    return Details(unseen(ops, by_guide, small), unseen(ops, _sharpened(ops, begun), small))


def _sharpened(ops: Ops, begun: Enlarging) -> Picture:
    """Return the picture's edges at full size, sharpened, and no brighter or darker than the pixels around them."""
    size = ops.size_of(begun.source)
    enlarged = ops.enlarge(begun.twice, size)
    blurred = ops.blur(enlarged, SHARPENED * size[0] / ops.size_of(begun.x)[0])
    sharp = ops.plus(enlarged, ops.minus(enlarged, blurred), SHARPENING)
    return ops.between(sharp, begun.low, begun.high)


class DetailScale(NamedTuple):
    """The candidates for the finest detail of a picture, from half its size, beside the truth of it."""

    found: Details
    truth: Picture
    half: Picture
    half_source: Picture


def scale_of(ops: Ops, x: Picture, source: Picture) -> DetailScale:
    """Return the candidates at the size of ``x``, where it is itself the truth; the source has the same size."""
    half, half_source = half_of(ops, x), half_of(ops, source)
    found = candidates(ops, begin(ops, half, half_source, source), guided(ops, half_source, half, source))
    return DetailScale(found, _unseen_beside(ops, x, half), half, half_source)


def agreement(ops: Ops, scale: DetailScale) -> Details:
    """Return how far each candidate is right, from 0 to 1: least squares in a window around each pixel, two maps."""
    from_guide, from_edges = scale.found
    gg, ee = _shared(ops, from_guide, from_guide) + RIDGE, _shared(ops, from_edges, from_edges) + RIDGE
    ge = _shared(ops, from_guide, from_edges)
    gt, et = _shared(ops, from_guide, scale.truth), _shared(ops, from_edges, scale.truth)
    determinant = gg * ee - ge * ge
    return Details(ops.clip((ee * gt - ge * et) / determinant, 0, 1), ops.clip((gg * et - ge * gt) / determinant, 0, 1))


def predicted(ops: Ops, found: Details, right: Details) -> Picture:
    """Return the detail that the candidates make together; ``right`` says how far each is right, at any size."""
    size = ops.size_of(found.guided)
    parts = [ops.times(each, ops.spread(gain, size)) for each, gain in zip(found, right, strict=True)]
    return ops.plus(*parts)


def _shared(ops: Ops, one: Picture, other: Picture) -> Any:  # noqa: ANN401  (a map)
    """Return the product of two pictures, summed over colours and averaged around each pixel."""
    return ops.blur(ops.product(one, other), WINDOW)
