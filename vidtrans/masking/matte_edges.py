"""Refine the edge of a matte at the clip's full size, and estimate the foreground colours."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.flow.warping import blur, grow, shrink
from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.enlarging import GuidedFilter
from vidtrans.video.colour.conversion import to_uint8

VERSION = 2  # Version of refined edges, for cache keys
CERTAIN = 0.04  # Distance from 0 or 1 within which a matte value is not refined, except near the edge
BAND_PX = 5  # Half width of the refined band around the matte's edge, in pixels of the small matte
MARGIN_PX = 12  # Margin around the refined band that is also processed, in pixels of the small matte
# The weight of a pixel's colour grows with the distance of its matte value from this threshold.
SURE = 0.6  # Matte value above which a pixel's colour counts as foreground; below 1 − SURE as background
MATTE_WINDOWS = (0.05, 0.015)  # Radii of windows for local colours when the matte is refined, shares of short side
MIN_RADIUS_PX, MAX_SHRINK = 8, 4  # Pictures are shrunk for the averages to this radius, at most by this factor
VARIANCE_WEIGHT, NOISE = 3.0, 0.05  # Weight of the colours' variance, and invisible difference, in the trust in colours
MIX_SIGMA = 0.08  # σ of the Gaussian by which a pixel's distance from the mixtures, 0 to 1, lowers its weight
EDGE = 0.02  # Distance from 0 or 1 within which a matte value is not part of the soft edge
REACH = 0.008  # Width by which the soft edge is dilated before unmixing, as a share of the short side
COLOUR_WINDOWS = (0.06, 0.02)  # Radii of windows for local colours when objects are cut out, shares of short side
DETAIL, OPAQUE = 0.5, 0.85  # Share of a pixel's deviation from the mixture that is kept; more from this alpha upwards
LIKELY_SHARE = 1e-3  # Weight of probable foreground or background pixels, relative to certain ones
NARROW_GAIN = 8.0  # Factor from the share of certain pixels in the narrow window to the weight, up to 1, of its colours


def refine_edge(matte: np.ndarray, small: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Enlarge a matte (h, w) float32 to the size of a frame, (H, W) float32, along the edges of the frame's picture.

    First a guided filter (He et al., ECCV 2010): around each pixel the matte is a linear map of the picture's colours.
    Then ``unmix_edge``.

    Args:
        matte: The matte, from 0 to 1.
        small: The frame at the size of the matte, (h, w, 3) uint8.
        frame: The frame, (H, W, 3) uint8 or uint16.
    """
    size = frame.shape[1], frame.shape[0]
    unsure = ((matte > CERTAIN) & (matte < 1 - CERTAIN)).astype(np.uint8)
    edge = cv2.morphologyEx((matte >= 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    band = cv2.dilate(unsure | edge, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND_PX + 1, 2 * BAND_PX + 1)))
    enlarged = np.array(grow(matte, size), np.float32)
    if not band.any():
        return enlarged
    near, box = _boxes(band, size)
    guided = GuidedFilter(
        array_pictures, array_pictures.unit(small[near]), np.repeat(matte[near][..., None], 3, axis=2)
    )
    around = np.ascontiguousarray(frame[box])
    strips, before = guided(around), enlarged[box]
    filtered = array_pictures.join_strips(strips(rows) for rows in array_pictures.strips(before.shape[::-1]))[..., 0]
    share = grow(blur(band[near].astype(np.float32), 1.5), before.shape[::-1])
    enlarged[box] = np.clip(before + share * (np.clip(filtered, 0, 1) - before), 0, 1)
    return unmix_edge(enlarged, frame)


