"""Read, write and resize single pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.core.files import check_regular_file, write_bytes
from vidtrans.core.registry import name_check
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.frame_format import MAX_PICTURE_BYTES, MAX_PIXELS, PAPER
from vidtrans.video.images.picture_header import PictureHeader, UnreadablePicture, read_header
from vidtrans.video.images.picture_view import PICTURE, PictureView
from vidtrans.video.images.still import Still, decode_still

EXR = ".exr"


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB, composited over white, with EXIF rotation applied. Raises MediaError."""
    rgb, alpha = read_layers(path)
    rgb = to_uint8(rgb)
    return rgb if alpha is None else composite_over(rgb, to_uint8(alpha), PAPER)


def read_layers(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read straight colours (H, W, 3) and alpha (H, W), or None if all is opaque; uint8 or uint16, as in the file.

    Samples of fewer bits than are stored are found as in a clip of this picture. Raises MediaError.
    """
    still = read_still(path)
    if still.samples.white:
        still = read_still(path, PictureView(span=(0, still.samples.white)))
    return layers_of(still.picture)


def layers_of(whole: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Split (H, W, 3 or 4) into colours (H, W, 3) and alpha (H, W), or None if all is opaque."""
    rgb = np.ascontiguousarray(whole[..., :3])
    alpha = whole[..., 3] if whole.shape[2] == 4 else None
    if alpha is None or alpha.min() == np.iinfo(alpha.dtype).max:
        return rgb, None
    return rgb, np.ascontiguousarray(alpha)


def picture_size(path: Path) -> tuple[int, int]:
    """Return the (width, height) of an upright picture, reading only the header. Raises MediaError."""
    if path.suffix.lower() == EXR:
        from vidtrans.video.images.exr_header import read_header as read_exr_header

        check_regular_file(path)
        exr = read_exr_header(path)
        return exr.width, exr.height
    header = header_of(path)
    return header.width, header.height


def header_of(path: Path) -> PictureHeader:
    """Return the header of a picture other than EXR. Raises MediaError."""
    check_regular_file(path)
    try:
        with path.open("rb") as stream:
            return read_header(stream)
    except FileNotFoundError:
        raise MediaError(str(path), "no such file", name_check(path)) from None
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None
    except (OSError, UnreadablePicture) as error:
        detail = f" ({error})" if str(error) else ""
        raise MediaError(str(path), f"not a picture that can be read{detail}", "delete or replace it") from None


def read_still(path: Path, view: PictureView = PICTURE) -> Still:
    """Read a picture, with notes on its conversion; see ``still``. One that is too large is not decoded.

    ``view``: the layer of an OpenEXR file to read, and the span of values; None: by the rule of ``still``. Raises
    MediaError.
    """
    if path.suffix.lower() == EXR:
        from vidtrans.video.images.exr import read_exr

        return read_exr(path, view)
    check_layer(path, view)
    header = header_of(path)
    if header.width * header.height > MAX_PIXELS or path.stat().st_size > MAX_PICTURE_BYTES:
        why = f"the picture is too large ({header.width}x{header.height})"
        raise MediaError(str(path), why, "make it smaller")
    if header.num_pictures > 1:
        why = f"it holds {header.num_pictures} pictures, where one is needed"
        raise MediaError(str(path), why, "save the one that is meant as a file of its own")
    try:
        still = decode_still(np.fromfile(path, np.uint8), header, view.span)
    except OSError:
        still = None
    if still is None:
        detail = f" ({header.samples})" if header.samples else ""
        remedy = "save it as PNG" if detail else "delete or replace it"
        raise MediaError(str(path), f"not a picture that can be read{detail}", remedy)
    return still


def check_layer(path: Path, view: PictureView) -> None:
    """Raise MediaError if a view names a layer, for files other than OpenEXR."""
    if view.layer:
        raise MediaError(str(path), f"it has no layers, so none is '{view.layer}'", "leave out what is behind the #")


def encode_png(picture: np.ndarray) -> bytes:
    """Return (H, W), (H, W, 3) or (H, W, 4) with alpha, uint8 or uint16, as PNG; equal pictures give equal bytes."""
    kinds = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    bgr = cv2.cvtColor(picture, kinds[picture.shape[2]]) if picture.ndim == 3 else picture
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def encode_jpeg(picture: np.ndarray, quality: int, *, subsampled: bool = False) -> bytes:
    """Return (H, W, 3) uint8 as JPEG of a ``quality`` from 0 to 100. ``subsampled``: chroma is 4:2:0."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [] if subsampled else [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


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
