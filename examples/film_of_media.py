"""Make a small film of a clip that passes through media, each for a second, as an animated picture.

python examples/film_of_media.py CLIP FILM.webp STILL.webp [--media oil,pencil] [--width 480]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

import vidtrans
from vidtrans.strokes.media import load_medium

MEDIA = "oil,watercolour,pencil,mosaic,pastel,stained-glass"
RATE, SECOND = 8, 6  # frames a second, and frames of each medium


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("film", type=Path)
    parser.add_argument("still", type=Path)
    parser.add_argument("--media", type=lambda text: text.split(","), default=MEDIA.split(","))
    parser.add_argument("--width", type=int, default=480)
    options = parser.parse_args()
    clip = vidtrans.open_clip(options.clip)
    step = max(1, round(clip.fps / RATE))
    shown = []
    with tempfile.TemporaryDirectory() as folder:
        for number, name in enumerate(options.media):
            load_medium(name)  # a slip is named before the first is painted
            first = number * SECOND * step
            part = clip[first : first + SECOND * step]
            painted = vidtrans.load_model(name, cache_dir=Path(folder)).render(part)
            for picture in list(painted)[::step]:
                scale = options.width / picture.shape[1]
                shown.append(cv2.resize(np.asarray(picture), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
            print(name)
    frames = [Image.fromarray(picture) for picture in shown]
    frames[0].save(
        options.film, save_all=True, append_images=frames[1:], duration=1000 // RATE, loop=0, quality=62, method=6
    )
    height, width = shown[0].shape[:2]
    tiles = [shown[n * SECOND + SECOND // 2] for n in range(len(options.media))]
    rows = [np.hstack(tiles[n : n + 3]) for n in range(0, len(tiles), 3)]
    still = cv2.resize(np.vstack(rows), (width * 2, round(height * 2 * len(rows) / 3)), interpolation=cv2.INTER_AREA)
    Image.fromarray(still).save(options.still, quality=75, method=6)


if __name__ == "__main__":
    main()
