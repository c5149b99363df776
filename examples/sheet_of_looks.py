"""Draws the sheet of the guide to looks: pictures in rows, the looks that ship in columns, one of them optimised.

python examples/sheet_of_looks.py SHEET.jpg PICTURE...
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import vidtrans
from vidtrans.video.images.picture import read_picture
from vidtrans.video.plots.layout import ContactSheet

HERE = Path(__file__).parent
CELL = (300, 210)
COLUMNS: dict[str, tuple[str, dict[str, Any]]] = {
    "ink": ("ink", {}),
    "oil": ("oil", {}),
    "print": ("print", {}),
    "ink --keep-colour 1": ("ink", {"keep_colour": 1.0}),
    "oil, optimised": ("", {}),
}


def fill(picture: np.ndarray) -> np.ndarray:
    """A picture in a cell's shape at twice its size, cut a little above its middle."""
    width, height = (2 * side for side in CELL)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    whole = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=kind)
    top, left = (whole.shape[0] - height) // 4, (whole.shape[1] - width) // 2
    return whole[top : top + height, left : left + width]


def main(output: Path, pictures: list[Path]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slow = folder / "slow.safetensors"
        vidtrans.look(HERE / "looks" / "oil.jpg", slow, optimise=True, cache_dir=folder / "cache")
        rows = []
        for picture in pictures:
            row = [read_picture(picture)]
            for number, (model, settings) in enumerate(COLUMNS.values()):
                painted = folder / f"{picture.stem}-{number}.png"
                vidtrans.stylize(
                    picture, model or slow, painted, settings={"rendering": settings}, cache_dir=folder / "cache"
                )
                row.append(read_picture(painted))
            rows.append([fill(one) for one in row])
            print(picture.name, flush=True)
    styles = [fill(read_picture(HERE / "looks" / f"{style}.jpg")) for style in ("ink", "oil", "print", "ink", "oil")]
    sheet = ContactSheet("", [[None, *styles], *rows], CELL, ["", *COLUMNS]).draw()
    cv2.imwrite(str(output), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
