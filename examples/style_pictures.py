"""Draws the pictures that the looks which ship are learned from, one for each medium.

python examples/style_pictures.py examples/looks              # all
python examples/style_pictures.py examples/looks neon mosaic  # some

They show photographs that scikit-image ships and scenes that are made up here; what is learned is the strokes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
from media import carved, dry, glass, ink_oil_print, light, pieces, plan, printed, scenery, scenes, wet
from media.canvas import Array, reseed

LARGEST = 250_000  # bytes, of a picture
Drawing = Callable[[], Array]
# These three share a row of random numbers, and are drawn one after another.
FIRST: dict[str, Drawing] = {
    "ink": lambda: ink_oil_print.ink(scenes.photograph()),
    "oil": lambda: ink_oil_print.oil(scenes.landscape()),
    "print": lambda: ink_oil_print.print_of(scenes.photograph()),
}
# The place of one in this row is the seed of its random numbers: new ones go to the end.
DRAWINGS: dict[str, Drawing] = {
    "watercolour": lambda: wet.watercolour(scenes.still_life()),
    "stained-glass": glass.stained_glass,
    "charcoal": lambda: dry.charcoal(scenes.photo("camera", 1.15, (0.25, 0.25))),
    "pastel": lambda: dry.pastel(scenes.landscape()),
    "mosaic": lambda: pieces.mosaic(scenes.fishes()),
    "embroidery": lambda: pieces.embroidery(scenes.still_life()),
    "halftone": lambda: printed.halftone(scenery.balloons()),
    "linocut": lambda: carved.linocut(scenes.photo("chelsea")),
    "blueprint": plan.blueprint,
    "woodcut": lambda: carved.woodcut(scenery.great_wave()),
    "risograph": lambda: printed.risograph(scenes.fishes()),
    "crayon": lambda: dry.crayon(scenery.balloons()),
    "cut-paper": pieces.cut_paper,
    "pencil": lambda: dry.pencil(scenes.photo("astronaut", 1.1, (0.42, 0.12))),
    "neon": lambda: light.neon(scenes.photo("coffee", 1.4, (0.42, 0.12))),
}


def write(picture: Array, path: Path, largest: int) -> None:
    """Write a JPEG picture of quality 88, or of less where it is larger than ``largest`` bytes."""
    for quality in range(88, 50, -2):
        encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        path.write_bytes(encoded)
        if len(encoded) <= largest:
            break
    print(path)


def main(folder: Path, names: list[str]) -> None:
    names = names or [*FIRST, *DRAWINGS]
    unknown = [name for name in names if name not in FIRST and name not in DRAWINGS]
    if unknown:
        sys.exit(f"{unknown[0]}: no such medium; there are {', '.join([*FIRST, *DRAWINGS])}")
    folder.mkdir(parents=True, exist_ok=True)
    if set(names) & set(FIRST):
        reseed(7)
        for name, draw in FIRST.items():
            write(draw(), folder / f"{name}.jpg", sys.maxsize)
    for seed, (name, draw) in enumerate(DRAWINGS.items()):
        if name in names:
            reseed(seed)
            write(draw(), folder / f"{name}.jpg", LARGEST)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
