"""Convert decoded frames to RGB arrays, and RGB arrays to frames for encoders.

Policy. In: colour tags are honoured (``tags``); an untagged YUV video counts as BT.709 from 720 lines up, else as
BT.601, limited range unless its pixel format is full range; HDR and other primaries and transfers are mapped (``hdr``).
Out: pixels are converted to BT.709, limited range, and tagged so (tags without conversion would shift every colour).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from vidtrans.video.colour.hdr import ToneMap
from vidtrans.video.colour.icc import Conversion
from vidtrans.video.colour.matrices import OWN, rgb_of_yuv
from vidtrans.video.colour.primaries import TAGGED
from vidtrans.video.colour.tags import (
    BT709,
    BT2020,
    GBR,
    HD_LINES,
    HDR_TRANSFERS,
    MATRICES,
    P3_D65,
    UNSPECIFIED,
    mapped_colours,
    unread_tags,
)
from vidtrans.video.frame_format import FrameFormat

# BITEXACT and ACCURATE_RND make the conversion the same on every processor.
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
_SHRINK = Interpolation.AREA | _EXACT  # averages, as OpenCV's INTER_AREA
_GROW = Interpolation.BICUBIC | _EXACT

# Shares of red, green and blue in the luma of whole numbers, in 2^−15: as OpenCV has them.
INTEGER_LUMA, INTEGER_LUMA_BITS = (9798, 19235, 3735), 15


def colour_of(frame: av.VideoFrame) -> str:
    """Return the kind of non-BT.709 colours of a frame, as ``mapped_colours``; '' where no mapping is needed."""
    if frame.format.name.startswith("xyz"):  # swscale makes sRGB of it
        return ""
    return mapped_colours(int(frame.color_primaries), int(frame.color_trc))


def unread_of(frame: av.VideoFrame) -> str:
    """Return the tags of a frame that are not acted upon, as ``unread_tags``; '' where there are none."""
    has_none = frame.format.is_rgb or len(frame.format.components) < 3 or has_own_matrix(frame)
    return unread_tags(int(frame.color_primaries), int(frame.color_trc), UNSPECIFIED if has_none else frame.colorspace)


def reading_of(frame: av.VideoFrame) -> int:
    """Return the version of how a frame's tags are acted upon, if earlier releases ignored them; else 0."""
    hdr, primaries = int(frame.color_trc) in HDR_TRANSFERS, int(frame.color_primaries)
    return int(has_own_matrix(frame) or (hdr and primaries in TAGGED and primaries not in (BT709, BT2020, P3_D65)))


def matrix_of(frame: av.VideoFrame) -> Colorspace:
    """Return the YUV matrix of a frame; an untagged one is guessed from its number of lines."""
    return MATRICES.get(int(frame.colorspace), Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601)


def has_own_matrix(frame: av.VideoFrame) -> bool:
    """Return whether a frame has a YUV matrix of ``OWN``, which swscale lacks; GBR counts without subsampling only."""
    kind, matrix = frame.format, int(frame.colorspace)
    if kind.is_rgb or kind.name.startswith("xyz") or len(kind.components) < 3:
        return False
    return matrix in OWN and (matrix != GBR or (kind.chroma_width(8), kind.chroma_height(8)) == (8, 8))


def range_of(frame: av.VideoFrame) -> ColorRange:
    """Return the code range of a frame: limited unless its tag or its pixel format is full range."""
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return ColorRange.JPEG if full else ColorRange.MPEG


def depth_of(frame: av.VideoFrame) -> int:
    """Return the bits per channel of a decoded frame."""
    return max((c.bits for c in frame.format.components), default=8)


def has_alpha(frame: av.VideoFrame) -> bool:
    """Return whether the pixel format of a frame has alpha, even if all pixels are opaque."""
    return any(c.is_alpha for c in frame.format.components)


def is_yuv(pix_fmt: str) -> bool:
    """Return whether an output pixel format is YUV; the others are RGB."""
    return pix_fmt.startswith(("yuv", "p010"))


