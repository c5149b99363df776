"""Read, write and resize pictures, including pictures with a palette, such as label maps, and multi-picture files.

Multi-picture files are TIFF stacks, and animated PNG and WebP.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.core.files import check_regular_file, write_bytes
from vidtrans.core.registry import missing_file_remedy
from vidtrans.video.colour.conversion import composite_over, to_uint8
from vidtrans.video.frame_format import MAX_PICTURE_BYTES, MAX_PIXELS, PAPER
from vidtrans.video.images import tiff
from vidtrans.video.images.picture_header import PictureHeader, UnreadablePictureError, read_header
from vidtrans.video.images.still import PICTURE, PictureView, Still, convert_samples, decode_still, rotate_upright

if TYPE_CHECKING:
    from PIL import Image

EXR = ".exr"  # Suffix of OpenEXR files
STACK_SUFFIXES = (".tif", ".tiff", ".png", ".webp")  # Suffixes of formats that may hold several pictures
DEFAULT_DURATION_MS = 100  # Duration in ms of an animation frame without one, as in browsers


def read_picture(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 RGB, composited over white, with EXIF rotation applied. Raises MediaError."""
    rgb, alpha = read_layers(path)
    rgb = to_uint8(rgb)
    return rgb if alpha is None else composite_over(rgb, to_uint8(alpha), PAPER)


