"""Colour: what an untagged video is taken for, and how every output is made and tagged.

Policy. In: tags are honoured; an untagged YUV video is BT.709 from 720 lines up, else BT.601, limited range
unless its pixel format says full. Out: pixels are converted to BT.709, limited range, and tagged so
(tags without conversion would shift every colour).
"""

from __future__ import annotations

import av
import numpy as np
from av.codec.context import CodecContext
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

HD_LINES = 720
# BITEXACT and ACCURATE_RND make the conversion the same on every processor.
_EXACT = Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
SHRINK = Interpolation.BILINEAR | _EXACT  # swscale widens the kernel when it shrinks: no aliasing
GROW = Interpolation.BICUBIC | _EXACT

_SOURCE_SPACE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}


class ToRGB:
    """Decoded frames to RGB arrays at one size. One swscale context is kept for all frames."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._reformatter = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        """Return (height, width, 3) uint8, full range, in the stored orientation."""
        default = Colorspace.ITU709 if frame.height >= HD_LINES else Colorspace.ITU601
        full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
        grows = self.width > frame.width
        converted = self._reformatter.reformat(
            frame,
            self.width,
            self.height,
            "rgb24",
            src_colorspace=_SOURCE_SPACE.get(int(frame.colorspace), default),
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=GROW if grows else SHRINK,
            threads=1,
        )
        return converted.to_ndarray()


class FromRGB:
    """RGB arrays to frames for an encoder, scaled to the output's size in the same step."""

    def __init__(self, width: int, height: int, pix_fmt: str) -> None:
        self.width, self.height, self.pix_fmt = width, height, pix_fmt
        self._reformatter = VideoReformatter()

    def __call__(self, rgb: np.ndarray) -> av.VideoFrame:
        """``rgb``: (h, w, 3) uint8 of any size."""
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        grows = self.width > rgb.shape[1]
        return self._reformatter.reformat(
            frame,
            self.width,
            self.height,
            self.pix_fmt,
            src_color_range=ColorRange.JPEG,
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            interpolation=GROW if grows else SHRINK,
            threads=1,
        )


def tag_bt709(context: CodecContext) -> None:
    """Tag an encoder's stream as BT.709, limited range."""
    context.colorspace = 1  # type: ignore[attr-defined]
    context.color_primaries = 1  # type: ignore[attr-defined]
    context.color_trc = 1  # type: ignore[attr-defined]
    context.color_range = 1  # type: ignore[attr-defined]
