"""Picture files of a live session: check and decode received files, and encode pictures as JPEG."""

from __future__ import annotations

import io

import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.frame_format import PAPER
from vidtrans.video.images.picture_header import UnreadablePicture, read_header
from vidtrans.video.images.still import decode_still

MAX_PIXELS, MAX_SIDE = 1 << 24, 8192
FORMATS = ("JPEG", "PNG", "WEBP")
CONTENT_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
QUALITY = 92  # of JPEG


def decode(file: bytes, what: str = "frame") -> np.ndarray:
    """Decode a JPEG, PNG or WebP file to (H, W, 3) uint8 RGB; transparent pixels are composited over white.

    The size is checked in the header before decoding. ``what``: its name in errors. Raises MediaError.
    """
    try:
        header = read_header(io.BytesIO(file), FORMATS)
    except (OSError, UnreadablePicture):
        raise MediaError(what, "it is not a JPEG, PNG or WebP file", "send one of these formats") from None
    if header.num_pictures > 1:
        raise MediaError(what, "it is an animation", "send single pictures")
    width, height = header.width, header.height
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        remedy = f"send up to {MAX_PIXELS} pixels, {MAX_SIDE} a side"
        raise MediaError(what, f"{width}x{height} is too large", remedy)
    still = decode_still(np.frombuffer(file, np.uint8), header)
    if still is None:
        raise MediaError(what, "it is damaged", "send a whole JPEG, PNG or WebP file")
    picture = to_uint8(still.picture)
    return picture if picture.shape[2] == 3 else composite_over(picture[..., :3], picture[..., 3], PAPER)


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Encode a picture, (H, W, 3) uint8 RGB, as a JPEG file without chroma subsampling (4:4:4)."""
    options = [
        cv2.IMWRITE_JPEG_QUALITY,
        QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()