def read_layers(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Read straight colours (H, W, 3) and alpha (H, W), or None if all is opaque; uint8 or uint16, as in the file.

    Samples that use fewer bits than are stored are detected, as in a clip of this picture. Raises MediaError.
    """
    still = read_still(path)
    if still.samples.white:
        still = read_still(path, PictureView(span=(0, still.samples.white)))
    return split_alpha(still.picture)


def split_alpha(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Split (H, W, 3 or 4) into colours (H, W, 3) and alpha (H, W), or None if all is opaque."""
    rgb = np.ascontiguousarray(picture[..., :3])
    alpha = picture[..., 3] if picture.shape[2] == 4 else None
    if alpha is None or alpha.min() == np.iinfo(alpha.dtype).max:
        return rgb, None
    return rgb, np.ascontiguousarray(alpha)


def picture_size(path: Path) -> tuple[int, int]:
    """Return the (width, height) of an upright picture, reading only the header. Raises MediaError."""
    if path.suffix.lower() == EXR:
        from vidtrans.video.images.exr import read_header as read_exr_header

        check_regular_file(path)
        exr = read_exr_header(path)
        return exr.width, exr.height
    header = read_picture_header(path)
    return header.width, header.height


def read_picture_header(path: Path) -> PictureHeader:
    """Return the header of a picture other than EXR. Raises MediaError."""
    check_regular_file(path)
    try:
        with path.open("rb") as stream:
            return read_header(stream)
    except FileNotFoundError:
        raise MediaError(str(path), "no such file", missing_file_remedy(path)) from None
    except PermissionError:
        raise MediaError(str(path), "permission denied", "make the file readable") from None
    except (OSError, UnreadablePictureError) as error:
        detail = f" ({error})" if str(error) else ""
        raise MediaError(str(path), f"not a picture that can be read{detail}", "delete or replace it") from None


def read_still(path: Path, view: PictureView = PICTURE) -> Still:
    """Read a picture, with notes on its conversion; see ``still``. A picture that is too large is not decoded.

    ``view``: the layer of an OpenEXR file, and the span of values; span None: by the rules of ``still``. Raises
    MediaError.
    """
    if path.suffix.lower() == EXR:
        from vidtrans.video.images.exr import read_exr

        return read_exr(path, view)
    check_layer(path, view)
    header = read_picture_header(path)
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
    """Raise MediaError if a view names a layer; call it for files other than OpenEXR."""
    if view.layer:
        raise MediaError(str(path), f"it has no layers, so none is '{view.layer}'", "leave out what is behind the #")


def encode_png(picture: np.ndarray) -> bytes:
    """Encode (H, W), (H, W, 3) or (H, W, 4) with alpha, uint8 or uint16, as PNG; equal pictures give equal bytes."""
    conversions = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    bgr = cv2.cvtColor(picture, conversions[picture.shape[2]]) if picture.ndim == 3 else picture
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()


def encode_jpeg(picture: np.ndarray, quality: int, *, subsampled: bool = False) -> bytes:
    """Encode (H, W, 3) uint8 as JPEG of a ``quality`` from 0 to 100. ``subsampled``: chroma is 4:2:0."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    options += [] if subsampled else [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def write_picture(path: Path, rgb: np.ndarray) -> None:
    """Write a picture, as in ``encode_png``, atomically: the file gets its name when it is complete."""
    write_bytes(path, encode_png(rgb))


def cover_crop(width: int, height: int, size: tuple[int, int]) -> tuple[tuple[int, int], slice, slice]:
    """Return the scaled (width, height) that covers ``size``, and the rows and columns of a centre crop to ``size``."""
    scale = max(size[0] / width, size[1] / height)
    scaled = max(size[0], round(width * scale)), max(size[1], round(height * scale))
    left, top = (scaled[0] - size[0]) // 2, (scaled[1] - size[1]) // 2
    return scaled, slice(top, top + size[1]), slice(left, left + size[0])


def resize(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resize (H, W[, C]) uint8 or uint16: area averaging when shrinking, bicubic when enlarging."""
    if rgb.shape[1] == width and rgb.shape[0] == height:
        return rgb
    shrinks = width < rgb.shape[1]
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return resized if resized.ndim == rgb.ndim else resized[..., None]  # OpenCV drops a single channel


def pack_colours(rgb: np.ndarray) -> np.ndarray:
    """Return colours, (…, 3) uint8, as integers 0xrrggbb, (…) int32."""
    wide = rgb.astype(np.int32)
    packed: np.ndarray = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def read_palette(path: Path) -> np.ndarray | None:
    """Return the palette of a picture, (N, 3) uint8 RGB; None for a picture without one. Raises MediaError."""
    from PIL import Image

    header = _checked_header(path)
    if header is None or header.mode != "P":
        return None
    try:
        with Image.open(path) as picture:
            colours = picture.getpalette("RGB") if picture.mode == "P" else None
    except (OSError, ValueError, SyntaxError):  # Pillow does not read all TIFFs
        return None
    return None if colours is None else np.array(colours, np.uint8).reshape(-1, 3)


def is_deep_grey(path: Path) -> bool:
    """Return whether a picture file is grey with more than 8 bits per sample. Raises MediaError."""
    header = _checked_header(path)
    return header is not None and (header.mode[0] in "IF" or (header.mode in ("L", "LA") and header.bits > 8))


def read_indices(path: Path) -> np.ndarray:
    """Return the palette indices of a picture with a palette, (H, W) uint8. Raises MediaError."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.array(picture, np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise MediaError(str(path), f"not a picture that can be read ({error})", "delete or replace it") from None


def _checked_header(path: Path) -> PictureHeader | None:
    """Return the header of a picture; None for OpenEXR, and for a picture that is too large. Raises MediaError."""
    if path.suffix.lower() == EXR:
        picture_size(path)  # Raises MediaError for an invalid file
        return None
    header = read_picture_header(path)
    return header if header.width * header.height <= MAX_PIXELS else None


class IndexedPng:
    """An encoder of PNG with a palette: a pixel's index is the position of its colour, '#rrggbb', in ``colours``."""

    def __init__(self, colours: str) -> None:
        self._rgb = np.array([list(bytes.fromhex(colour.lstrip("#"))) for colour in colours.split()], np.uint8)
        codes = pack_colours(self._rgb)
        self._order = codes.argsort(kind="stable")
        self._codes = codes[self._order]

    def __call__(self, picture: np.ndarray) -> bytes:
        """Encode (H, W, 3) uint8 as PNG; without a palette if a pixel has a colour outside it, or if there is alpha."""
        from PIL import Image

        if picture.shape[2:] != (3,) or picture.dtype != np.uint8:
            return encode_png(picture)
        codes = pack_colours(picture)
        place = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        if (self._codes[place] != codes).any():
            return encode_png(picture)
        indexed = Image.fromarray(self._order[place].astype(np.uint8), "P")
        indexed.putpalette(self._rgb.tobytes())
        stream = io.BytesIO()
        indexed.save(stream, "png", bits=8)
        return stream.getvalue()


def num_pictures(path: Path) -> int:
    """Return the number of pictures in a picture file; 1 if it cannot be read."""
    if path.suffix.lower() not in STACK_SUFFIXES or not path.is_file():
        return 1
    try:
        return read_picture_header(path).num_pictures
    except MediaError:
        return 1


class PictureStack:
    """The pictures of one file, by number. Read an animation in order, as its frames build on earlier ones.

    ``names``: a file name for each picture. ``view``: see ``read_still``. Raises MediaError where the pictures are too
    large, or the view names a layer.
    """

    def __init__(self, path: Path, view: PictureView = PICTURE) -> None:
        check_layer(path, view)
        self.path, self.view, self._header = path, view, read_picture_header(path)
        if self._header.width * self._header.height > MAX_PIXELS:
            raise MediaError(str(path), "its pictures are too large", "make them smaller")
        self.names = tuple(f"{path.stem}_{i:04d}{path.suffix}" for i in range(self._header.num_pictures))
        self.is_timed = self._header.format != "TIFF"
        self._animation: Image.Image | None = None

    def read(self, number: int) -> tuple[Still, float]:
        """Return a picture, and its duration in milliseconds (0 for a TIFF). Raises MediaError."""
        try:
            still, duration_ms = self._animation_frame(number) if self.is_timed else (self._tiff_page(number), 0.0)
        except (OSError, ValueError, SyntaxError, EOFError):
            still = None
        if still is None:
            raise MediaError(str(self.path), f"its picture {number} is damaged", "delete or replace it")
        return still, duration_ms

    def close(self) -> None:
        """Close the animation file; a later ``read`` opens it again."""
        if self._animation is not None:
            self._animation.close()
        self._animation = None

    def _tiff_page(self, number: int) -> Still | None:
        """Return a picture of a TIFF file; None if it is damaged."""
        data = np.memmap(self.path, np.uint8, mode="c")  # Copy on write: the file does not change
        return decode_still(tiff.set_first_directory(data, self._header.pages[number]), self._header, self.view.span)

    def _animation_frame(self, number: int) -> tuple[Still, float]:
        """Return a complete frame of an animation, and its duration in milliseconds."""
        from PIL import Image

        if self._animation is None:
            self._animation = Image.open(self.path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._animation.seek(self._header.pages[number])
            picture = np.array(self._animation.convert("RGBA" if self._animation.has_transparency_data else "RGB"))
        duration_ms = float(self._animation.info.get("duration") or DEFAULT_DURATION_MS)
        upright = rotate_upright(picture, self._header.orientation)
        return convert_samples(upright, self._header, self.view.span), duration_ms