def _boxes(band: np.ndarray, size: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the box (rows, columns) around a band (h, w) uint8, and the same box at a larger (width, height) ``size``.

    The two boxes begin and end at the same positions, so that the small box enlarged has the size of the large one.
    """
    left, top, width, height = cv2.boundingRect(band)
    boxes = []
    for first, length, whole, large in zip((top, left), (height, width), band.shape, size[::-1], strict=True):
        step = whole // math.gcd(whole, large)
        start = max(0, first - MARGIN_PX) // step * step
        stop = min(whole, -(-(first + length + MARGIN_PX) // step) * step)
        boxes.append((slice(start, stop), slice(start * large // whole, stop * large // whole)))
    (rows, full_rows), (columns, full_columns) = boxes
    return (rows, columns), (full_rows, full_columns)


def unmix_edge(matte: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Estimate alpha in the soft edge of a matte, (H, W) float32, from the mix of foreground and background colours.

    A pixel's colour is projected onto the line between the local average colours of both sides, where these are known
    (Chuang et al., "A Bayesian Approach to Digital Matting", CVPR 2001, with one colour for each side). The weight of
    the estimate is the squared distance of the two colours relative to their variances: where foreground and background
    look alike, the matte is unchanged.

    Args:
        matte: The matte, from 0 to 1, correct except for details of its edge, such as hair.
        frame: The frame, (H, W, 3) uint8 or uint16.
    """
    soft = ((matte > EDGE) & (matte < 1 - EDGE)).astype(np.uint8)
    if not soft.any():
        return matte
    radius = max(1, round(REACH * min(matte.shape)))
    band = cv2.dilate(soft, cv2.getStructuringElement(cv2.MORPH_RECT, (2 * radius + 1, 2 * radius + 1)))
    box = _box_around(band, max(MATTE_WINDOWS))
    part, picture, inside = matte[box], array_pictures.unit(frame[box]), band[box] > 0
    pixels, total, weights = picture[inside], np.float32(0), np.float32(1e-6)
    for share in MATTE_WINDOWS:
        local = _LocalColours.of(part, picture, share, min(matte.shape))
        line = local.thing - local.ground
        distance = (line * line).sum(2) + 1e-6
        known = np.minimum(local.sides * 20, 1).prod(2)
        trust = local.at(known * distance / (distance + VARIANCE_WEIGHT * local.spread + NOISE**2), inside)
        ground, direction = local.at(local.ground, inside), local.at(line, inside)
        from_ground = pixels - ground
        alpha = np.clip((from_ground * direction).sum(1) / ((direction * direction).sum(1) + 1e-6), 0, 1)
        off = from_ground - alpha[:, None] * direction
        trust = trust * np.exp(-(off * off).sum(1) / (2 * MIX_SIGMA**2))
        total, weights = total + trust * alpha, weights + trust
    found = matte.copy()
    before = part[inside]
    found[box][inside] = before + np.minimum(weights / len(MATTE_WINDOWS), 1) * (total / weights - before)
    return found


class _LocalColours(NamedTuple):
    """Local averages of the foreground and background colours, computed at a smaller size.

    Attributes:
        thing: Foreground colours, (h, w, 3) float32 from 0 to 1.
        ground: Background colours, likewise.
        sides: The shares of a window that are surely foreground and background, (h, w, 2).
        spread: The sum of the variances of both colours, (h, w).
        size: The (width, height) of the whole picture.
    """

    thing: np.ndarray
    ground: np.ndarray
    sides: np.ndarray
    spread: np.ndarray
    size: tuple[int, int]

    @classmethod
    def of(cls, matte: np.ndarray, picture: np.ndarray, part: float, short: int) -> _LocalColours:
        """Return the averages over windows whose radius is the share ``part`` of the frame's short side, ``short``."""
        radius = max(1, int(part * short))
        factor = min(max(1, radius // MIN_RADIUS_PX), MAX_SHRINK)
        size = picture.shape[1], picture.shape[0]
        small = max(1, size[0] // factor), max(1, size[1] // factor)
        matte, picture = (cv2.resize(each, small, interpolation=cv2.INTER_AREA) for each in (matte, picture))
        window = (2 * round(radius / factor) + 1,) * 2
        found, shares, spread = [], [], np.zeros_like(matte)
        for sure in (matte, 1 - matte):
            # If the window has no certain pixels, the most probable ones decide.
            known = np.clip((sure - SURE) / np.float32(0.95 - SURE), 0, 1) ** 2 + LIKELY_SHARE * sure + np.float32(1e-7)
            share = cv2.blur(known, window)
            colour = cv2.blur(picture * known[..., None], window) / share[..., None]
            squares = cv2.blur((picture * picture).sum(2) * known, window) / share
            spread += np.maximum(squares - (colour * colour).sum(2), 0)
            found.append(colour)
            shares.append(share)
        return cls(found[0], found[1], np.dstack(shares), spread, size)

    def at(self, values: np.ndarray, inside: np.ndarray) -> np.ndarray:
        """Upsample values (h, w[, C]) of the small picture; return those in the mask ``inside`` (H, W) bool."""
        whole: np.ndarray = cv2.resize(values, self.size, interpolation=cv2.INTER_LINEAR)
        return whole[inside]


def _box_around(band: np.ndarray, part: float) -> tuple[slice, slice]:
    """Return the rows and columns of a band (H, W) uint8, with a margin: the share ``part`` of the short side."""
    left, top, width, height = cv2.boundingRect(band)
    margin = 2 * MAX_SHRINK + round(part * min(band.shape))
    return slice(max(0, top - margin), top + height + margin), slice(max(0, left - margin), left + width + margin)


def move_edge(matte: np.ndarray, pixels: float) -> np.ndarray:
    """Dilate a matte, (H, W) float32, by a possibly fractional number of pixels; erode it if the number is negative."""
    if not pixels:
        return matte
    whole = int(abs(pixels))
    operation = cv2.dilate if pixels > 0 else cv2.erode

    def by(radius: int) -> np.ndarray:
        """Return the matte dilated or eroded by a whole number of pixels."""
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
        return operation(matte, kernel, borderType=cv2.BORDER_REPLICATE) if radius else matte

    share = np.float32(abs(pixels) - whole)
    moved: np.ndarray = (1 - share) * by(whole) + share * by(whole + 1) if share else by(whole)
    return moved


def finish_edge(matte: np.ndarray, grown_px: float, feather_px: float) -> np.ndarray:
    """Move the edge of a matte, (H, W) float32, outwards by ``grown_px``, and blur it with σ ``feather_px``."""
    moved = move_edge(matte, grown_px)
    return blur(moved, feather_px) if feather_px else moved


def cut_out(frame: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Return the foreground colours of a frame with the matte as alpha, (H, W, 4) of the frame's dtype.

    Where the matte is between 0 and 1, a frame's colours are mixed: alpha · foreground + (1 − alpha) · background. Both
    are averages of the sure pixels in a window, a narrow one where it has enough of them, else a wide one. The
    foreground then takes a share of the difference between the pixel and this mixture.

    Args:
        frame: The frame, (H, W, 3) uint8 or uint16.
        matte: The matte, (H, W) float32 from 0 to 1.
    """
    full = np.iinfo(frame.dtype).max
    foreground = np.where(matte[..., None] > 0, frame, 0).astype(frame.dtype)
    soft = (matte < 1) & (cv2.dilate(matte, np.ones((3, 3), np.uint8)) > 0)
    if soft.any():
        box = _box_around(soft.astype(np.uint8), max(COLOUR_WINDOWS))
        part, picture, inside = matte[box], array_pictures.unit(frame[box]), soft[box]
        wide, narrow = (_LocalColours.of(part, picture, share, min(matte.shape)) for share in COLOUR_WINDOWS)
        colours_of_sides = []
        for number, far, near in ((0, wide.thing, narrow.thing), (1, wide.ground, narrow.ground)):
            known = narrow.at(np.clip(NARROW_GAIN * narrow.sides[..., number], 0, 1), inside)[:, None]
            colours = wide.at(far, inside)
            colours_of_sides.append(colours + known * (narrow.at(near, inside) - colours))
        (thing, ground), alpha = colours_of_sides, part[inside][:, None]
        residual = picture[inside] - alpha * thing - (1 - alpha) * ground
        share = DETAIL + (1 - DETAIL) * np.clip((alpha - OPAQUE) / (1 - OPAQUE), 0, 1)
        foreground[box][inside] = np.rint(full * np.clip(thing + share * alpha * residual, 0, 1))
    return np.dstack([foreground, np.rint(full * matte).astype(frame.dtype)])


def shrink_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Shrink a frame (H, W, 3) uint8 or uint16 to (width, height), as uint8."""
    picture = to_uint8(frame)
    return picture if (frame.shape[1], frame.shape[0]) == size else shrink(picture, size)
