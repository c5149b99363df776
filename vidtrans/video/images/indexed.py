"""Read the palette and the indices of pictures that have a palette, such as label maps as PNG, and write such PNG."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.images.picture import EXR, encode_png, header_of, picture_size
from vidtrans.video.images.picture_header import PictureHeader


def pack_colours(rgb: np.ndarray) -> np.ndarray:
    """Return the colours of (…, 3) uint8 as integers 0xrrggbb, (…) int32."""
    wide = rgb.astype(np.int32)
    packed: np.ndarray = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def read_palette(path: Path) -> np.ndarray | None:
    """Return the palette of a picture, (N, 3) uint8 RGB; None for a picture without one. Raises MediaError."""
    from PIL import Image

    header = _header(path)
    if header is None or header.mode != "P":
        return None
    try:
        with Image.open(path) as picture:
            colours = picture.getpalette("RGB") if picture.mode == "P" else None
    except (OSError, ValueError, SyntaxError):  # a TIFF that Pillow does not read
        return None
    return None if colours is None else np.array(colours, np.uint8).reshape(-1, 3)


def has_deep_levels(path: Path) -> bool:
    """Return whether a picture has one channel of more than 8 bits. Raises MediaError."""
    header = _header(path)
    return header is not None and (header.mode[0] in "IF" or (header.mode in ("L", "LA") and header.bits > 8))


def read_indices(path: Path) -> np.ndarray:
    """Return the palette indices of a picture that has a palette, (H, W) uint8. Raises MediaError."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return np.array(picture, np.uint8)
    except (OSError, ValueError, SyntaxError) as error:
        raise MediaError(str(path), f"not a picture that can be read ({error})", "delete or replace it") from None


def _header(path: Path) -> PictureHeader | None:
    """Return the header of a picture; None for OpenEXR, and for one that is too large. Raises MediaError."""
    if path.suffix.lower() == EXR:
        picture_size(path)  # checks the file
        return None
    header = header_of(path)
    return header if header.width * header.height <= MAX_PIXELS else None


class IndexedPng:
    """An encoder of PNG with a palette: the index of a pixel is the number of its colour, '#rrggbb', in ``colours``."""

    def __init__(self, colours: str) -> None:
        self._rgb = np.array([list(bytes.fromhex(colour.lstrip("#"))) for colour in colours.split()], np.uint8)
        codes = pack_colours(self._rgb)
        self._order = codes.argsort(kind="stable")
        self._codes = codes[self._order]

    def __call__(self, picture: np.ndarray) -> bytes:
        """Return (H, W, 3) uint8 as PNG; without a palette if a pixel has another colour, or there is alpha."""
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
