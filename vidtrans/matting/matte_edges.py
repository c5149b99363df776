"""The edge of a matte at the clip's own size, and the colours of what it cuts out."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.flow.warping import blur, grow, shrink
from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.enlarging import LocallyLinear
from vidtrans.video.colour.conversion import to_uint8

VERSION = 2
CERTAIN = 0.04  # a matte this near 0 or 1 is not refined, away from its edge
BAND = 5  # pixels of the small matte, on either side of its edge, in which it is refined
MARGIN = 12  # pixels of the small matte around that
# Where the colours of thing and ground are known: in a matte from SURE on, and up to 1 − SURE, the more the farther.
SURE = 0.6
AROUND = (0.05, 0.015)  # of the short side: windows in which these colours are averaged for the matte
FINE, COARSEST = 8, 4  # pixels of a window's half, and the factor, to which pictures are made smaller for averages
SPREAD, NOISE = 3.0, 0.05  # weight of the colours' variances, and what differs invisibly: against the colours' distance
MIXED = 0.08  # distance of a pixel from the mixtures of both colours, from 0 to 1, at which it counts half
EDGE = 0.02  # of a matte: what is nearer to 0 or 1 is not changed
REACH = 0.008  # of the short side, by which the soft edge is widened
COLOURS = (0.06, 0.02)  # of the short side: windows in which the colours of what is cut out are averaged
KEPT, OPAQUE = 0.5, 0.85  # share of a pixel's own deviation from their mixture that is kept; from this alpha on more
LIKELY = 1e-3  # weight of what is likely beside what is sure
ENOUGH = 8.0  # factor on the share of a narrow window that is known, from which it alone decides


def refined(matte: np.ndarray, small: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return a matte (h, w) float32 at the size of a frame, along the edges of its picture: (H, W) float32.

    First a guided filter (He et al., ECCV 2010): around each pixel the matte is a linear map of the picture's colours.
    Then ``unmixed``.

    Args:
        matte: from 0 to 1.
        small: the frame at the size of the matte, (h, w, 3) uint8.
        frame: (H, W, 3) uint8 or uint16.
    """
    size = frame.shape[1], frame.shape[0]
    unsure = ((matte > CERTAIN) & (matte < 1 - CERTAIN)).astype(np.uint8)
    edge = cv2.morphologyEx((matte >= 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    band = cv2.dilate(unsure | edge, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1)))
    plain = np.array(grow(matte, size), np.float32)
    if not band.any():
        return plain
    near, box = _boxes(band, size)
    guided = LocallyLinear(
        array_pictures, array_pictures.unit(small[near]), np.repeat(matte[near][..., None], 3, axis=2)
    )
    around = np.ascontiguousarray(frame[box])
    strips, part = guided(around), plain[box]
    made = array_pictures.stacked(strips(rows) for rows in array_pictures.strips(part.shape[::-1]))[..., 0]
    share = grow(blur(band[near].astype(np.float32), 1.5), part.shape[::-1])
    plain[box] = np.clip(part + share * (np.clip(made, 0, 1) - part), 0, 1)
    return unmixed(plain, frame)


