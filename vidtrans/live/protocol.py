"""The binary messages between a live server and its pages or other programs.

A frame, to the server: a header of 16 bytes, then a JPEG, PNG or WebP file. A picture, to a page: a header of 32 bytes,
then two JPEG files: the view of the network's input, which may be empty, and the picture. Numbers are little-endian.

    frame    u8 version, u8 kind, u16 0, u32 sequence, f64 timestamp
    picture  u8 version, u8 kind, u16 0, u32 sequence, f64 timestamp, u32 sender, f32 model_ms, f32 server_ms,
             u32 bytes of the first file

``timestamp`` is in milliseconds of the sender's clock, and is returned unchanged. ``sender`` is the number of the
connection that sent the frame; 0: the frame came without a connection.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

from vidtrans.core.errors import UsageError
from vidtrans.web import MAX_MESSAGE

VERSION = 1
FRAME = struct.Struct("<BBHId")
PICTURE = struct.Struct("<BBHIdIffI")

FrameKind = Literal["picture", "drawing"]
FRAME_KINDS: dict[int, FrameKind] = {1: "picture", 2: "drawing"}
PAINTED, REPEATED, DROPPED = 1, 2, 3  # kinds of answers: a new frame painted, the last frame repainted, frame dropped


@dataclass(frozen=True)
class FrameMessage:
    """A frame of a source. ``kind``: 'picture' (the network's input is made from it) or 'drawing' (it is the input)."""

    kind: FrameKind
    sequence: int
    timestamp: float
    file: bytes


@dataclass(frozen=True)
class PictureMessage:
    """A painted picture, or the notice of a dropped frame (both files empty). Fields: see the module docstring."""

    kind: int
    sequence: int
    timestamp: float
    sender: int = 0
    model_ms: float = 0.0
    server_ms: float = 0.0
    model_input: bytes = b""
    file: bytes = b""


def pack_frame(frame: FrameMessage) -> bytes:
    """Return the bytes of a frame message."""
    kind = next(number for number, name in FRAME_KINDS.items() if name == frame.kind)
    return FRAME.pack(VERSION, kind, 0, frame.sequence, frame.timestamp) + frame.file


def parse_frame(data: bytes) -> FrameMessage:
    """Parse the bytes of a frame message. Raises UsageError."""
    if not FRAME.size < len(data) <= MAX_MESSAGE:
        raise UsageError("frame", f"the message has {len(data)} bytes", f"send {FRAME.size + 1} to {MAX_MESSAGE} bytes")
    version, kind, reserved, sequence, timestamp = FRAME.unpack_from(data)
    if version != VERSION or kind not in FRAME_KINDS or reserved:
        raise UsageError("frame", f"its header is not of version {VERSION}", "see vidtrans.live.protocol")
    return FrameMessage(FRAME_KINDS[kind], sequence, timestamp, data[FRAME.size :])


def pack_picture(picture: PictureMessage) -> bytes:
    """Return the bytes of a picture message."""
    p = picture
    times = p.timestamp, p.sender, p.model_ms, p.server_ms
    return PICTURE.pack(VERSION, p.kind, 0, p.sequence, *times, len(p.model_input)) + p.model_input + p.file


def parse_picture(data: bytes) -> PictureMessage:
    """Parse the bytes of a picture message. Raises UsageError."""
    if len(data) < PICTURE.size or data[0] != VERSION:
        raise UsageError("picture", f"its header is not of version {VERSION}", "see vidtrans.live.protocol")
    _, kind, _, sequence, timestamp, sender, model_ms, server_ms, length = PICTURE.unpack_from(data)
    files = data[PICTURE.size :]
    return PictureMessage(kind, sequence, timestamp, sender, model_ms, server_ms, files[:length], files[length:])
