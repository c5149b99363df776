"""Decode the files that come over the network, and encode pictures for it."""

from __future__ import annotations

import io

import cv2
import numpy as np

from vidtrans.errors import MediaError

MAX_PIXELS, MAX_SIDE = 1 << 24, 8192
FORMATS = ("JPEG", "PNG", "WEBP")
CONTENT_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
QUALITY = 92  # of JPEG


def decode(file: bytes) -> np.ndarray:
    """Return the picture of a JPEG, PNG or WebP file, (H, W, 3) uint8 RGB, on white where it is transparent.

    Its size is read from the header, before anything is decoded. Raises MediaError.
    """
    (width, height), has_alpha = _read_header(file)
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        remedy = f"send up to {MAX_PIXELS} pixels, {MAX_SIDE} a side"
        raise MediaError("frame", f"{width}x{height} is too large", remedy)
    kind = cv2.IMREAD_UNCHANGED if has_alpha else cv2.IMREAD_COLOR
    try:
        picture = cv2.imdecode(np.frombuffer(file, np.uint8), kind)
    except cv2.error:
        picture = None
    if picture is None:
        raise MediaError("frame", "it is damaged", "send a whole JPEG, PNG or WebP file")
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    if picture.shape[2] == 4:
        return _on_white(cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA))
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def _read_header(file: bytes) -> tuple[tuple[int, int], bool]:
    from PIL import Image

    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # only a header is read, and we have our own
    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as picture:
            # A JPEG may have a smaller one behind it, for previews.
            if picture.format in ("PNG", "WEBP") and getattr(picture, "n_frames", 1) > 1:
                raise MediaError("frame", "it is an animation", "send single pictures")
            return picture.size, picture.has_transparency_data
    except (OSError, ValueError, SyntaxError):
        raise MediaError("frame", "it is not a JPEG, PNG or WebP file", "send one of these") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _on_white(picture: np.ndarray) -> np.ndarray:
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.rint(255 + alpha * (picture[..., :3].astype(np.float32) - 255)).astype(np.uint8)


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as a JPEG file with colours at full size."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def encode_png(picture: np.ndarray) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as a PNG file."""
    return cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()
