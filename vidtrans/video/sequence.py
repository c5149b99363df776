"""Encoded segments unpacked into pictures: one, or a folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidtrans.errors import MediaError
from vidtrans.video.encoder import read_lossless
from vidtrans.video.picture import encode_png


def unpack(segments: Sequence[Path], names: Sequence[str] | None, output: Path) -> None:
    """Write the frames of lossless ``segments`` as PNG: into the folder ``output`` under ``names``.

    Without ``names`` there is one frame, and ``output`` is its file. Raises MediaError where the numbers differ.
    """
    frames = (picture for segment in segments for picture in read_lossless(segment))
    if names is not None:
        output.mkdir()
    places = [output] if names is None else [output / name for name in names]
    written = 0
    for place, picture in zip(places, frames, strict=False):
        place.write_bytes(encode_png(picture))
        written += 1
    if written != len(places):
        raise MediaError(str(output), f"{written} frames for {len(places)} pictures", "run again with a clean cache")


def picture_names(sources: Sequence[str], frames: range) -> list[str]:
    """What the pictures of these frames are called: like the pictures they were made from, else by their number."""
    if not sources:
        return [f"{n:06d}.png" for n in frames]
    stems = [Path(sources[n]).stem for n in frames]
    alike = len(set(stems)) == len(stems)  # a.jpg and a.png would be one
    return [f"{s}.png" if alike else f"{sources[n]}.png" for s, n in zip(stems, frames, strict=True)]
