"""Encoded segments unpacked into pictures: one, or a folder of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vidtrans.errors import MediaError
from vidtrans.events import NEVER, Progress, Report, Stop, silent
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
    frames = (picture for segment in segments for picture in read_lossless(segment))
    if names is not None:
        output.mkdir()
    places = [output] if names is None else [output / name for name in names]
    written = 0
    for picture in frames:
        if written < len(places):
            places[written].write_bytes(encode(picture))
        written += 1
        report(Progress("writing pictures", written, len(places)))
        stop.check()
    if written != len(places):
        raise MediaError(str(output), f"{written} frames for {len(places)} pictures", "run again with a clean cache")


def picture_encoder(codec: str) -> Callable[[np.ndarray], bytes]:
    """What makes the bytes of a picture, "png" or "exr"."""
    if codec == "exr":
        from vidtrans.video.images.exr import encode_exr

        return encode_exr
    return encode_png


def picture_names(sources: Sequence[str], frames: range, codec: str = "png", pattern: str = "") -> list[str]:
    """What the pictures of these frames are called: by a ``pattern`` (%05d.png), else like the pictures they were made
    from, else by their number.
    """
    if pattern:
        return [format_number(pattern, n) for n in frames]
    if not sources:
        return [f"{n:06d}.{codec}" for n in frames]
    stems = [Path(sources[n]).stem for n in frames]
    # a.jpg and a.png would be one picture, and where case does not count so would A.jpg.
    alike = len({s.casefold() for s in stems}) == len(stems)
    return [f"{s}.{codec}" if alike else f"{sources[n]}.{codec}" for s, n in zip(stems, frames, strict=True)]
