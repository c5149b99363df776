"""Calibrate the balance between transferred paint and a network's picture, by comparing both.

Paint that follows the motion is sharp and steady where the flow is right. Where a style does not move with the objects
in the picture, or the flow is wrong, a network trained on the style paints better. The error of either is unknown
in unpainted frames. But the two errors are independent, so their squared difference is the sum of both squared
errors; where the trust is highest, transferred paint is nearly right, so the difference there is the network's
error alone. Weighting by inverse squared errors then gives the share of each, by the trust in the flow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.settings import Size
from vidtrans.metrics.picture_quality import sharpness
from vidtrans.painting.composing import LEVELS, PaintComposer
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.images.picture import write_picture

NetworkPicture = Callable[[np.ndarray, int], np.ndarray]  # of a frame (H, W, 3) uint8 and its number: uint8 or uint16
SAMPLES = 10  # frames that are compared
SUREST = 0.95  # trust from which on what is carried is taken as right
CAUTION = 3.0  # power of the shares at most: a wrong edge shows more than a soft one
SOFT, SHARP = 0.3, 0.8  # sharpness of the network's pictures, over the paintings', where there is no caution, and all
KEYS = 4  # key frames that this is measured on


def calibrate(
    painter: PaintComposer,
    clip: Clip,
    frames: Sequence[int],
    keys: Sequence[int],
    size: tuple[int, int],
    network: NetworkPicture,
    context: Context,
) -> tuple[float, ...]:
    """Return the share of transferred paint at each level of trust, ``composing.LEVELS``.

    A few of the ``frames`` of a clip are compared: the paint that ``painter`` transfers, and the ``network``'s picture,
    at a (width, height) ``size``. ``keys``: the numbers of the key frames.
    """
    squares, counts = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    middles = (np.asarray(LEVELS[1:]) + np.asarray(LEVELS[:-1])) / 2
    chosen = sorted({frames[at] for at in segment_centres(len(frames), min(SAMPLES, len(frames)))})
    for frame in read_clip_frames(clip, chosen, FrameFormat(Size(exact=size)), context):
        brought = painter.blend(frame.index, frame.rgb)
        if brought is None:
            continue
        output = network(frame.rgb, frame.index)
        squared = np.square(brought.rgb - output.astype(np.float32) / np.iinfo(output.dtype).max).mean(2)
        level = np.digitize(brought.trust.ravel(), middles)  # the nearest one of each pixel
        seen = brought.cover.ravel()
        squares += np.bincount(level, squared.ravel() * seen, len(LEVELS))
        counts += np.bincount(level, seen, len(LEVELS))
    sharp = _sharpness(painter, clip, keys, size, network, context)
    # A soft network gets a low power of the shares, so that more paint is used.
    caution = float(np.clip(CAUTION * (sharp - SOFT) / (SHARP - SOFT), 0.1 * CAUTION, CAUTION))
    return shares_of(squares, counts, caution)


def _sharpness(
    painter: PaintComposer,
    clip: Clip,
    keys: Sequence[int],
    size: tuple[int, int],
    network: NetworkPicture,
    context: Context,
) -> float:
    """Return the sharpness of the network's pictures over that of paintings, where these are whole; 1 if none is."""
    found = []
    for frame in read_clip_frames(clip, list(keys)[:KEYS], FrameFormat(Size(exact=size)), context):
        painting = painter.painting(frame.index)
        if painting.is_whole:
            sharp = sharpness(np.rint(255 * painting.rgb).astype(np.uint8))
            found.append(sharpness(to_uint8(network(frame.rgb, frame.index))) / max(sharp, 1e-6))
    return float(np.mean(found)) if found else 1.0


def shares_of(squares: np.ndarray, counts: np.ndarray, caution: float = CAUTION) -> tuple[float, ...]:
    """Return the paint's share at each level of trust, from sums of squared differences and numbers of pixels.

    ``caution``: the power that is applied to the shares.
    """
    if not counts.any():
        return tuple(LEVELS)
    top = np.asarray(LEVELS) >= SUREST
    if not counts[top].any():  # nothing is sure: the surest there is
        top = np.arange(len(LEVELS)) == np.flatnonzero(counts)[-1]
    error = squares[top].sum() / counts[top].sum()
    means = squares / np.maximum(counts, 1)
    shares = np.where(counts > 0, np.minimum(1, error / np.maximum(means, 1e-9)), 0)
    shares = np.maximum.accumulate(shares**caution)
    return tuple(round(float(share), 3) for share in shares)


def write_pairs(folder: Path, clip: Clip, keys: Sequence[int], painter: PaintComposer, context: Context) -> None:
    """Write key frames and their completed paintings into the subfolders ``A`` and ``B``, at full size."""
    for frame in read_clip_frames(clip, keys, DEFAULT_FORMAT, context):
        name = f"{frame.index:06d}.png"
        write_picture(folder / "A" / name, frame.rgb)
        picture = painter.completed(frame.index, frame.rgb)
        write_picture(folder / "B" / name, np.rint(255 * picture).astype(np.uint8))
