"""Read, write and resize single pictures."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.core.files import check_regular_file, write_bytes
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.frame_format import MAX_PICTURE_BYTES, MAX_PIXELS, PAPER

# OpenCV would print warnings about broken pictures, for which MediaError is raised.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

EXR = ".exr"
PNG = b"\x89PNG\r\n\x1a\n"  # the signature of a file


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB, composited over white, with EXIF rotation applied. Raises MediaError."""
    rgb, alpha = read_layers(path)
    rgb = to_uint8(rgb)
    return rgb if alpha is None else composite_over(rgb, to_uint8(alpha), PAPER)


def read_layers(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read straight colours (H, W, 3) and alpha (H, W), or None if all is opaque; uint8 or uint16, as in the file.

    Raises MediaError.
    """
    if path.suffix.lower() == EXR:
        from vidtrans.video.images.exr import read_exr

        whole = read_exr(path).picture
    else:
        whole = _decode(path)
    rgb = np.ascontiguousarray(whole[..., :3])
    alpha = whole[..., 3] if whole.shape[2] == 4 else None
    if alpha is None or alpha.min() == np.iinfo(alpha.dtype).max:
        return rgb, None
    return rgb, np.ascontiguousarray(alpha)


def picture_size(path: Path) -> tuple[int, int]:
    """Return the (width, height) of a picture, reading only the header. Raises MediaError."""
    if path.suffix.lower() == EXR:
        from vidtrans.video.images.exr_header import read_header

        check_regular_file(path)
        header = read_header(path)
        return header.width, header.height
    return _read_header(path)[0]


def _read_header(path: Path) -> tuple[tuple[int, int], bool]:
    """Return the (width, height) of a picture other than EXR, and whether it has alpha. Raises MediaError."""
    from PIL import Image, UnidentifiedImageError

    check_regular_file(path)
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # only a header is read, and we have our own
    try:
        with Image.open(path) as picture:
            return picture.size, picture.has_transparency_data
    except FileNotFoundError:
        raise MediaError(str(path), "no such file", "check the name") from None
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None
    except (OSError, ValueError, SyntaxError) as error:
        detail = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise MediaError(str(path), f"not a picture that can be read{detail}", "delete or replace it") from None
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _decode(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3 or 4) uint8 or uint16 RGB or RGBA; a huge one is refused before it is decoded."""
    (width, height), alpha = _read_header(path)
    if width * height > MAX_PIXELS or path.stat().st_size > MAX_PICTURE_BYTES:
        raise MediaError(str(path), f"the picture is too large ({width}x{height})", "make it smaller")
    try:
        picture = decode_picture(np.fromfile(path, np.uint8), alpha=alpha)
    except OSError:
        picture = None
    if picture is None:
        raise MediaError(str(path), "not a picture that can be read", "delete or replace it")
    return picture


def decode_picture(data: np.ndarray, *, alpha: bool) -> np.ndarray | None:
    """Decode a file's bytes, (N,) uint8, of a checked size, to (H, W, 3 or 4) uint8 or uint16, RGB or RGBA.

    ``alpha``: the file has transparency. Returns None where it is damaged.
    """
    # Without alpha OpenCV turns the picture as its camera was held.
    kind = cv2.IMREAD_UNCHANGED if alpha else cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        bgr = None if _is_cut_png(data) else cv2.imdecode(data, kind)
    except cv2.error:
        bgr = None
    if bgr is None:
        return None
    if bgr.dtype not in (np.uint8, np.uint16):  # floats of a TIFF
        bgr = np.rint(np.clip(np.nan_to_num(bgr), 0, 1) * 65535).astype(np.uint16)
    if alpha and (bgr.ndim == 2 or bgr.shape[2] == 3):  # a colour stands for transparency, which OpenCV ignores
        from PIL import Image

        with Image.open(io.BytesIO(data.tobytes())) as picture:
            return np.array(picture.convert("RGBA"))
    if bgr.ndim == 2:
        return cv2.cvtColor(bgr, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(bgr, cv2.COLOR_BGRA2RGBA if bgr.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _is_cut_png(data: np.ndarray) -> bool:
    """Return whether a PNG chunk reaches beyond the file's end; OpenCV would allocate its full size, maybe 2 GB."""
    if data[: len(PNG)].tobytes() != PNG:
        return False
    at = len(PNG)
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4].tobytes()), data[at + 4 : at + 8].tobytes()
        if name == b"IEND":
            return False
        at += length + 12  # its length, its name and its checksum
    return at > len(data)


def encode_png(picture: np.ndarray) -> bytes:
    """Return (H, W), (H, W, 3) or (H, W, 4) with alpha, uint8 or uint16, as PNG; equal pictures give equal bytes."""
    kinds = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    bgr = cv2.cvtColor(picture, kinds[picture.shape[2]]) if picture.ndim == 3 else picture
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def write_picture(path: Path, rgb: np.ndarray) -> None:
    """Write a PNG atomically: the file appears under its name when it is complete."""
    write_bytes(path, encode_png(rgb))


def cover_crop(width: int, height: int, size: tuple[int, int]) -> tuple[tuple[int, int], slice, slice]:
    """Return the scaled (width, height) that covers ``size``, and the rows and columns of the centre crop in it."""
    scale = max(size[0] / width, size[1] / height)
    whole = max(size[0], round(width * scale)), max(size[1], round(height * scale))
    left, top = (whole[0] - size[0]) // 2, (whole[1] - size[1]) // 2
    return whole, slice(top, top + size[1]), slice(left, left + size[0])


def resize(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize (H, W[, C]) uint8 or uint16: area averaging when shrinking, bicubic when enlarging."""
    if rgb.shape[1] == width and rgb.shape[0] == height:
        return rgb
    shrinks = width < rgb.shape[1]
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return resized if resized.ndim == rgb.ndim else resized[..., None]  # OpenCV drops a single channel
