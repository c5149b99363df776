"""Write pictures as small JPEG files for the site: python examples/small_pictures.py FOLDER PICTURE...

With ``--beside RESULT PICTURE...`` it writes one picture of several.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

WIDEST = 960
# Of long sheets the first rows are enough: the height in pixels that is kept.
HIGHEST = {
    "codecs": 555,
    "grades": 555,
    "export": 372,
    "rendering-chains": 372,
    "speed": 372,
    "unpaired-scores": 372,
    "steadiness-measured": 930,
}


def main(folder: Path, pictures: list[Path]) -> None:
    """Scale pictures down to ``WIDEST`` pixels and write them under their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in pictures:
        with Image.open(path) as picture:
            small = picture.convert("RGB")
            small.thumbnail((WIDEST, 4 * WIDEST))
            small = small.crop((0, 0, small.width, min(small.height, HIGHEST.get(path.stem, small.height))))
            small.save(folder / f"{path.stem}.jpg", quality=75, optimize=True)


def beside(result: Path, pictures: list[Path]) -> None:
    """Write pictures of one height beside each other."""
    opened = [Image.open(path).convert("RGB") for path in pictures]
    made = Image.new("RGB", (sum(picture.width for picture in opened), opened[0].height))
    for number, picture in enumerate(opened):
        made.paste(picture, (sum(p.width for p in opened[:number]), 0))
    made.save(result)


if __name__ == "__main__" and sys.argv[1] == "--beside":
    beside(Path(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
elif __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
