"""Key frames and their paintings as pairs, which a network learns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.painting.composing import PaintComposer
from vidtrans.session import Context
from vidtrans.video.frame_format import DEFAULT_FORMAT
from vidtrans.video.images.picture import write_picture


def write_pairs(folder: Path, clip: Clip, keys: Sequence[int], painter: PaintComposer, context: Context) -> None:
    """Write key frames and their paintings, completed, into ``A`` and ``B`` of a folder, at full size."""
    for frame in read_clip_frames(clip, keys, DEFAULT_FORMAT, context):
        name = f"{frame.index:06d}.png"
        write_picture(folder / "A" / name, frame.rgb)
        picture = painter.completed(frame.index, frame.rgb)
        write_picture(folder / "B" / name, np.rint(255 * picture).astype(np.uint8))
