"""Write encoded segments as pictures: one, or a folder of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.core.events import NEVER, Progress, Report, Stop, silent
from vidtrans.video.images.picture import encode_png
from vidtrans.video.io.encoder import read_lossless
from vidtrans.video.io.pictures import format_number


def unpack(
    segments: Sequence[Path],
    names: Sequence[str] | None,
    output: Path,
    codec: str = "png",
    report: Report = silent,
    stop: Stop = NEVER,
) -> None:
    """Write the frames of lossless ``segments`` as pictures (png or exr) into the folder ``output``, under ``names``.

    Without ``names`` there is one frame, and ``output`` is its file. Raises MediaError where the numbers differ,
    Interrupted when asked to stop.
    """
    encode = picture_encoder(codec)
    if names is not None:
        output.mkdir()
    files = [output] if names is None else [output / name for name in names]
    count = 0
    for count, picture in enumerate(chain.from_iterable(map(read_lossless, segments)), 1):
        if count <= len(files):
            files[count - 1].write_bytes(encode(picture))
        report(Progress("writing pictures", count, len(files)))
        stop.check()
    if count != len(files):
        raise MediaError(str(output), f"{count} frames for {len(files)} pictures", "run again with a clean cache")


def picture_encoder(codec: str) -> Callable[[np.ndarray], bytes]:
    """Return the function that encodes a picture as "png" or "exr"."""
    if codec == "exr":
        from vidtrans.video.images.exr import encode_exr

        return encode_exr
    return encode_png


def picture_names(sources: Sequence[str], frames: range, codec: str = "png", pattern: str = "") -> list[str]:
    """Return the names of pictures: by a ``pattern`` (%05d.png), else like their ``sources``, else by frame number."""
    if pattern:
        return [format_number(pattern, n) for n in frames]
    if not sources:
        return [f"{n:06d}.{codec}" for n in frames]
    stems = [Path(sources[n]).stem for n in frames]
    # a.jpg and a.png would be one picture, and where case does not count so would A.jpg.
    alike = len({s.casefold() for s in stems}) == len(stems)
    return [f"{s}.{codec}" if alike else f"{sources[n]}.{codec}" for s, n in zip(stems, frames, strict=True)]
