"""What a file's tracks hold, read by plain PyAV."""

from __future__ import annotations

import struct
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av


def stream_of(path: Path) -> dict[str, Any]:
    """What plain PyAV says of a file's first video track."""
    with closing(av.open(str(path))) as container:
        context = container.streams.video[0].codec_context
        return {
            "codec": context.name,
            "tag": context.codec_tag,
            "pix_fmt": context.pix_fmt,
            "depth": max(c.bits for c in context.format.components),
            "alpha": any(c.is_alpha for c in context.format.components),
            "colour": [context.colorspace, context.color_primaries, context.color_trc, context.color_range],
            "size": (context.width, context.height),
            "aspect": container.streams.video[0].sample_aspect_ratio,
        }


def timecode_track(path: Path) -> tuple[Fraction, Fraction]:
    """Of a QuickTime file: the first frame's time of day in seconds, and how many frames its timecode counts a second.

    How long a frame lasts, and how many the clock counts a second, are two fields, which must agree.
    """
    data, at = path.read_bytes(), -1
    while (at := data.find(b"tmcd", at + 1)) >= 0:
        if struct.unpack_from(">I", data, at - 4)[0] in (34, 36):  # the description, with its size before it
            break
    scale, duration, count = struct.unpack_from(">IIB", data, at + 20)
    assert count == round(Fraction(scale, duration))
    with closing(av.open(str(path))) as container:
        track = next(s for s in container.streams.data if "timecode" in s.metadata)
        number = int.from_bytes(next(bytes(p) for p in container.demux(track) if p.size), "big")
    return Fraction(number, count), Fraction(scale, duration)
