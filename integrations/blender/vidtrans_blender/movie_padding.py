"""Write a movie of a part of a clip as one of the whole clip's length, whose other frames hold a picture of the part.

Blender stores a retiming as shares of the whole file, so that a shorter file would show other frames. Nothing is
encoded, and nothing is stored twice: in the tables of an MP4 or MOV file, many frames may be the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import BinaryIO

from . import UserError

PADDED = (".mp4", ".mov")
FOLDERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}  # boxes of boxes that are rewritten
LEFT_OUT = {b"edts", b"tref", b"sdtp", b"sbgp", b"sgpd"}
TABLES = {b"stts", b"ctts", b"stss", b"stsc", b"stsz", b"stco", b"co64"}
MOST_JITTER = 0.25  # of a frame: files that count in milliseconds have frames of 41 and of 42
Boxes = dict[bytes, bytes]


def top_boxes(file: BinaryIO) -> list[tuple[bytes, int, int]]:
    """Return the kind of each box of a file, the place of its first byte, and its length in bytes."""
    end, at, found = file.seek(0, 2), 0, []
    while at + 8 <= end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        length = length or end - at
        if length < 8 or at + length > end:
            raise ValueError("it is cut off")
        found.append((kind, at, length))
        at += length
    return found


def boxes_in(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8:
            return  # QuickTime ends some lists with zeros
        yield kind, data[at + 8 : at + length]
        at += length


def boxed(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, kind) + content


def inner(content: bytes, *kinds: bytes) -> bytes:
    for kind in kinds:
        content = dict(boxes_in(content))[kind]
    return content


def is_video(track: bytes) -> bool:
    return inner(track, b"mdia", b"hdlr")[8:12] == b"vide"


def rows_of(content: bytes, row: str = "I") -> list[tuple[int, ...]]:
    """Return the rows of a table: behind its version comes how many there are. ``row``: the format of one."""
    (count,) = struct.unpack_from(">I", content, 4)
    return list(struct.iter_unpack(f">{row}", content[8 : 8 + struct.calcsize(f">{row}") * count]))


def table(*words: int) -> bytes:
    return struct.pack(f">I{len(words)}I", 0, *words)


@dataclass(frozen=True)
class Samples:
    """The frames of a track in the order of decoding: bytes, place in the file, rank in time, whether it is a key."""

    sizes: list[int]
    places: list[int]
    ranks: list[int]
    keys: list[int]

    @classmethod
    def read(cls, stbl: Boxes) -> Samples:
        """Return the frames of a table of samples. Raises ValueError, KeyError, struct.error."""
        same, count = struct.unpack_from(">II", stbl[b"stsz"], 4)
        sizes = [same] * count if same else [size for (size,) in rows_of(stbl[b"stsz"][4:])]
        chunks = [at for (at,) in (rows_of(stbl[b"stco"]) if b"stco" in stbl else rows_of(stbl[b"co64"], "Q"))]
        runs = rows_of(stbl[b"stsc"], "III")
        if not sizes or len({run[2] for run in runs}) != 1:
            raise ValueError("it has no frames, or frames of several kinds")
        places: list[int] = []
        for (first, per_chunk, _), end in zip(runs, [*(run[0] for run in runs[1:]), len(chunks) + 1], strict=True):
            for chunk in range(first - 1, end - 1):
                at = chunks[chunk]
                for _ in range(per_chunk):
                    places.append(at)
                    at += sizes[len(places) - 1]
        keys = [key - 1 for (key,) in rows_of(stbl[b"stss"])] if b"stss" in stbl else list(range(len(sizes)))
        return cls(sizes, places, _ranks(stbl, len(sizes)), keys)

    @property
    def delay(self) -> int:
        """The largest number of frames by which one is decoded after the time at which it is shown."""
        return max(at - rank for at, rank in enumerate(self.ranks))


def _ranks(stbl: Boxes, count: int) -> list[int]:
    """Return the place of each frame in the order of presentation. Raises ValueError if the rate is not constant."""
    lengths = [length for times, length in rows_of(stbl[b"stts"], "II") for _ in range(times)]
    shifts = [shift for times, shift in rows_of(stbl[b"ctts"], "Ii") for _ in range(times)] if b"ctts" in stbl else []
    decoded = [*accumulate(lengths, initial=0)][:-1]
    shown = [at + shift for at, shift in zip(decoded, shifts or [0] * count, strict=True)]
    times = sorted(shown)
    gaps = [b - a for a, b in pairwise(times)]
    usual = sum(gaps) / len(gaps) if gaps else 1
    if any(abs(gap - usual) > max(1.0, MOST_JITTER * usual) for gap in gaps):
        raise ValueError("its frames have no constant rate")
    order = {time: rank for rank, time in enumerate(times)}
    return [order[time] for time in shown]


def has_variable_rate(path: Path) -> bool:
    """Return whether a file is known to have a variable rate: an MP4 or MOV file that :func:`pad_movie` refuses."""
    if path.suffix.lower() not in PADDED:
        return False
    try:
        with path.open("rb") as file:
            tracks = [content for kind, content in boxes_in(_read_moov(file)) if kind == b"trak"]
        stbl = dict(boxes_in(inner(next(filter(is_video, tracks)), b"mdia", b"minf", b"stbl")))
        _ranks(stbl, struct.unpack_from(">II", stbl[b"stsz"], 4)[1])
    except ValueError:
        return True
    except (OSError, KeyError, IndexError, StopIteration, struct.error):
        return False
    return False


def _read_moov(file: BinaryIO) -> bytes:
    """Return the description of a file's tracks. Raises StopIteration if it has none."""
    at, length = next((at, length) for kind, at, length in top_boxes(file) if kind == b"moov")
    file.seek(at + 8)
    return file.read(length - 8)


