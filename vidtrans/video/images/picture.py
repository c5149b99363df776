"""Single pictures on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vidtrans.errors import MediaError
from vidtrans.files import check_regular_file, write_bytes
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.frame_format import PAPER
from vidtrans.video.limits import MAX_PICTURE_BYTES, MAX_PIXELS

# It writes lines of its own about broken pictures; ours is the one that counts.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".exr")
EXR = ".exr"
PNG = b"\x89PNG\r\n\x1a\n"  # how one begins


def read_picture(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB; grey becomes RGB, what is transparent lies on white, EXIF rotation is applied.

    Raises MediaError.
    """
    rgb, alpha = read_layers(path)
    rgb = to_uint8(rgb)
    return rgb if alpha is None else composite_over(rgb, to_uint8(alpha), PAPER)


def read_layers(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Straight colours (H, W, 3) and alpha (H, W), None where nothing is transparent; uint8 or uint16, as stored.

    Raises MediaError.
    """
    whole = _read_exr(path) if path.suffix.lower() == EXR else _decode(path)
    rgb = np.ascontiguousarray(whole[..., :3])
    alpha = whole[..., 3] if whole.shape[2] == 4 else None
    if alpha is None or alpha.min() == np.iinfo(alpha.dtype).max:
        return rgb, None
    return rgb, np.ascontiguousarray(alpha)


def read_header(path: Path) -> tuple[tuple[int, int], bool]:
    """((width, height), whether it has alpha) of a picture, from its header alone. Raises MediaError."""
    from PIL import Image, UnidentifiedImageError

    check_regular_file(path)
    if path.suffix.lower() == EXR:
        from vidtrans.video.images.exr_file import read_header as read_exr_header

        header = read_exr_header(path)
        return (header.width, header.height), header.has_alpha
    try:
        with _no_limit(Image), Image.open(path) as picture:
            return picture.size, picture.has_transparency_data
    except FileNotFoundError:
        raise MediaError(str(path), "no such file", "check the name") from None
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None
    except (OSError, ValueError, SyntaxError) as error:
        told = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise MediaError(str(path), f"not a picture that can be read{told}", "delete or replace it") from None


@contextmanager
def _no_limit(pillow: Any) -> Iterator[None]:
    """Without Pillow's own limit of pixels: only a header is read, and ours is told in its own words."""
    held, pillow.MAX_IMAGE_PIXELS = pillow.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        pillow.MAX_IMAGE_PIXELS = held


def picture_size(path: Path) -> tuple[int, int]:
    """(width, height) of a picture, from its header alone. Raises MediaError."""
    return read_header(path)[0]


def _decode(path: Path) -> np.ndarray:
    """(H, W, 3 or 4) uint8 or uint16, RGB or RGBA. A huge picture is refused before it is decoded."""
    (width, height), alpha = read_header(path)
    if width * height > MAX_PIXELS or path.stat().st_size > MAX_PICTURE_BYTES:
        raise MediaError(str(path), f"the picture is too large ({width}x{height})", "make it smaller")
    # Without alpha OpenCV turns the picture as its camera was held.
    kind = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        data = np.fromfile(path, np.uint8)
        bgr = None if _promises_more(data) else cv2.imdecode(data, kind)
    except (cv2.error, OSError):
        bgr = None
    if bgr is None:
        raise MediaError(str(path), "not a picture that can be read", "delete or replace it")
    if bgr.dtype not in (np.uint8, np.uint16):  # floats of a TIFF
        bgr = np.rint(np.clip(np.nan_to_num(bgr), 0, 1) * 65535).astype(np.uint16)
    if alpha and (bgr.ndim == 2 or bgr.shape[2] == 3):  # a colour that stands for nothing: OpenCV does not know it
        from PIL import Image

        with Image.open(path) as picture:
            return np.array(picture.convert("RGBA"))
    if bgr.ndim == 2:
        return cv2.cvtColor(bgr, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(bgr, cv2.COLOR_BGRA2RGBA if bgr.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _promises_more(data: np.ndarray) -> bool:
    """Whether a part of a PNG reaches beyond the file's end: OpenCV makes room for it, 2 GB maybe, before it looks."""
    if data[: len(PNG)].tobytes() != PNG:
        return False
    at = len(PNG)
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4].tobytes()), data[at + 4 : at + 8].tobytes()
        if name == b"IEND":
            return False
        at += length + 12  # its length, its name and its check
        if at > len(data):
            return True
    return False


def _read_exr(path: Path) -> np.ndarray:
    from vidtrans.video.images.exr import read_exr

    return read_exr(path)


def encode_png(picture: np.ndarray) -> bytes:
    """(H, W, 3), (H, W, 4) with alpha, or (H, W), uint8 or uint16 → a PNG's bytes, the same for the same picture."""
    kinds = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    bgr = cv2.cvtColor(picture, kinds[picture.shape[2]]) if picture.ndim == 3 else picture
    done, data = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise MediaError("a picture", "could not be encoded as PNG")
    return data.tobytes()


def write_picture(path: Path, rgb: np.ndarray) -> None:
    """Write a PNG that appears under its name only when it is complete."""
    write_bytes(path, encode_png(rgb))


def cover_crop(width: int, height: int, size: tuple[int, int]) -> tuple[tuple[int, int], slice, slice]:
    """How a picture fills another (width, height), its middle being kept: its own size then, its rows and columns."""
    scale = max(size[0] / width, size[1] / height)
    whole = max(size[0], round(width * scale)), max(size[1], round(height * scale))
    left, top = (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2
    return whole, slice(top, top + size[1]), slice(left, left + size[0])


def resize(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """(H, W[, C]) uint8 or uint16 to another size: area averages when shrinking, bicubic when growing."""
    if rgb.shape[1] == width and rgb.shape[0] == height:
        return rgb
    shrinks = width < rgb.shape[1]
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return resized if resized.ndim == rgb.ndim else resized[..., None]  # OpenCV drops a single channel
