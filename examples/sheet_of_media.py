"""Draw a sheet of all media, or of some: a row for each picture or clip, of which the middle frame is shown.

python examples/sheet_of_media.py SHEET.jpg FILE... [--media oil,pencil]

Or write a small picture of each medium, as pages show them:

python examples/sheet_of_media.py vidtrans/assets/media vidtrans/assets/frames/astronaut.jpg

Names of models are taken, too, as of the paintings whose looks ship: --media starry-night,scream
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np

import vidtrans
from vidtrans.video.plots import ContactSheet

CELL, ACROSS = (300, 200), 6  # pixels; pictures in a row
SMALL, LARGEST = (240, 160), 9_000  # pixels and bytes of a small picture
COARSE = 1.5  # the size of its strokes, which one would not see otherwise
BEFORE = 12  # frames that are painted before the one that is shown


def fill(picture: np.ndarray) -> np.ndarray:
    """A picture in a cell's shape at twice its size, cut a little above its middle."""
    width, height = (2 * side for side in CELL)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    whole = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=kind)
    top, left = (whole.shape[0] - height) // 4, (whole.shape[1] - width) // 2
    return np.array(whole[top : top + height, left : left + width])


def cells(path: Path, media: list[str], folder: Path) -> list[np.ndarray]:
    """The middle frame of a file, and the same painted in each medium."""
    clip = vidtrans.open_clip(path)
    middle = len(clip) // 2
    part = clip[max(0, middle - BEFORE) : middle + 1]
    *_, source = part
    found = [fill(np.asarray(source))]
    for medium in media:
        *_, last = vidtrans.load_model(medium, cache_dir=folder).render(part)
        found.append(fill(last))
        print(path.name, medium)
    return found


def write_small(path: Path, media: list[str], folder: Path, cache: Path) -> None:
    """Write the upper part of a picture in each medium, as FOLDER/MEDIUM.jpg."""
    picture = cv2.imread(str(path))
    assert picture is not None, path
    source = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    _height, width = source.shape[:2]
    upper = cv2.resize(
        source[: width * SMALL[1] // SMALL[0]], [2 * side for side in SMALL], interpolation=cv2.INTER_CUBIC
    )
    for medium in media:
        settings = {"strokes": {"size": COARSE}} if medium in vidtrans.medium_names() else {}
        painter = vidtrans.load_model(medium, cache_dir=cache, settings=settings)
        small = cv2.resize(painter(upper), SMALL, interpolation=cv2.INTER_AREA)
        for quality in range(90, 20, -5):
            _, file = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
            if file.size <= LARGEST:
                break
        (folder / f"{medium}.jpg").write_bytes(file.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sheet", type=Path, help="the sheet, or a folder for small pictures")
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--media", type=lambda text: text.split(","), default=list(vidtrans.medium_names()))
    options = parser.parse_args()
    titles = ["", *options.media]
    rows, notes = list[list[np.ndarray]](), list[list[str]]()
    with tempfile.TemporaryDirectory() as name:
        if options.sheet.is_dir():
            write_small(options.files[0], options.media, options.sheet, Path(name))
            return
        for path in options.files:
            found = cells(path, options.media, Path(name))
            rows += [found[n : n + ACROSS] for n in range(0, len(found), ACROSS)]
            notes += [titles[n : n + ACROSS] for n in range(0, len(titles), ACROSS)]
    sheet = ContactSheet("", rows, CELL, notes=notes).draw()
    cv2.imwrite(str(options.sheet), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])


if __name__ == "__main__":
    main()