def pad_movie(source: Path, output: Path, before: int, after: int, rate: Fraction) -> None:
    """Write a movie again with frames before and behind its own, which hold its first key frame; without sound.

    Raises:
        UserError: The file is no MP4 or MOV file, or has no constant rate.
        OSError: The file cannot be read or written.
    """
    part = output.with_name(f"{output.stem}.part{output.suffix}")
    try:
        with source.open("rb") as file, part.open("wb") as target:
            shift: dict[int, int] = {}  # how far the bytes from each place on have moved
            for kind, at, length in top_boxes(file):
                if kind in (b"ftyp", b"mdat"):
                    shift[at] = target.tell() - at
                    file.seek(at)
                    for start in range(0, length, 1 << 20):
                        target.write(file.read(min(length - start, 1 << 20)))
            target.write(boxed(b"moov", _padded_moov(_read_moov(file), before, after, rate, shift)))
        part.replace(output)
    except (ValueError, KeyError, IndexError, StopIteration, struct.error) as error:
        why = str(error) if isinstance(error, ValueError) else "it is no MP4 or MOV file"
        remedy = "choose Whole Clip, and style the strip again: rendered frames are reused"
        raise UserError(f"{source}: it cannot be retimed as a part of its clip ({why}) — {remedy}") from error
    finally:
        part.unlink(missing_ok=True)


def _padded_moov(moov: bytes, before: int, after: int, rate: Fraction, shift: dict[int, int]) -> bytes:
    """Return the description of the new file. ``shift``: how far the bytes from each place on have moved."""
    header = inner(moov, b"mvhd")
    (timescale,) = struct.unpack_from(">I", header, 12)
    video = next((content for kind, content in boxes_in(moov) if kind == b"trak" and is_video(content)), None)
    if video is None:
        raise ValueError("it has no video")
    samples = Samples.read(dict(boxes_in(inner(video, b"mdia", b"minf", b"stbl"))))
    total = before + len(samples.sizes) + after
    length = round(total / rate * timescale)
    tables, delay = _tables(samples, before, after, rate.denominator, shift), samples.delay * rate.denominator
    edit = boxed(b"edts", boxed(b"elst", struct.pack(">IIIiI", 0, 1, length, delay, 1 << 16)))
    lengths = {b"mvhd": (length, 16), b"tkhd": (length, 20), b"mdhd": (total * rate.denominator, 16)}

    def rewritten(kind: bytes, content: bytes) -> bytes:
        if kind in FOLDERS:
            boxes = [rewritten(*box) for box in boxes_in(content) if box[0] not in LEFT_OUT | TABLES]
            return boxed(kind, b"".join([*boxes, {b"stbl": tables, b"trak": edit}.get(kind, b"")]))
        if kind in lengths:
            value, at = lengths[kind]
            if content[0] != 0:
                raise ValueError("its times have 64 bits")
            head = content[:12] + struct.pack(">I", rate.numerator) if kind == b"mdhd" else content[:at]
            content = head + struct.pack(">I", value) + content[at + 4 :]
        return boxed(kind, content)

    return rewritten(b"mvhd", header) + rewritten(b"trak", video)


def _tables(samples: Samples, before: int, after: int, unit: int, shift: dict[int, int]) -> bytes:
    count, first, delay = len(samples.sizes), samples.keys[0], samples.delay
    total = before + count + after
    offsets = [0] * before + [rank - at for at, rank in enumerate(samples.ranks)] + [0] * after
    samples_at = [first] * before + [*range(count)] + [first] * after
    moved = [place + shift[max(start for start in shift if start <= place)] for place in samples.places]
    times = [word for offset in offsets for word in (1, (offset + delay) * unit)]
    keys = [*range(1, before + 1), *(before + 1 + at for at in samples.keys), *range(before + count + 1, total + 1)]
    boxes = {b"stts": table(1, total, unit), b"ctts": table(total, *times), b"stss": table(len(keys), *keys)}
    boxes |= {b"stsc": table(1, 1, 1, 1), b"stsz": table(0, total, *(samples.sizes[at] for at in samples_at))}
    boxes[b"co64"] = struct.pack(f">II{total}Q", 0, total, *(moved[at] for at in samples_at))
    return b"".join(boxed(kind, content) for kind, content in boxes.items())
