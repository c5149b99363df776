"""Read how often an animated picture is played: GIF, PNG, WebP, AVIF."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from pathlib import Path

MAX_PLAYS = 65_535  # more is endless, as all but GIF and WebP count further
_PICTURES = {b"GIF8": "GIF", b"\x89PNG": "PNG", b"RIFF": "WEBP"}
_BOXES = 16 << 20  # bytes of an AVIF's description, at most


def num_plays(path: Path) -> int | None:
    """Return how often an animation is played, 0 for endlessly; None for other files, and where the file is silent."""
    with path.open("rb") as file:
        head = file.read(16)
        if head[4:12] in (b"ftypavis", b"ftypavif"):
            return _avif_plays(file.read(_BOXES), int.from_bytes(head[:4]) - len(head))
    kind = _PICTURES.get(head[:4])
    return None if kind is None else _plays_by_pillow(path, kind)


def _plays_by_pillow(path: Path, kind: str) -> int | None:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=[kind]) as picture:
                if not getattr(picture, "is_animated", False):
                    return None
                count: int | None = picture.info.get("loop")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError):
        return None
    if kind == "GIF":  # which counts the repeats; without a count it is played once
        count = 1 if count is None else count and count + 1
    return None if count is None else count if count <= MAX_PLAYS else 0


def _avif_plays(data: bytes, at: int) -> int | None:
    """Return the plays of an AVIF: the duration of its track by that of the repeated edit (ISO/IEC 23000-22)."""
    for track in (t for moov in _boxes(data[max(0, at) :], b"moov") for t in _boxes(moov, b"trak")):
        header = next(_boxes(track, b"tkhd"), b"")
        edits = next((e for one in _boxes(track, b"edts") for e in _boxes(one, b"elst")), b"")
        if len(edits) < 16 or len(header) < 36:
            continue
        if not edits[3] & 1:
            return 1
        whole = struct.unpack_from(">Q" if header[0] else ">I", header, 28 if header[0] else 20)[0]
        one = struct.unpack_from(">Q" if edits[0] else ">I", edits, 8)[0]
        plays = -(-whole // one) if one else 0
        return plays if plays <= MAX_PLAYS else 0
    return None


def _boxes(data: bytes, kind: bytes) -> Iterator[bytes]:
    """Yield the contents of the boxes of a kind that lie side by side in ``data``."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        size = size if size >= 8 else len(data) - at  # the last box may reach to the end
        if data[at + 4 : at + 8] == kind:
            yield data[at + 8 : at + size]
        at += size
