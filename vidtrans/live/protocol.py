"""Binary messages between a live server and its pages or other programs.

A frame, to the server: a header of 16 bytes, then a JPEG, PNG or WebP file. A picture, to a page: a header of 32 bytes,
then two JPEG files: the view of the network's input, which may be empty, and the picture. Numbers are little-endian.

A block of sound, to the server: a header of 8 bytes, then 1 to 8,192 samples, i16, of one channel.

    frame    u8 version, u8 kind, u16 0, u32 sequence, f64 timestamp
    sound    u8 version, u8 3, u16 0, u32 rate in Hz
    picture  u8 version, u8 kind, u16 0, u32 sequence, f64 timestamp, u32 sender, f32 model_ms, f32 server_ms,
             u32 bytes of the first file

``timestamp`` is in milliseconds of the sender's clock, and is returned unchanged. ``sender`` is the number of the
connection that sent the frame; 0: the frame came without a connection.

This module also checks and decodes received picture files.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vidtrans.core.errors import MediaError, UsageError
from vidtrans.curves.live_hearing import RATES_HZ
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.frame_format import PAPER
from vidtrans.video.images.picture_header import UnreadablePictureError, read_header
from vidtrans.video.images.still import decode_still
from vidtrans.web import MAX_MESSAGE

MAX_PIXELS, MAX_SIDE_PX = 1 << 24, 8192  # Limits for received pictures: number of pixels, and longest side
FORMATS = ("JPEG", "PNG", "WEBP")  # Picture file formats that are accepted, by their Pillow names
# Values of the Content-Type header that are accepted for a picture file, such as image/jpeg
CONTENT_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
JPEG_QUALITY = 92  # Quality, 0 to 100, of JPEG files that the server sends, without chroma subsampling
PROTOCOL_VERSION = 1  # Version number in the first byte of each binary message
FRAME_HEADER = struct.Struct("<BBHId")  # Header of a frame message: version, kind, 0, sequence number, timestamp in ms
SOUND_HEADER = struct.Struct("<BBHI")  # Header of a sound message: version, kind, 0, sample rate in Hz
PICTURE_HEADER = struct.Struct("<BBHIdIffI")  # Header of a picture message; the module docstring lists its fields
SOUND_KIND, MAX_SOUND_SAMPLES = 3, 8192  # Kind number of sound messages, and most samples in a message
FrameKind = Literal["picture", "drawing"]  # Kind of a frame: see ``FrameMessage``
FRAME_KINDS: dict[int, FrameKind] = {1: "picture", 2: "drawing"}  # Kinds of frames by their number in the header
NEW_PICTURE, REPEATED_PICTURE, DROPPED_FRAME = 1, 2, 3  # Kinds of picture messages
# Advice in the error for a sound block with a wrong header or sample rate
RATE_REMEDY = f"send it at {RATES_HZ[0]:,} to {RATES_HZ[1]:,} Hz; see vidtrans.live.protocol"


@dataclass(frozen=True)
class FrameMessage:
    """A frame of a source.

    ``kind``: 'picture', from which the network's input is made, or 'drawing', which is the input.
    """

    kind: FrameKind
    sequence: int
    timestamp: float
    file: bytes


@dataclass(frozen=True)
class SoundMessage:
    """A block of mono sound: ``samples``, (n,) float32 in [-1, 1], at ``rate_hz``."""

    rate_hz: int
    samples: np.ndarray

    @property
    def duration_s(self) -> float:
        """Return the duration of the block, in s."""
        return len(self.samples) / self.rate_hz


@dataclass(frozen=True)
class PictureMessage:
    """A painted picture, or the notice that a frame was dropped. The module docstring explains the fields."""

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
    return FRAME_HEADER.pack(PROTOCOL_VERSION, kind, 0, frame.sequence, frame.timestamp) + frame.file


def parse_frame(data: bytes) -> FrameMessage:
    """Parse the bytes of a frame message. Raises UsageError."""
    if not FRAME_HEADER.size < len(data) <= MAX_MESSAGE:
        raise UsageError(
            "frame", f"the message has {len(data)} bytes", f"send {FRAME_HEADER.size + 1} to {MAX_MESSAGE} bytes"
        )
    version, kind, reserved, sequence, timestamp = FRAME_HEADER.unpack_from(data)
    if version != PROTOCOL_VERSION or kind not in FRAME_KINDS or reserved:
        raise UsageError("frame", f"its header is not of version {PROTOCOL_VERSION}", "see vidtrans.live.protocol")
    return FrameMessage(FRAME_KINDS[kind], sequence, timestamp, data[FRAME_HEADER.size :])


def is_sound_message(data: bytes) -> bool:
    """Return whether the bytes of a message begin with the version and kind of a sound message."""
    return data[:2] == bytes((PROTOCOL_VERSION, SOUND_KIND))


def pack_sound(sound: SoundMessage) -> bytes:
    """Return the bytes of a sound message; samples are clipped and rounded to 16 bits."""
    levels = np.clip(np.rint(sound.samples * 32768), -32768, 32767)
    return SOUND_HEADER.pack(PROTOCOL_VERSION, SOUND_KIND, 0, sound.rate_hz) + levels.astype("<i2").tobytes()


def parse_sound(data: bytes) -> SoundMessage:
    """Parse the bytes of a sound message. Raises UsageError."""
    count, odd = divmod(len(data) - SOUND_HEADER.size, 2)
    if odd or not 1 <= count <= MAX_SOUND_SAMPLES:
        raise UsageError(
            "sound", f"the message has {len(data)} bytes", f"send 1 to {MAX_SOUND_SAMPLES} samples of 2 bytes"
        )
    version, kind, reserved, rate_hz = SOUND_HEADER.unpack_from(data)
    if (version, kind, reserved) != (PROTOCOL_VERSION, SOUND_KIND, 0) or not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        raise UsageError(
            "sound", f"its header is not of version {PROTOCOL_VERSION}, or its rate is out of bounds", RATE_REMEDY
        )
    return SoundMessage(rate_hz, np.frombuffer(data, "<i2", offset=SOUND_HEADER.size).astype(np.float32) / 32768)


def pack_picture(picture: PictureMessage) -> bytes:
    """Return the bytes of a picture message."""
    p = picture
    times = p.timestamp, p.sender, p.model_ms, p.server_ms
    return (
        PICTURE_HEADER.pack(PROTOCOL_VERSION, p.kind, 0, p.sequence, *times, len(p.model_input))
        + p.model_input
        + p.file
    )


def parse_picture(data: bytes) -> PictureMessage:
    """Parse the bytes of a picture message. Raises UsageError."""
    if len(data) < PICTURE_HEADER.size or data[0] != PROTOCOL_VERSION:
        raise UsageError("picture", f"its header is not of version {PROTOCOL_VERSION}", "see vidtrans.live.protocol")
    _, kind, _, sequence, timestamp, sender, model_ms, server_ms, length = PICTURE_HEADER.unpack_from(data)
    files = data[PICTURE_HEADER.size :]
    return PictureMessage(kind, sequence, timestamp, sender, model_ms, server_ms, files[:length], files[length:])


def decode(file: bytes, what: str = "frame") -> np.ndarray:
    """Decode the content of a JPEG, PNG or WebP file to (H, W, 3) uint8 RGB, with white behind transparent pixels.

    The size is checked in the header before decoding. ``what``: the name of the file in errors. Raises MediaError.
    """
    try:
        header = read_header(io.BytesIO(file), FORMATS)
    except (OSError, UnreadablePictureError):
        raise MediaError(what, "it is not a JPEG, PNG or WebP file", "send one of these formats") from None
    if header.num_pictures > 1:
        raise MediaError(what, "it is an animation", "send single pictures")
    width, height = header.width, header.height
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        remedy = f"send up to {MAX_PIXELS} pixels, {MAX_SIDE_PX} a side"
        raise MediaError(what, f"{width}x{height} is too large", remedy)
    still = decode_still(np.frombuffer(file, np.uint8), header)
    if still is None:
        raise MediaError(what, "it is damaged", "send a whole JPEG, PNG or WebP file")
    picture = to_uint8(still.picture)
    return picture if picture.shape[2] == 3 else composite_over(picture[..., :3], picture[..., 3], PAPER)
