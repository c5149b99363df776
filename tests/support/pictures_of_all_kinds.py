"""Picture files that programs of the field write: colour profiles, tags, sample formats, several pictures in one."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

from vidtrans.video.colour.tags import PRIMARIES, Primaries

P3 = PRIMARIES[12]
_D50 = np.array([0.9642, 1.0, 0.8249])
_SRGB_D50 = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])


def rgb_profile(primaries: Primaries, gamma: float, name: str = "made") -> bytes:
    """Return an ICC profile of a matrix and a gamma."""
    columns = (_SRGB_D50 @ primaries.to_bt709()).T
    curve = b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))
    colorants = [b"XYZ \0\0\0\0" + struct.pack(">3i", *np.rint(c * 65536).astype(int)) for c in columns]
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    return _profile(b"RGB ", b"XYZ ", name, dict(zip(names, [*colorants, curve, curve, curve], strict=True)))


def grey_profile(gamma: float) -> bytes:
    """Return an ICC profile of a grey gamma."""
    return _profile(b"GRAY", b"XYZ ", "grey", {b"kTRC": b"curv" + struct.pack(">IIH", 0, 1, round(gamma * 256))})


def ink_profile() -> bytes:
    """Return an ICC profile of tables for CMYK, whose lightness is 100 − 25 a full ink, and which is grey."""
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4).sum(1)
    lab = np.stack([255 - inks * 255 / 4, np.full(16, 128), np.full(16, 128)], axis=1)
    return _profile(b"CMYK", b"Lab ", "inks", {b"A2B0": _table(4, lab)}, b"prtr")


def table_profile() -> bytes:
    """Return an ICC profile of tables for RGB: grey of the mean lightness."""
    lightness = np.stack(np.meshgrid(*[[0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3).mean(1)
    lab = np.stack([255 * lightness, np.full(8, 128), np.full(8, 128)], axis=1)
    return _profile(b"RGB ", b"Lab ", "table", {b"A2B0": _table(3, lab)}, b"scnr")


def _table(inputs: int, nodes: np.ndarray) -> bytes:
    """Return a tag of the kind lut8Type with 2 nodes a side, (2 ** inputs, 3)."""
    ramp, identity = bytes(range(256)), struct.pack(">9i", *np.rint(np.eye(3).ravel() * 65536).astype(int))
    head = b"mft1\0\0\0\0" + bytes([inputs, 3, 2, 0]) + identity
    return head + ramp * inputs + np.rint(nodes).astype(np.uint8).tobytes() + ramp * 3


def _profile(space: bytes, connection: bytes, name: str, tags: dict[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    text = name.encode() + b"\0"
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *np.rint(_D50 * 65536).astype(int))
    described = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(8 + 3 + 67)
    tags = tags | {b"desc": described, b"wtpt": white, b"cprt": b"text\0\0\0\0none\0"}
    at, entries, body = 132 + 12 * len(tags), b"", b""
    for signature, content in tags.items():
        entries += struct.pack(">4sII", signature, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = bytes(4) + b"none" + struct.pack(">I", 0x02100000) + kind + space + connection + bytes(12) + b"acsp"
    head += bytes(28) + struct.pack(">3i", *np.rint(_D50 * 65536).astype(int))
    whole = head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body
    return struct.pack(">I", len(whole)) + whole[4:]


def with_chunks(png: Path, chunks: dict[bytes, bytes]) -> Path:
    """Insert chunks into a PNG behind its header."""
    data = png.read_bytes()
    new = b"".join(struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks.items())
    png.write_bytes(data[:33] + new + data[33:])
    return png


def with_jp2_profile(path: Path, profile: bytes) -> Path:
    """Replace the colour box of a JPEG 2000 file by an ICC profile."""
    data = path.read_bytes()
    box = struct.pack(">I4s3B", 11 + len(profile), b"colr", 2, 0, 0) + profile
    head, at = data.index(b"jp2h") - 4, data.index(b"colr") - 4
    head_size, size = (struct.unpack_from(">I", data, place)[0] for place in (head, at))
    head_size += len(box) - size
    path.write_bytes(data[:head] + struct.pack(">I", head_size) + data[head + 4 : at] + box + data[at + size :])
    return path


def write_tiff(path: Path, pictures: list[np.ndarray], tags: dict[int, int] | None = None) -> Path:
    """Write an uncompressed TIFF of pictures, (H, W) or (H, W, C) of any dtype; ``tags``: further ones, as shorts."""
    data, last = bytearray(b"II*\0\0\0\0\0"), 4
    for picture in pictures:
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        strip = len(data)
        data += picture.tobytes() + bytes(picture.nbytes % 2)
        bits = len(data)
        data += struct.pack(f"<{channels}H", *[8 * picture.itemsize] * channels)
        kind = {"u": 1, "i": 2, "f": 3}[picture.dtype.kind]
        formats = len(data)
        data += struct.pack(f"<{channels}H", *[kind] * channels)
        inline = channels == 1
        entries = {
            256: (4, 1, picture.shape[1]),
            257: (4, 1, picture.shape[0]),
            258: (3, channels, 8 * picture.itemsize if inline else bits),
            259: (3, 1, 1),
            262: (3, 1, 1 if channels < 3 else 2),
            273: (4, 1, strip),
            277: (3, 1, channels),
            278: (4, 1, picture.shape[0]),
            279: (4, 1, picture.nbytes),
            **({338: (3, 1, 2)} if channels in (2, 4) else {}),
            339: (3, channels, kind if inline else formats),
            **{tag: (3, 1, value) for tag, value in (tags or {}).items()},
        }
        data += bytes(len(data) % 2)
        struct.pack_into("<I", data, last, len(data))
        data += struct.pack("<H", len(entries))
        data += b"".join(struct.pack("<HHII", tag, *entries[tag]) for tag in sorted(entries))
        last = len(data)
        data += bytes(4)
    path.write_bytes(bytes(data))
    return path
