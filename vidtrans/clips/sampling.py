"""Choose evenly spread frame numbers, and read frames of a clip, or an area of them, by number."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.flow.bars import bars_of, opaque_rectangle
from vidtrans.session import Context
from vidtrans.video.colour.conversion import composite_over
from vidtrans.video.frame_format import Area, FrameFormat
from vidtrans.video.io.clip import Frame, read_frames

DEFAULT_COUNT = 24  # Number of frames that are chosen by default
MIN_OPAQUE_SIDE_PX = 64  # Shortest side of the opaque part to which a style picture is cropped
# A style picture with a smaller side in pixels, or a lower standard deviation in 8-bit levels, has hardly any style.
MIN_STYLE_SIDE_PX, MIN_STYLE_DEVIATION = 32, 3.0
MAX_SKIPPED = 12  # Mean distance of requested frames up to which decoding all frames is faster than seeking


def segment_centres(total: int, count: int) -> list[int]:
    """Return the numbers of the middle frames of ``count`` equal segments of ``total`` frames."""
    return [(2 * k + 1) * total // (2 * count) for k in range(count)]


def spread_numbers(total: int, count: int | None, default: int = DEFAULT_COUNT) -> list[int]:
    """Return the middle frames of ``count`` segments of ``total`` frames; None: ``default`` segments; 0: all frames."""
    num_segments = default if count is None else count
    if num_segments == 0 or total <= num_segments:
        return list(range(total))
    return segment_centres(total, num_segments)


def reading_passes(numbers: Sequence[int]) -> list[Sequence[int]]:
    """Group increasing frame numbers by reading pass: one group if they are close together, else one for each."""
    in_one_pass = len(numbers) * MAX_SKIPPED >= numbers[-1] - numbers[0]
    return [numbers] if in_one_pass else [[n] for n in numbers]


def read_clip_frames(
    clip: Clip, numbers: Sequence[int], frame_format: FrameFormat, context: Context
) -> Generator[Frame, None, None]:
    """Yield the frames of a clip with these increasing numbers: in one pass if they are close, else by seeking."""
    with clip.reader(frame_format, context.decode_threads) as reader:
        for group in reading_passes(numbers):
            yield from read_frames(reader, clip.index, group)
            context.stop.check()


def read_style_picture(clip: Clip, context: Context, area: Area | None = None) -> np.ndarray:
    """Return the middle frame of a clip, (H, W, 3) uint8, without letterbox bars and transparent parts.

    Transparent parts are kept if little else remains. What is left out is reported; a picture with hardly any style
    gives a warning. ``area``: the only area that is used. Raises UsageError if it is not inside.
    """
    rgb = _crop_to_content(clip, context, area)
    height, width = rgb.shape[:2]
    if min(height, width) < MIN_STYLE_SIDE_PX:
        context.warn_once(f"{clip.name}: {width}x{height} pixels have hardly any texture, only colours", clip.path)
    elif float(rgb.std((0, 1)).max()) < MIN_STYLE_DEVIATION:
        context.warn_once(f"{clip.name}: it is of one colour, so it gives only that colour", clip.path)
    return rgb


def _crop_to_content(clip: Clip, context: Context, area: Area | None) -> np.ndarray:
    """Return the middle frame of a clip, (H, W, 3) uint8, cropped to ``area``, the opaque part and inside bars."""
    frame = read_middle_frame(clip, FrameFormat(alpha="kept"), context)
    rgb, alpha = frame.rgb, frame.alpha
    if area is not None:
        slices = area.within(clip.name, rgb.shape[1], rgb.shape[0])
        rgb, alpha = np.ascontiguousarray(rgb[slices]), None if alpha is None else alpha[slices]
    if alpha is not None:
        rows, columns = opaque_rectangle(alpha)
        height, width = rgb[rows, columns].shape[:2]
        if min(height, width) >= MIN_OPAQUE_SIDE_PX:
            context.note(f"{clip.name}: the style is that of its opaque part, {width}x{height}")
            return np.ascontiguousarray(rgb[rows, columns])
        rgb = composite_over(rgb, alpha, clip.default_background)
    if any(bars := bars_of([rgb])):
        context.note(f"{clip.name}: its bars are left out ({bars})")
        rgb = np.ascontiguousarray(bars.crop(rgb))
    return rgb


def read_middle_frame(clip: Clip, frame_format: FrameFormat, context: Context) -> Frame:
    """Return the middle frame of a clip."""
    (frame,) = read_clip_frames(clip, [clip.index.num_frames // 2], frame_format, context)
    return frame
