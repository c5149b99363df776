"""Whether to follow the motion or the look: measured on the key frames, whose painting is known.

Paint that is carried along the motion is sharp and steady where it is right. Where a look does not move with the things
that it shows, or the motion is not found, a network that learned the look paints better.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.painting.composing import Painter
from vidtrans.session import Context
from vidtrans.settings import Size
from vidtrans.video.frame_format import FrameFormat

NetworkPicture = Callable[[np.ndarray, int], np.ndarray]  # of a frame (H, W, 3) uint8 and its number: uint8 or uint16
MOTION_UNTIL, LOOK_FROM = 1.2, 2.0  # times the network's error: what is carried counts fully, and not at all


def errors(
    painter: Painter, clip: Clip, keys: Sequence[int], size: tuple[int, int], network: NetworkPicture, context: Context
) -> Iterable[tuple[float, float]]:
    """Yield, of each key frame that others reach, the RMS error of what they bring there and that of the network.

    Errors are in [0, 1], where the key frame is painted.
    """
    form = FrameFormat(Size(exact=size))
    for frame in read_clip_frames(clip, keys, form, context):
        brought = painter.blend(frame.index, frame.rgb, without=[frame.index])
        painting = painter.painting(frame.index)
        if brought is None or not painting.cover.any():
            continue
        output = network(frame.rgb, frame.index)
        pictures = brought.rgb, output.astype(np.float32) / np.iinfo(output.dtype).max
        carried, learned = (_error(picture, painting.rgb, painting.cover) for picture in pictures)
        yield carried, learned


def gain_of(found: Iterable[tuple[float, float]]) -> float:
    """Return how far to rely on what is carried, 0 to 1, from pairs of errors, carried and learned; 1 without any."""
    pairs = list(found)
    if not pairs:
        return 1.0
    carried, learned = (float(np.sqrt(np.mean(np.square(side)))) for side in zip(*pairs, strict=True))
    ratio = carried / max(learned, 1e-4)
    return round(float(np.clip((LOOK_FROM - ratio) / (LOOK_FROM - MOTION_UNTIL), 0, 1)), 2)


def _error(picture: np.ndarray, painting: np.ndarray, cover: np.ndarray) -> float:
    squares = np.square(picture - painting).mean(2)
    return float(np.sqrt((squares * cover).sum() / cover.sum()))