def _boxes(band: np.ndarray, size: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the rows and columns around a band (h, w) uint8, and the same of a picture of a (width, height).

    Both begin and end at the same places, so that one enlarged has the size of the other.
    """
    left, top, width, height = cv2.boundingRect(band)
    boxes = []
    for first, length, whole, large in zip((top, left), (height, width), band.shape, size[::-1], strict=True):
        step = whole // math.gcd(whole, large)
        start = max(0, first - MARGIN) // step * step
        stop = min(whole, -(-(first + length + MARGIN) // step) * step)
        boxes.append((slice(start, stop), slice(start * large // whole, stop * large // whole)))
    (rows, full_rows), (columns, full_columns) = boxes
    return (rows, columns), (full_rows, full_columns)


def unmixed(matte: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return a matte, (H, W) float32, whose soft edge says how the colours of thing and ground mix in each pixel.

    A pixel's colour is put between the average colours of both around it, where these are known (Chuang et al., "A
    Bayesian Approach to Digital Matting", CVPR 2001, with one colour for each side). How much that counts follows from
    how far apart the two colours are against how much they vary: where thing and ground look alike, the matte stays.

    Args:
        matte: from 0 to 1, right but for details of its edge, such as hair.
        frame: (H, W, 3) uint8 or uint16.
    """
    soft = ((matte > EDGE) & (matte < 1 - EDGE)).astype(np.uint8)
    if not soft.any():
        return matte
    radius = max(1, round(REACH * min(matte.shape)))
    band = cv2.dilate(soft, cv2.getStructuringElement(cv2.MORPH_RECT, (2 * radius + 1, 2 * radius + 1)))
    box = _box_around(band, max(AROUND))
    part, picture, inside = matte[box], array_pictures.unit(frame[box]), band[box] > 0
    pixels, total, weights = picture[inside], np.float32(0), np.float32(1e-6)
    for share in AROUND:
        local = _LocalColours.of(part, picture, share, min(matte.shape))
        line = local.thing - local.ground
        distance = (line * line).sum(2) + 1e-6
        known = np.minimum(local.sides * 20, 1).prod(2)
        trust = local.at(known * distance / (distance + SPREAD * local.spread + NOISE**2), inside)
        ground, way = local.at(local.ground, inside), local.at(line, inside)
        from_ground = pixels - ground
        place = np.clip((from_ground * way).sum(1) / ((way * way).sum(1) + 1e-6), 0, 1)
        off = from_ground - place[:, None] * way
        trust = trust * np.exp(-(off * off).sum(1) / (2 * MIXED**2))
        total, weights = total + trust * place, weights + trust
    found = matte.copy()
    before = part[inside]
    found[box][inside] = before + np.minimum(weights / len(AROUND), 1) * (total / weights - before)
    return found


class _LocalColours(NamedTuple):
    """Averages of the colours of a thing and of its ground in windows around places, in a smaller picture.

    ``thing``, ``ground``: (h, w, 3) float32 from 0 to 1. ``sides``: the shares of a window that are known to be either,
    (h, w, 2). ``spread``: the sum of the variances of both. ``size``: the (width, height) of the whole picture.
    """

    thing: np.ndarray
    ground: np.ndarray
    sides: np.ndarray
    spread: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, matte: np.ndarray, picture: np.ndarray, part: float, short: int) -> _LocalColours:
        """Return the averages over windows, whose half is a ``part`` of the ``short`` side of a frame."""
        radius = max(1, int(part * short))
        factor = min(max(1, radius // FINE), COARSEST)
        size = picture.shape[1], picture.shape[0]
        small = max(1, size[0] // factor), max(1, size[1] // factor)
        matte, picture = (cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (matte, picture))
        window = (2 * round(radius / factor) + 1,) * 2
        found, shares, spread = [], [], np.zeros_like(matte)
        for sure in (matte, 1 - matte):
            # Where nothing is known for sure, what is more likely counts more.
            known = np.clip((sure - SURE) / np.float32(0.95 - SURE), 0, 1) ** 2 + LIKELY * sure + np.float32(1e-7)
            share = cv2.blur(known, window)
            colour = cv2.blur(picture * known[..., None], window) / share[..., None]
            squares = cv2.blur((picture * picture).sum(2) * known, window) / share
            spread += np.maximum(squares - (colour * colour).sum(2), 0)
            found.append(colour)
            shares.append(share)
        return cls(found[0], found[1], np.dstack(shares), spread, size)

    def at(self, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Return values of the small picture, (h, w[, C]), at places of the whole one, ``inside`` (H, W) bool."""
        whole: np.ndarray = cv2.resize(values, self.size, interpolation=cv2.INTER_LINEAR)
        return whole[inside]


def _box_around(band: np.ndarray, part: float) -> tuple[slice, slice]:
    """Return the rows and columns of a band (H, W) uint8, with a margin of a ``part`` of the short side."""
    left, top, width, height = cv2.boundingRect(band)
    margin = 2 * COARSEST + round(part * min(band.shape))
    return slice(max(0, top - margin), top + height + margin), slice(max(0, left - margin), left + width + margin)


def moved_edge(matte: np.ndarray, pixels: float) -> np.ndarray:
    """Return a matte, (H, W) float32, whose edge is moved outwards by so many pixels, inwards if negative."""
    if not pixels:
        return matte
    whole = int(abs(pixels))
    operation = cv2.dilate if pixels > 0 else cv2.erode

    def by(radius: int) -> np.ndarray:
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        return operation(matte, kernel, borderType=cv2.BORDER_REPLICATE) if radius else matte

    share = np.float32(abs(pixels) - whole)
    moved: np.ndarray = (1 - share) * by(whole) + share * by(whole + 1) if share else by(whole)
    return moved


def finished(matte: np.ndarray, grown: float, feather: float) -> np.ndarray:
    """Return a matte, (H, W) float32, with its edge moved by ``grown`` pixels and softened by ``feather`` pixels."""
    moved = moved_edge(matte, grown)
    return blur(moved, feather) if feather else moved


def cut_out(frame: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Return the colours of what a matte cuts out, without those behind it, and the matte: (H, W, 4).

    Where the matte is between 0 and 1, a frame's colours are mixed: alpha · thing + (1 − alpha) · ground. Both are the
    averages around a pixel where the matte is sure, of a narrow window where it has enough of them, else of a wide one;
    the thing then takes a share of what the mixture of both leaves unexplained.

    Args:
        frame: (H, W, 3) uint8 or uint16.
        matte: (H, W) float32 from 0 to 1.
    """
    full = np.iinfo(frame.dtype).max
    made = np.where(matte[..., None] > 0, frame, 0).astype(frame.dtype)
    soft = (matte < 1) & (cv2.dilate(matte, np.ones((3, 3), np.uint8)) > 0)
    if soft.any():
        box = _box_around(soft.astype(np.uint8), max(COLOURS))
        part, picture, inside = matte[box], array_pictures.unit(frame[box]), soft[box]
        wide, narrow = (_LocalColours.of(part, picture, share, min(matte.shape)) for share in COLOURS)
        both = []
        for number, far, near in ((0, wide.thing, narrow.thing), (1, wide.ground, narrow.ground)):
            known = narrow.at(np.clip(ENOUGH * narrow.sides[..., number], 0, 1), inside)[:, None]
            colours = wide.at(far, inside)
            both.append(colours + known * (narrow.at(near, inside) - colours))
        (thing, ground), alpha = both, part[inside][:, None]
        left = picture[inside] - alpha * thing - (1 - alpha) * ground
        kept = KEPT + (1 - KEPT) * np.clip((alpha - OPAQUE) / (1 - OPAQUE), 0, 1)
        made[box][inside] = np.rint(full * np.clip(thing + kept * alpha * left, 0, 1))
    return np.dstack([made, np.rint(full * matte).astype(frame.dtype)])


def at_working_size(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 or uint16 at a smaller (width, height), uint8."""
    picture = to_uint8(frame)
    return picture if (frame.shape[1], frame.shape[0]) == size else shrink(picture, size)
