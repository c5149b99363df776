"""Choose evenly spread frame numbers, and read the frames of a clip, or an area of them, with given numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.flow.bars import bars_of, opaque_part
from vidtrans.session import Context
from vidtrans.video.colour.conversion import composite_over
from vidtrans.video.frame_format import Area, FrameFormat
from vidtrans.video.io.clip import Frame, read_frames

DEFAULT_COUNT = 24
SMALLEST_PART = 64  # pixels: the side of a style picture of which the rest is transparent
SMALLEST_SIDE, PLAIN = 32, 3.0  # pixels, and levels of 255, below which a style picture has hardly any style
MAX_SKIPPED = 12  # frames on average, which are decoded sooner than a seek


def segment_centres(total: int, count: int) -> list[int]:
    """Return the numbers of the middle frames of ``count`` equal segments of ``total`` frames."""
    return [(2 * k + 1) * total // (2 * count) for k in range(count)]


def spread_numbers(total: int, count: int | None, default: int = DEFAULT_COUNT) -> list[int]:
    """Return the middle frames of ``count`` segments of ``total`` frames; all if ``count`` is 0; None: ``default``."""
    wanted = default if count is None else count
    if wanted == 0 or total <= wanted:
        return list(range(total))
    return segment_centres(total, wanted)


def passes(numbers: Sequence[int]) -> list[Sequence[int]]:
    """Group increasing frame numbers: one group, to read in one pass, if they are close together, else one each."""
    in_one_pass = len(numbers) * MAX_SKIPPED >= numbers[-1] - numbers[0]
    return [numbers] if in_one_pass else [[n] for n in numbers]


def read_clip_frames(
    clip: Clip, numbers: Sequence[int], frame_format: FrameFormat, context: Context
) -> Iterator[Frame]:
    """Yield the frames of a clip with these numbers, in order: in one pass if they are close, else by seeking."""
    with clip.reader(frame_format, context.decode_threads) as reader:
        for group in passes(numbers):
            yield from read_frames(reader, clip.index, group)
            context.stop.check()


def read_style_picture(clip: Clip, context: Context, area: Area | None = None) -> np.ndarray:
    """Return the middle frame of a clip, (H, W, 3) uint8, without bars and, where enough remains, transparent parts.

    A note says what was left out, a warning that it has hardly any style. ``area``: the only part that is used. Raises
    UsageError if it is not inside.
    """
    rgb = _within_bars(clip, context, area)
    height, width = rgb.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        context.warn_once(f"{clip.name}: {width}x{height} pixels have hardly any texture, only colours", clip.path)
    elif float(rgb.std((0, 1)).max()) < PLAIN:
        context.warn_once(f"{clip.name}: it is of one colour, so it gives only that colour", clip.path)
    return rgb


def _within_bars(clip: Clip, context: Context, area: Area | None) -> np.ndarray:
    frame = read_middle_frame(clip, FrameFormat(alpha="kept"), context)
    rgb, alpha = frame.rgb, frame.alpha
    if area is not None:
        part = area.within(clip.name, rgb.shape[1], rgb.shape[0])
        rgb, alpha = np.ascontiguousarray(rgb[part]), None if alpha is None else alpha[part]
    if alpha is not None:
        rows, columns = opaque_part(alpha)
        height, width = rgb[rows, columns].shape[:2]
        if min(height, width) >= SMALLEST_PART:
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
