"""The guides of a stack: those in its folder, where none are named, and which of them are grey."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.stack import Stack, StackSettings
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.pictures import find_guides, open_reader

GREY_SIDE = 64  # pixels, of the short side
GREY_SPREAD = 2  # levels between channels that a codec may add to a grey picture


def with_guides(pairing: Pairing, folder: Path, target: Path | None) -> Pairing:
    """Return the pairing; a stack without named guides takes all in its folder, grey ones as one channel."""
    if not isinstance(pairing, Stack) or pairing.guides:
        return pairing
    target = target.resolve() if target else None
    guides = find_guides(folder) if folder.is_dir() else {}
    guides = {name: path for name, path in guides.items() if path.resolve() != target and name != "target"}
    if not guides:
        remedy = "give a folder with a folder of pictures for each guide: depth/, normals/ …"
        raise UsageError(str(folder), "no guides in it", remedy)
    return Stack(StackSettings(tuple(f"{name}:1" if _is_grey(path) else name for name, path in guides.items())))


def _is_grey(guide: Path) -> bool:
    """Return whether no frame of a guide has colour. All are read, as the first may be black."""
    with (
        open_reader(guide, FrameFormat(Size(short=GREY_SIDE)), tolerant=True) as reader,
        closing(reader.frames()) as frames,
    ):
        return all(int(np.ptp(frame.rgb.astype(np.int16), axis=2).max()) <= GREY_SPREAD for frame in frames)