def to_uint8(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 or uint16 picture as uint8, rounded."""
    return picture if picture.dtype == np.uint8 else cv2.convertScaleAbs(picture, alpha=1 / 257)


def to_uint16(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 or uint16 picture as uint16; 255 becomes 65535."""
    return picture if picture.dtype == np.uint16 else picture.astype(np.uint16) * np.uint16(257)


def unit(picture: np.ndarray) -> np.ndarray:
    """Return a uint8 or uint16 picture as float32 in [0, 1]."""
    return picture.astype(np.float32) * np.float32(1 / np.iinfo(picture.dtype).max)


def with_alpha(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Join colours (H, W, 3) and alpha (H, W) of one dtype to (H, W, 4); alpha None is opaque."""
    if alpha is None:
        alpha = np.full(rgb.shape[:2], np.iinfo(rgb.dtype).max, rgb.dtype)
    return np.dstack([rgb, alpha])


def apply_format(
    rgb: np.ndarray, alpha: np.ndarray | None, frame_format: FrameFormat, usual: tuple[int, int, int], *, cut_out: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the picture in ``frame_format``, and its alpha (None unless the format keeps it), of equal size and dtype.

    ``usual``: the background if the format has none. ``cut_out``: something in the clip is transparent, so that the
    matte of an opaque picture is white.
    """
    full = np.iinfo(rgb.dtype).max
    if frame_format.alpha == "matte" and cut_out:
        return (np.full_like(rgb, full) if alpha is None else np.repeat(alpha[..., None], 3, axis=2)), None
    if alpha is None or (frame_format.alpha != "kept" and alpha.min() == full):
        return rgb, None
    background = frame_format.background_or(usual)
    if frame_format.alpha != "kept":
        return composite_over(rgb, alpha, background), None
    ground = np.array(background, rgb.dtype) * rgb.dtype.type(full // 255)
    return np.where(alpha[..., None] == 0, ground, rgb), alpha


def composite_over(colours: np.ndarray, alpha: np.ndarray, background: tuple[int, int, int]) -> np.ndarray:
    """Composite straight colours (H, W, 3) over ``background``; alpha (H, W) of the same dtype, uint8 or uint16."""
    full = np.iinfo(colours.dtype).max
    share = (alpha.astype(np.float32) / full)[..., None]
    ground = np.array(background, np.float32) * (full / 255)
    return np.rint(ground + share * (colours - ground)).astype(colours.dtype)


def resize_alpha(rgba: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize straight-alpha (H, W, 4) uint8 or uint16; the colours of transparent pixels do not bleed into others."""
    if rgba.shape[1] == width and rgba.shape[0] == height:
        return rgba
    full = np.iinfo(rgba.dtype).max
    premultiplied = rgba.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / full
    shrinks = width < rgba.shape[1]
    resized = cv2.resize(premultiplied, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    resized[..., :3] *= full / np.maximum(resized[..., 3:], 1e-3)
    return np.rint(np.clip(resized, 0, full)).astype(rgba.dtype)


class ToRGB:
    """Convert decoded frames to arrays of one size, in the stored orientation, with one shared swscale context.

    ``profile``: the conversion by an ICC profile, which is used instead of the colour tags.
    """

    def __init__(self, width: int, height: int, *, deep: bool = False, profile: Conversion | None = None) -> None:
        self._profile = profile
        self.width, self.height, self.deep = width, height, deep
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame as (height, width, 3) full range, uint8, or uint16 with ``deep``."""
        mapping = self._profile or _tone_map_of(frame)
        exact = isinstance(mapping, ToneMap) and not (mapping.takes_bytes and depth_of(frame) == 8)
        rgb = self._converted(frame, ("gbrp", "gbrp16le"), exact, self.width, self.height)
        rgb = mapping(rgb) if mapping else rgb
        return rgb if self.deep else to_uint8(rgb)

    def with_alpha(self, frame: av.VideoFrame) -> np.ndarray:
        """Return a frame whose format has alpha as (height, width, 4), straight alpha, uint8 or uint16."""
        mapping = self._profile or _tone_map_of(frame)
        stored = self._converted(frame, ("rgba", "gbrap16le"), mapping is not None, frame.width, frame.height)
        if mapping is not None:
            stored = with_alpha(mapping(np.ascontiguousarray(stored[..., :3])), stored[..., 3])
        stored = stored if self.deep else to_uint8(stored)
        return resize_alpha(stored, self.width, self.height)

    def _converted(
        self, frame: av.VideoFrame, formats: tuple[str, str], exact: bool, width: int, height: int
    ) -> np.ndarray:
        """Convert a frame to an array, through ``formats[0]`` (8 bits) or ``formats[1]`` (16); 16 bits if ``exact``.

        Formats without alpha are planar: for packed RGB swscale takes twice the time, and its 16 bits are wrong for
        subsampled chroma.
        """
        if has_own_matrix(frame):
            return self._by_own_matrix(frame, width, height)
        bits = depth_of(frame) if frame.format.is_rgb else 0
        # swscale cuts bits of RGB off where it should round, and fills new ones with zeros.
        deep = bits > 8 or (bits == 0 and (self.deep or exact))
        converted = self._reformat(frame, width, height, formats[deep], matrix_of(frame), None, ColorRange.JPEG)
        if deep:
            return _to_full(converted.to_ndarray(), bits or 8, depth_of(frame))
        interleaved = _interleaved(converted)
        return to_uint16(interleaved) if self.deep or exact else interleaved

    def _by_own_matrix(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        """Convert by a matrix that swscale does not have, to (H, W, 3) uint16, or with alpha (H, W, 4)."""
        alpha, code_range, bits = has_alpha(frame), range_of(frame), depth_of(frame)
        pix_fmt = "yuva444p16le" if alpha else "yuv444p16le"
        same = Colorspace.ITU709  # in and out: swscale applies no matrix
        stored = self._reformat(frame, width, height, pix_fmt, same, same, code_range).to_ndarray()
        white, full = (2**bits - 1) << (16 - bits), code_range == ColorRange.JPEG
        yuv = np.ascontiguousarray(stored[..., :3])
        rgb = rgb_of_yuv(yuv, int(frame.colorspace), int(frame.color_primaries), white, full=full)
        return with_alpha(rgb, _stretched(stored[..., 3], bits)) if alpha else rgb

    def _reformat(
        self,
        frame: av.VideoFrame,
        width: int,
        height: int,
        pix_fmt: str,
        matrix: Colorspace,
        matrix_out: Colorspace | None,
        range_out: ColorRange,
    ) -> av.VideoFrame:
        return self._reformatter.reformat(
            frame,
            width,
            height,
            pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix_out,
            src_color_range=range_of(frame),
            dst_color_range=range_out,
            interpolation=_GROW if width > frame.width else _SHRINK,
            threads=1,
        )


def _tone_map_of(frame: av.VideoFrame) -> ToneMap | None:
    return _tone_map(int(frame.color_trc), int(frame.color_primaries)) if colour_of(frame) else None


_tone_map = lru_cache(maxsize=4)(ToneMap)


def _interleaved(frame: av.VideoFrame) -> np.ndarray:
    """Return an 8-bit frame as (H, W, C); planar frames take a third of the time of ``to_ndarray``."""
    if frame.format.name != "gbrp":
        return frame.to_ndarray()
    planes: Any = frame.planes
    green, blue, red = (np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width] for p in planes)
    return cv2.merge([red, green, blue])


def _to_full(picture: np.ndarray, bits: int, alpha_bits: int) -> np.ndarray:
    """Stretch samples to full 16 bits: swscale pads n-bit RGB with zeros, and leaves YUV's white at an 8-bit level."""
    colours = _stretched(picture[..., :3], bits)
    return colours if picture.shape[2] == 3 else with_alpha(colours, _stretched(picture[..., 3], alpha_bits))


def _stretched(channels: np.ndarray, bits: int) -> np.ndarray:
    white = (2**bits - 1) << (16 - bits)
    return channels if white == 65535 else cv2.addWeighted(channels, 65535 / white, channels, 0, 0)


_ARRAYS = {(8, 3): "rgb24", (8, 4): "rgba", (16, 3): "rgb48le", (16, 4): "rgba64le"}


class FromRGB:
    """Convert arrays to frames for an encoder, scaled to the output's size in the same step."""

    def __init__(self, width: int, height: int, pix_fmt: str) -> None:
        self.width, self.height, self.pix_fmt = width, height, pix_fmt
        self._reformatter = VideoReformatter()

    def __call__(self, picture: np.ndarray) -> av.VideoFrame:
        """Convert a picture (h, w, 3), or (h, w, 4) with alpha, uint8 or uint16, of any size, to a video frame."""
        bits = 8 * picture.dtype.itemsize
        if bits == 16 and is_yuv(self.pix_fmt):  # the reverse of _to_full
            colours = cv2.addWeighted(picture[..., :3], 256 / 257, picture[..., :3], 0, 0)
            picture = colours if picture.shape[2] == 3 else with_alpha(colours, picture[..., 3])
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=_ARRAYS[bits, picture.shape[2]])
        return self._reformatter.reformat(
            frame,
            self.width,
            self.height,
            self.pix_fmt,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            # ProRes takes its tags from the frames.
            dst_color_trc=1,
            dst_color_primaries=1,
            interpolation=_GROW if self.width > picture.shape[1] else _SHRINK,
            threads=1,
        )
