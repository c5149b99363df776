"""The edge of a matte at the clip's own size, and the colours of what it cuts out."""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.scaling import blur, grow, shrink
from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.guidance import LocallyLinear
from vidtrans.video.colour.conversion import to_uint8

VERSION = 2
CERTAIN = 0.04  # a matte this near 0 or 1 is not refined, away from its edge
BAND = 5  # pixels of the small matte, on either side of its edge, in which it is refined
# Where the colours of thing and ground are known: in a matte from SURE on, and up to 1 − SURE, the more the farther.
SURE = 0.6
AROUND = (0.05, 0.015)  # of the short side: windows in which these colours are averaged for the matte
COARSE = 3  # factor by which pictures are made smaller before they are averaged over wide windows
SPREAD, NOISE = 3.0, 0.05  # weight of the colours' variances, and what differs invisibly: against the colours' distance
MIXED = 0.08  # distance of a pixel from the mixtures of both colours, from 0 to 1, at which it counts half
EDGE = 0.02  # of a matte: what is nearer to 0 or 1 is not changed
REACH = 0.008  # of the short side, by which the soft edge is widened
COLOURS = (0.06, 0.02)  # of the short side: windows in which the colours of what is cut out are averaged
KEPT = 0.5  # share of a pixel's own deviation from the mixture of these colours that is kept
ENOUGH = 8.0  # factor on the share of a narrow window that is known, from which it alone decides


def refined(matte: np.ndarray, small: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return a matte (h, w) float32 at the size of a frame, along the edges of its picture: (H, W) float32.

    A guided filter (He et al., ECCV 2010): around each pixel the matte is a linear map of the picture's colours.

    Args:
        matte: from 0 to 1.
        small: the frame at the size of the matte, (h, w, 3) uint8.
        frame: (H, W, 3) uint8 or uint16.
    """
    size = frame.shape[1], frame.shape[0]
    unsure = ((matte > CERTAIN) & (matte < 1 - CERTAIN)).astype(np.uint8)
    edge = cv2.morphologyEx((matte >= 0.5).astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    band = cv2.dilate(unsure | edge, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1)))
    plain = grow(matte, size)
    if not band.any():
        return plain
    guided = LocallyLinear(array_pictures, array_pictures.unit(small), np.repeat(matte[..., None], 3, axis=2))
    strips = guided(frame)
    made = array_pictures.stacked(strips(rows) for rows in array_pictures.strips(size))[..., 0]
    share = grow(blur(band.astype(np.float32), 1.5), size)
    guided_matte = np.clip(plain + share * (np.clip(made, 0, 1) - plain), 0, 1).astype(np.float32)
    return unmixed(guided_matte, frame)


def unmixed(matte: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return a matte, (H, W) float32, whose soft edge says how the colours of thing and ground mix in each pixel.

    A pixel's colour is put between the average colours of both around it, where these are known (Chuang et al., "A
    Bayesian Approach to Digital Matting", CVPR 2001, with one colour for each side). How much that counts follows from
    how far apart the two colours are against how much they vary: where thing and ground look alike, the matte stays.

    Args:
        matte: from 0 to 1, right but for details of its edge, such as hair.
        frame: (H, W, 3) uint8 or uint16.
    """
    short = min(matte.shape)
    soft = ((matte > EDGE) & (matte < 1 - EDGE)).astype(np.uint8)
    if not soft.any():
        return matte
    radius = max(1, round(REACH * short))
    band = cv2.dilate(soft, cv2.getStructuringElement(cv2.MORPH_RECT, (2 * radius + 1, 2 * radius + 1)))
    left, top, width, height = cv2.boundingRect(band)
    margin = round(max(AROUND) * short)
    box = np.s_[max(0, top - margin) : top + height + margin, max(0, left - margin) : left + width + margin]
    picture = frame[box].astype(np.float32) / np.float32(np.iinfo(frame.dtype).max)
    found, inside = matte.copy(), band[box] > 0
    part = found[box]
    part[inside] = _between_colours(part, picture, short)[inside]
    return found


def _between_colours(matte: np.ndarray, picture: np.ndarray, short: int) -> np.ndarray:
    """Return a matte (h, w) put between the colours of ``picture``, (h, w, 3) from 0 to 1; ``short``: of the frame."""
    thing, ground = _known(matte)
    squared = (picture * picture).sum(2)
    total, weights = np.zeros_like(matte), np.full_like(matte, 1e-6)
    for part in AROUND:
        own, other = _average(thing, part, short), _average(ground, part, short)
        inside, outside = (
            _average(picture * known[..., None], part, short) / (share[..., None] + 1e-4)
            for known, share in ((thing, own), (ground, other))
        )
        spread = sum(
            np.maximum(_average(squared * known, part, short) / (share + 1e-4) - (colour * colour).sum(2), 0)
            for known, share, colour in ((thing, own, inside), (ground, other, outside))
        )
        line = inside - outside
        distance = (line * line).sum(2) + 1e-6
        place = np.clip(((picture - outside) * line).sum(2) / distance, 0, 1)
        off = picture - outside - place[..., None] * line
        weight = distance / (distance + SPREAD * spread + NOISE**2)
        weight *= np.minimum(own * 20, 1) * np.minimum(other * 20, 1) * np.exp(-(off * off).sum(2) / (2 * MIXED**2))
        total += weight * place
        weights += weight
    share = np.minimum(weights / len(AROUND), 1)
    return np.asarray(matte + share * (total / weights - matte), np.float32)


def _known(matte: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far a matte is known to be the thing, and to be the ground, (h, w) float32 from 0 to 1."""
    far = np.float32(0.95 - SURE)
    return np.clip((matte - SURE) / far, 0, 1) ** 2, np.clip((1 - matte - SURE) / far, 0, 1) ** 2


def _average(values: np.ndarray, part: float, short: int) -> np.ndarray:
    """Return averages over windows, whose half is a share ``part`` of a frame's short side."""
    radius = max(1, int(part * short))
    if radius < 4 * COARSE:
        averaged: np.ndarray = cv2.blur(values, (2 * radius + 1, 2 * radius + 1))
        return averaged
    size = (max(1, values.shape[1] // COARSE), max(1, values.shape[0] // COARSE))
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    side = 2 * round(radius / COARSE) + 1
    return np.asarray(cv2.resize(cv2.blur(small, (side, side)), values.shape[1::-1], interpolation=cv2.INTER_LINEAR))


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
    full, short = np.iinfo(frame.dtype).max, min(matte.shape)
    picture = frame.astype(np.float32) / np.float32(full)
    alpha, found = matte[..., None], list[np.ndarray]()
    for known in _known(matte):
        colours = picture
        for number, part in enumerate(COLOURS):
            share = _average(known, part, short)[..., None]
            near = _average(picture * known[..., None], part, short) / (share + 1e-5)
            colours = near if number == 0 else colours + np.clip(ENOUGH * share, 0, 1) * (near - colours)
        found.append(colours)
    thing, ground = found
    thing = np.clip(thing + KEPT * alpha * (picture - alpha * thing - (1 - alpha) * ground), 0, 1)
    colours = np.rint(full * np.where(alpha >= 1, picture, thing))
    return np.dstack([colours, np.rint(full * matte)]).astype(frame.dtype)


def at_working_size(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 or uint16 at a smaller (width, height), uint8."""
    picture = to_uint8(frame)
    return picture if (frame.shape[1], frame.shape[0]) == size else shrink(picture, size)
