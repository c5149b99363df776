"""The edge of a matte at the clip's own size, and the colours of what it cuts out."""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.scaling import blur, grow, shrink
from vidtrans.upscaling import array_pictures
from vidtrans.upscaling.guidance import LocallyLinear
from vidtrans.video.colour.conversion import to_uint8

VERSION = 1
CERTAIN = 0.04  # a matte this near 0 or 1 is not refined, away from its edge
BAND = 5  # pixels of the small matte, on either side of its edge, in which it is refined
WIDE, NARROW = 0.09, 0.006  # share of the short side: radius of the two blurs that find the colours of the thing


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
    return np.clip(plain + share * (np.clip(made, 0, 1) - plain), 0, 1).astype(np.float32)


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

    Where the matte is between 0 and 1, a frame's colours are mixed: alpha · thing + (1 − alpha) · ground. Both are
    estimated by two blurs (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021).

    Args:
        frame: (H, W, 3) uint8 or uint16.
        matte: (H, W) float32 from 0 to 1.
    """
    full = np.iinfo(frame.dtype).max
    picture = frame.astype(np.float32) / np.float32(full)
    alpha, thing, ground = matte[..., None], picture, picture
    height, width = matte.shape
    for part in (WIDE, NARROW):
        side = 2 * max(1, int(part * min(height, width))) + 1
        around = (side, side)
        own, other = cv2.blur(matte, around)[..., None], cv2.blur(1 - matte, around)[..., None]
        near = cv2.blur(thing * alpha, around) / (own + 1e-5)
        ground = cv2.blur(ground * (1 - alpha), around) / (other + 1e-5)
        thing = np.clip(near + alpha * (picture - alpha * near - (1 - alpha) * ground), 0, 1)
    colours = np.rint(full * np.where(alpha >= 1, picture, thing))
    return np.dstack([colours, np.rint(full * matte)]).astype(frame.dtype)


def at_working_size(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a frame (H, W, 3) uint8 or uint16 at a smaller (width, height), uint8."""
    picture = to_uint8(frame)
    return picture if (frame.shape[1], frame.shape[0]) == size else shrink(picture, size)
