"""Draws the sheets of the guide to looks: one picture in all looks that ship, or pictures in rows in some of them.

python examples/sheet_of_looks.py SHEET.jpg PICTURE...
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from vidtrans.models.gallery import gallery_looks, gallery_picture

import vidtrans
from vidtrans.video.images.picture import read_picture
from vidtrans.video.plots.layout import ContactSheet

CELL, ACROSS, INSET = (300, 200), 5, 110  # pixels; pictures in a row; pixels of the style picture in the corner
SOME = ("ink", "watercolour", "stained-glass", "oil", "neon")


def fill(picture: np.ndarray) -> np.ndarray:
    """A picture in a cell's shape at twice its size, cut a little above its middle."""
    width, height = (2 * side for side in CELL)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    whole = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=kind)
    top, left = (whole.shape[0] - height) // 4, (whole.shape[1] - width) // 2
    return np.array(whole[top : top + height, left : left + width])


def painted(picture: Path, look: str, folder: Path) -> np.ndarray:
    output = folder / f"{picture.stem}-{look}.png"
    vidtrans.stylize(picture, output=output, look=look, cache_dir=folder / "cache")
    return fill(read_picture(output))


def main(output: Path, pictures: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if len(pictures) == 1:
            cells = [fill(read_picture(pictures[0]))]
            for look in gallery_looks():
                cell = painted(pictures[0], look, folder)
                cell[-INSET:, -INSET:] = cv2.resize(
                    read_picture(gallery_picture(look)), (INSET, INSET), interpolation=cv2.INTER_AREA
                )
                cells.append(cell)
            titles = ["", *gallery_looks()]
            rows = [cells[n : n + ACROSS] for n in range(0, len(cells), ACROSS)]
            notes = [titles[n : n + ACROSS] for n in range(0, len(titles), ACROSS)]
            sheet = ContactSheet("", rows, CELL, notes=notes).draw()
        else:
            rows = [[fill(read_picture(path)), *(painted(path, look, folder) for look in SOME)] for path in pictures]
            sheet = ContactSheet("", rows, CELL, ["", *SOME]).draw()
    cv2.imwrite(str(output), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
