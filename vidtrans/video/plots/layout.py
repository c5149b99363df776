"""Pictures side by side with words on them: sheets, comparisons, grids. Everything is (H, W, 3) uint8 RGB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vidtrans.video.images.picture import resize

PAPER, INK, FAINT = (22, 22, 24), (236, 236, 236), (160, 160, 166)
GAP = 6
TEXT_PX = 14


@dataclass(frozen=True)
class Sheet:
    """A table of pictures. A missing picture (None) leaves its place empty.

    ``columns`` are headings over the columns, ``notes`` words under each picture; both may be empty. Pictures are
    fitted into cells of ``cell`` (width, height) pixels, never stretched.
    """

    title: str
    rows: Sequence[Sequence[np.ndarray | None]]
    cell: tuple[int, int]
    columns: Sequence[str] = ()
    notes: Sequence[Sequence[str]] = ()
    foot: str = ""

    def draw(self) -> np.ndarray:
        """The sheet as a picture."""
        width, height = self.cell
        count = max(len(row) for row in self.rows)
        whole = count * width + (count + 1) * GAP
        bands = [text_band(self.title, whole, size=TEXT_PX + 4)] if self.title else []
        if self.columns:
            headings = [text_band(h, width, colour=FAINT) for h in (*self.columns, *[""] * (count - len(self.columns)))]
            bands.append(join_row(headings))
        for at, row in enumerate(self.rows):
            cells = [fit(p, width, height) for p in (*row, *[None] * (count - len(row)))]
            bands.append(join_row(cells))
            if self.notes:
                words = (*self.notes[at], *[""] * (count - len(self.notes[at])))
                bands.append(join_row([text_band(w, width, colour=FAINT, size=TEXT_PX - 2) for w in words]))
            bands.append(blank(whole, GAP))
        if self.foot:
            bands += [text_band(line, whole, colour=FAINT, size=TEXT_PX - 2) for line in self.foot.splitlines()]
        return np.vstack(bands)


def cell_size(picture: np.ndarray, wanted: int) -> tuple[int, int]:
    """The (width, height) of cells that suit a picture: ``wanted`` pixels on its long side, never enlarged."""
    height, width = picture.shape[:2]
    scale = min(1.0, wanted / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def blank(width: int, height: int) -> np.ndarray:
    """Empty paper."""
    return np.full((height, width, 3), PAPER, np.uint8)


def fit(picture: np.ndarray | None, width: int, height: int) -> np.ndarray:
    """The picture as large as it goes into the box, in its middle."""
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
    """A strip of paper with one line of text; what is too long ends in an ellipsis."""
    face = font(size)
    shown = text
    while shown and face.getlength(shown) > width - 2 * margin:
        shown = shown[:-2].rstrip() + "…" if len(shown) > 2 else ""
    band = Image.new("RGB", (width, size + 8), PAPER)
    ImageDraw.Draw(band).text((margin, 2), shown, fill=colour, font=face)
    return np.asarray(band)


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def join_row(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one height in a line, with a gap on every side of each."""
    gap = blank(GAP, pictures[0].shape[0])
    parts = [gap]
    for picture in pictures:
        parts += [picture, gap]
    return np.hstack(parts)
