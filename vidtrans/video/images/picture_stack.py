"""Files of many pictures: TIFF stacks, animated PNG and WebP."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.images import tiff
from vidtrans.video.images.picture import check_layer, header_of
from vidtrans.video.images.picture_view import PICTURE, PictureView
from vidtrans.video.images.still import Still, decode_still, still_of, turned

if TYPE_CHECKING:
    from PIL import Image

STACK_SUFFIXES = (".tif", ".tiff", ".png", ".webp")
NO_DURATION_MS = 100  # of a frame that has none, as in browsers


def num_pictures(path: Path) -> int:
    """Return the number of pictures in a picture file; 1 also where it cannot be read."""
    if path.suffix.lower() not in STACK_SUFFIXES or not path.is_file():
        return 1
    try:
        return header_of(path).num_pictures
    except MediaError:
        return 1


class PictureStack:
    """The pictures of one file, read by number; an animation's frames build on earlier ones, so read them in order.

    ``names``: a file name for each picture. ``view``: see ``read_still``. Raises MediaError where the pictures are too
    large, or the view names a layer.
    """

    def __init__(self, path: Path, view: PictureView = PICTURE) -> None:
        check_layer(path, view)
        self.path, self.view, self._header = path, view, header_of(path)
        if self._header.width * self._header.height > MAX_PIXELS:
            raise MediaError(str(path), "its pictures are too large", "make them smaller")
        self.names = tuple(f"{path.stem}_{i:04d}{path.suffix}" for i in range(self._header.num_pictures))
        self.is_timed = self._header.format != "TIFF"
        self._animation: Image.Image | None = None

    def read(self, number: int) -> tuple[Still, float]:
        """Return a picture and its duration in milliseconds, 0 for a TIFF. Raises MediaError."""
        try:
            still, duration_ms = self._composed(number) if self.is_timed else (self._page(number), 0.0)
        except (OSError, ValueError, SyntaxError, EOFError):
            still = None
        if still is None:
            raise MediaError(str(self.path), f"its picture {number} is damaged", "delete or replace it")
        return still, duration_ms

    def close(self) -> None:
        """Close the file."""
        if self._animation is not None:
            self._animation.close()
        self._animation = None

    def _page(self, number: int) -> Still | None:
        data = np.memmap(self.path, np.uint8, mode="c")  # the file itself stays as it is
        return decode_still(tiff.with_first(data, self._header.pages[number]), self._header, self.view.span)

    def _composed(self, number: int) -> tuple[Still, float]:
        """Return a complete frame of an animation, and its duration in milliseconds."""
        from PIL import Image

        if self._animation is None:
            self._animation = Image.open(self.path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._animation.seek(self._header.pages[number])
            picture = np.array(self._animation.convert("RGBA" if self._animation.has_transparency_data else "RGB"))
        duration_ms = float(self._animation.info.get("duration") or NO_DURATION_MS)
        return still_of(turned(picture, self._header.orientation), self._header, self.view.span), duration_ms
