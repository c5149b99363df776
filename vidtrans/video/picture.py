"""Single pictures on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vidtrans.errors import MediaError
from vidtrans.files import write_bytes

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
MAX_PICTURE_BYTES = 512 * 1024 * 1024
MAX_PICTURE_PIXELS = 8192 * 8192


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB; grey becomes RGB, alpha is dropped, EXIF rotation applied. Raises MediaError."""
    return cv2.cvtColor(_decode(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture, from its header alone. Raises MediaError."""
    from PIL import Image  # training alone asks for it: no other command has to load it

    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError(str(path), f"not a picture that can be read ({error})", "delete or replace it") from None


def read_matte(path: Path) -> np.ndarray:
    """(H, W, 3) uint8, grey: the alpha of a picture that has something cut out, else the picture. Raises MediaError."""
    whole = _decode(path, cv2.IMREAD_UNCHANGED)
    if whole.ndim == 3 and whole.shape[2] == 4:
        full = np.iinfo(whole.dtype).max if np.issubdtype(whole.dtype, np.integer) else 1.0
        alpha = np.rint(np.clip(whole[..., 3] / full, 0, 1) * 255).astype(np.uint8)
        if alpha.min() < 255:
            return np.repeat(alpha[..., None], 3, axis=2)
    return read_picture(path)


def _decode(path: Path, kind: int) -> np.ndarray:
    try:
        if path.stat().st_size > MAX_PICTURE_BYTES:
            raise MediaError(str(path), "the file is too large for a picture")
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise MediaError(str(path), (error.strerror or "cannot be read").lower(), "check the name") from None
    try:
        bgr = cv2.imdecode(data, kind) if data.size else None
    except cv2.error:  # OpenCV refuses absurd sizes with an exception, everything else with None
        bgr = None
    if bgr is None or bgr.shape[0] * bgr.shape[1] > MAX_PICTURE_PIXELS:
        raise MediaError(str(path), "not a picture that can be read", "delete or replace it")
    return bgr


def encode_png(rgb: np.ndarray) -> bytes:
    """(H, W, 3) or (H, W) uint8 → the bytes of a PNG, the same for the same picture."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) if rgb.ndim == 3 else rgb
    done, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise MediaError("a picture", "could not be encoded as PNG")
    return data.tobytes()


def write_picture(path: Path, rgb: np.ndarray) -> None:
    """Write a PNG that appears under its name only when it is complete."""
    write_bytes(path, encode_png(rgb))


def resize(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W[, C]) uint8 to another size: area averages when shrinking, bicubic when growing."""
    if rgb.shape[1] == width and rgb.shape[0] == height:
        return rgb
    shrinks = width < rgb.shape[1]
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return resized if resized.ndim == rgb.ndim else resized[..., None]  # OpenCV drops a single channel
