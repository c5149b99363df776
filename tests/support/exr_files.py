"""OpenEXR files of any channels and attributes, as other programs write them."""

from __future__ import annotations

import struct

import numpy as np

HALF, FLOAT, WHOLE = 1, 2, 0
KINDS = {HALF: np.float16, FLOAT: np.float32, WHOLE: np.uint32}
Window = tuple[int, int, int, int]


def attribute(name: str, kind: str, value: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value


def exr_bytes(
    channels: dict[str, np.ndarray],
    kind: int = HALF,
    stored: Window | None = None,
    shown: Window | None = None,
    more: bytes = b"",
) -> bytes:
    """An OpenEXR file without compression; ``channels``: (H, W) each; ``more``: attributes."""
    names = sorted(channels)
    height, width = channels[names[0]].shape
    stored = stored or (0, 0, width - 1, height - 1)
    rows = b"".join(n.encode() + b"\0" + struct.pack("<iiii", kind, 0, 1, 1) for n in names) + b"\0"
    head = b"\x76\x2f\x31\x01" + struct.pack("<i", 2)
    head += attribute("channels", "chlist", rows) + attribute("compression", "compression", b"\0")
    head += attribute("dataWindow", "box2i", struct.pack("<4i", *stored))
    head += attribute("displayWindow", "box2i", struct.pack("<4i", *(shown or stored)))
    head += attribute("lineOrder", "lineOrder", b"\0") + attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
    head += more + attribute("preview", "string", b"x" * 2_000_000)  # long values are passed over
    head += attribute("screenWindowCenter", "v2f", bytes(8)) + attribute("screenWindowWidth", "float", bytes(4)) + b"\0"
    lines = []
    for y in range(height):
        pixels = b"".join(channels[n][y].astype(KINDS[kind]).tobytes() for n in names)
        lines.append(struct.pack("<ii", stored[1] + y, len(pixels)) + pixels)
    places = np.cumsum([0, *[len(line) for line in lines[:-1]]]) + len(head) + 8 * height
    return head + places.astype("<u8").tobytes() + b"".join(lines)


def multipart_bytes(parts: dict[str, dict[str, np.ndarray]]) -> bytes:
    """An OpenEXR file of several parts by name, without compression, in 32-bit floats; channels (H, W) each."""
    heads, chunks = b"", []
    for number, (name, channels) in enumerate(parts.items()):
        names = sorted(channels)
        height, width = channels[names[0]].shape
        listed = b"".join(n.encode() + b"\0" + struct.pack("<iiii", FLOAT, 0, 1, 1) for n in names) + b"\0"
        window = struct.pack("<4i", 0, 0, width - 1, height - 1)
        heads += attribute("channels", "chlist", listed) + attribute("compression", "compression", b"\0")
        heads += attribute("dataWindow", "box2i", window) + attribute("displayWindow", "box2i", window)
        heads += attribute("lineOrder", "lineOrder", b"\0") + attribute(
            "pixelAspectRatio", "float", struct.pack("<f", 1)
        )
        heads += attribute("screenWindowCenter", "v2f", bytes(8)) + attribute("screenWindowWidth", "float", bytes(4))
        heads += attribute("name", "string", name.encode()) + attribute("type", "string", b"scanlineimage")
        heads += attribute("chunkCount", "int", struct.pack("<i", height)) + b"\0"
        for y in range(height):
            pixels = b"".join(channels[n][y].astype("<f4").tobytes() for n in names)
            chunks.append(struct.pack("<iii", number, y, len(pixels)) + pixels)
    head = b"\x76\x2f\x31\x01" + struct.pack("<i", 2 | 0x1000) + heads + b"\0"
    places = np.cumsum([0, *[len(chunk) for chunk in chunks[:-1]]]) + len(head) + 8 * len(chunks)
    return head + places.astype("<u8").tobytes() + b"".join(chunks)
