"""Read and write OpenEXR pictures: scene light in half floats, as compositing programs use them.

Policy. Light is linear with BT.709 primaries (OpenEXR's own default; chromaticities in a file are ignored), and the
curve between light and our codes is that of sRGB (IEC 61966-2-1): code 1.0 is light 1.0, brighter light is clipped. As
OpenEXR prescribes, colours in a file are multiplied by alpha; ours are straight. What is wholly transparent therefore
loses its colour in a file. Alpha itself is coverage, and linear on both sides.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import av.error
import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.frame_format import MAX_PICTURE_BYTES, MAX_PIXELS
from vidtrans.video.images.exr_file import check_chunks, read_header, unreadable

_MOST = 65504.0  # of a half; stands for infinity until it is clipped
_STRIP = 64  # lines at a time: what is between the file and the picture stays small
# FFmpeg's planes, as R, G, B, A. Its layout of grey with alpha has both in one plane.
_PLANES = {"gbrp": (2, 0, 1), "gbrap": (2, 0, 1, 3), "gray": (0, 0, 0)}


def encode_exr(picture: np.ndarray) -> bytes:
    """Encode an OpenEXR file in half floats, ZIP-compressed: equal pictures give equal bytes.

    ``picture``: (H, W, 3) or (H, W, 4) uint8 or uint16 display codes, alpha straight.
    """
    light = _light_of_codes(picture.dtype.name)[picture[..., :3]]
    if picture.shape[2] == 4:
        alpha = picture[..., 3:] / np.float32(np.iinfo(picture.dtype).max)
        light = np.concatenate([light * alpha, alpha], axis=2)
    light = light.astype(np.float16).astype(np.float32)  # rounded, where the encoder would truncate
    pix_fmt = "gbrapf32le" if picture.shape[2] == 4 else "gbrpf32le"
    context = av.CodecContext.create("exr", "w")
    context.height, context.width, context.pix_fmt = *picture.shape[:2], pix_fmt
    context.time_base = Fraction(1, 25)
    context.options = {"compression": "zip16", "format": "half"}
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(light), format=pix_fmt)
    frame.pts = 0
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))


def read_exr(path: Path) -> np.ndarray:
    """Read (H, W, 3) or (H, W, 4) uint16 display codes, alpha straight; grey becomes RGB. Raises MediaError.

    Light above 1 and infinity become the highest code, light below 0 and what is not a number become 0. A picture
    with too many pixels is refused before it is decoded, and so is a file that is cut short or damaged, which FFmpeg
    would read in part.
    """
    try:
        header = read_header(path)
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise MediaError(str(path), "the file is too large for a picture", "make it smaller")
        data = path.read_bytes()
    except OSError as error:
        raise MediaError(str(path), (error.strerror or "cannot be read").lower(), "check the name") from None
    check_chunks(header, data, path)
    planes = _planes(_decoded(data, path), path)
    height, width = planes[0].shape
    picture = np.empty((height, width, len(planes)), np.uint16)
    for top in range(0, height, _STRIP):
        light = np.stack([plane[top : top + _STRIP] for plane in planes], axis=2).astype(np.float32)
        picture[top : top + _STRIP] = _codes(light)
    return picture


def _decoded(data: bytes, path: Path) -> av.VideoFrame:
    context = av.CodecContext.create("exr", "r")
    context.options = {"max_pixels": str(MAX_PIXELS)}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.error.FFmpegError, ValueError, MemoryError):
        raise unreadable(path) from None
    if not frames:
        raise unreadable(path)
    return frames[0]


def _planes(frame: av.VideoFrame, path: Path) -> list[np.ndarray]:
    """Return R, G, B and maybe alpha, each (H, W) of float16 or float32."""
    name = frame.format.name
    if not name.endswith(("f16le", "f32le")):
        raise MediaError(str(path), f"it holds whole numbers ({name}), not light", "save it with half floats")
    kind: np.dtype[Any] = np.dtype(np.float16 if name.endswith("f16le") else np.float32)
    lines = [np.frombuffer(memoryview(p), kind).reshape(p.height, -1) for p in frame.planes]
    if name.startswith("yaf"):
        grey, alpha = lines[0][:, : 2 * frame.width : 2], lines[0][:, 1 : 2 * frame.width : 2]
        return [grey, grey, grey, alpha]
    return [lines[i][:, : frame.width] for i in _PLANES[name[: name.rindex("f")]]]


def _codes(light: np.ndarray) -> np.ndarray:
    """Return the uint16 codes, alpha straight, of light (H, W, 3 or 4) float32 as in the file."""
    light = np.nan_to_num(light, nan=0.0, posinf=_MOST, neginf=0.0)
    if light.shape[2] == 4:
        alpha = np.clip(light[..., 3:], 0, 1)
        # Light without coverage keeps its colour.
        with np.errstate(over="ignore"):  # infinity is clipped below
            light = np.concatenate([light[..., :3] / np.where(alpha > 0, alpha, 1), alpha], axis=2)
    light = np.clip(light, 0, 1)
    light[..., :3] = _code_of_light(light[..., :3])
    return np.rint(light * np.float32(65535)).astype(np.uint16)


@lru_cache(maxsize=2)
def _light_of_codes(dtype: str) -> np.ndarray:
    """Return the light, float32, of each code of uint8 or uint16, by the curve of sRGB."""
    code = np.linspace(0, 1, np.iinfo(dtype).max + 1)
    light = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


def _code_of_light(light: np.ndarray) -> np.ndarray:
    """Apply the inverse to float32, 0 … 1."""
    bright = cv2.pow(np.maximum(light, np.float32(0.0031308)), 1 / 2.4) * np.float32(1.055) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), bright)
