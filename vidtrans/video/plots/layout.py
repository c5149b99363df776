"""Lay out labelled pictures as sheets, comparisons and grids. Every array is (H, W, 3) uint8 RGB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidtrans.video.images.picture import resize

PAPER, INK, FAINT = (22, 22, 24), (236, 236, 236), (160, 160, 166)
GAP = 6
TEXT_PX = 14
TALLEST_CELL = 720  # pixels, of a picture in a column of a grid


@dataclass(frozen=True)
class ContactSheet:
    """A table of pictures with labels. A missing picture (None) leaves its cell empty.

    ``columns`` are headings over the columns, ``notes`` texts under the pictures, ``foot`` lines at the bottom; each
    may be empty. Pictures are fitted into cells of ``cell`` (width, height) pixels, with their aspect ratio.
    """

    title: str
    rows: Sequence[Sequence[np.ndarray | None]]
    cell: tuple[int, int]
    columns: Sequence[str] = ()
    notes: Sequence[Sequence[str]] = ()
    foot: str = ""

    def draw(self) -> np.ndarray:
        """Return the sheet as a picture."""
        width, height = self.cell
        count = max(len(row) for row in self.rows)
        whole = count * width + (count + 1) * GAP
        bands = [text_band(self.title, whole, size=TEXT_PX + 4)] if self.title else []
        if self.columns:
            bands.append(self._text_row(self.columns, count, TEXT_PX))
        for at, row in enumerate(self.rows):
            bands.append(join_row([fit(p, width, height) for p in (*row, *[None] * (count - len(row)))]))
            if self.notes:
                bands.append(self._text_row(self.notes[at], count, TEXT_PX - 2))
            bands.append(blank(whole, GAP))
        bands += [text_band(line, whole, colour=FAINT, size=TEXT_PX - 2) for line in self.foot.splitlines()]
        return np.vstack(bands)

    def _text_row(self, texts: Sequence[str], count: int, size: int) -> np.ndarray:
        padded = (*texts, *[""] * (count - len(texts)))
        return join_row([text_band(text, self.cell[0], colour=FAINT, size=size) for text in padded])


def cell_size(picture: np.ndarray, wanted: int, tallest: int | None = None) -> tuple[int, int]:
    """Return the (width, height) of a picture's cell: ``wanted`` pixels on the long side, never enlarged.

    ``tallest``: the height up to which it is ``wanted`` pixels wide instead, for the columns of a grid.
    """
    height, width = picture.shape[:2]
    scale = min(1.0, wanted / width, (tallest or wanted) / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def middle(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return the part of this size in the middle of a picture, or as much as there is."""
    y, x = max(0, picture.shape[0] - height) // 2, max(0, picture.shape[1] - width) // 2
    return picture[y : y + height, x : x + width]


def blank(width: int, height: int) -> np.ndarray:
    """Return a picture of the background colour."""
    return np.full((height, width, 3), PAPER, np.uint8)


def fit(picture: np.ndarray | None, width: int, height: int) -> np.ndarray:
    """Return the picture scaled into a box of this size, centred, with its aspect ratio; None gives an empty box."""
    box = blank(width, height)
    if picture is None:
        return box
    scale = min(width / picture.shape[1], height / picture.shape[0])
    inside = resize(picture, max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    y, x = (height - inside.shape[0]) // 2, (width - inside.shape[1]) // 2
    box[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
    return box


def text_band(
    text: str, width: int, *, colour: tuple[int, int, int] = INK, size: int = TEXT_PX, margin: int = 4
) -> np.ndarray:
    """Return a strip with one line of text, cut with an ellipsis if it is too long."""
    while text and text_width(text, size=size, margin=margin) > width:
        text = text[:-2].rstrip() + "…" if len(text) > 2 else ""
    band = Image.new("RGB", (width, size + 8), PAPER)
    ImageDraw.Draw(band).text((margin, 2), text, fill=colour, font=font(size))
    return np.asarray(band)


def text_width(text: str, *, size: int = TEXT_PX, margin: int = 4) -> int:
    """Return the width in pixels of the strip for a line of text."""
    return math.ceil(font(size).getlength(text)) + 2 * margin


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's default font at a size in pixels."""
    return ImageFont.load_default(size)


def join_row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Return pictures of one height joined to a row, with gaps between and at both ends."""
    gap = blank(GAP, pictures[0].shape[0])
    return np.hstack([gap, *(part for picture in pictures for part in (picture, gap))])
