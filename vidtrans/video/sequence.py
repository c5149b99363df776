"""Encoded segments unpacked into pictures: one, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidtrans.errors import MediaError
from vidtrans.events import Progress, Report, Stop, silent
from vidtrans.video.encoder import read_lossless
from vidtrans.video.picture import encode_png

NEVER = Stop()


def unpack(
    segments: Sequence[Path], names: Sequence[str] | None, output: Path, report: Report = silent, stop: Stop = NEVER
) -> None:
    """Write the frames of lossless ``segments`` as PNG: into the folder ``output`` under ``names``.

    Without ``names`` there is one frame, and ``output`` is its file. Raises MediaError where the numbers differ,
    Interrupted when asked to stop.
    """
    frames = (picture for segment in segments for picture in read_lossless(segment))
    if names is not None:
        output.mkdir()
    places = [output] if names is None else [output / name for name in names]
    written = 0
    for place, picture in zip(places, frames, strict=False):
        place.write_bytes(encode_png(picture))
        written += 1
        report(Progress("writing pictures", written, len(places)))
        stop.check()
    if written != len(places):
        raise MediaError(str(output), f"{written} frames for {len(places)} pictures", "run again with a clean cache")


def picture_names(sources: Sequence[str], frames: range) -> list[str]:
    """What the pictures of these frames are called: like the pictures they were made from, else by their number."""
    if not sources:
        return [f"{n:06d}.png" for n in frames]
    stems = [Path(sources[n]).stem for n in frames]
    # a.jpg and a.png would be one picture, and where case does not count so would A.jpg.
    alike = len({s.casefold() for s in stems}) == len(stems)
    return [f"{s}.png" if alike else f"{sources[n]}.png" for s, n in zip(stems, frames, strict=True)]
