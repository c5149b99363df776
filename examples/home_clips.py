"""Make the moving pictures of the site's home page from the flower that ships.

In a folder with vidtrans/assets/flower.mp4 and vidtrans/assets/frames:

    vidtrans stylize flower.mp4 --look frames/landscape.jpg --start 20 --end 120 -o look.mp4
    vidtrans stylize flower.mp4 --model flower -o taught.mp4
    vidtrans compare flower.mp4 taught.mp4 --input flower -o seen.mp4
    vidtrans keyframes flower.mp4 && python examples/paint_frames.py flower.keyframes/*.png
    vidtrans propagate flower.mp4 --keyframes flower.keyframes --minutes 1 -o painted.mp4
    vidtrans stylize flower.mp4 --look frames/landscape.jpg --start 20 --end 70 --temporal off -o flicker.mp4
    vidtrans stylize flower.mp4 --look frames/landscape.jpg --start 20 --end 70 -o calm.mp4
    vidtrans make-dataset flower.mp4 --preset next-frame --size 128 -o next.dataset
    vidtrans train next.dataset --minutes 3 -o dreamer.safetensors
    vidtrans dream flower.mp4 --start 2s --model dreamer --frames 90 --zoom 1.01 -o dream.mp4
    python examples/home_clips.py               # writes docs/images/home/*.webp, and a still of each

The source is on the left of a line, and the result on its right.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageSequence

import vidtrans

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs/images/home"
SIZE = (320, 180)
COUNT = 24
LARGEST = 200_000  # bytes of a clip; the wide one at the head of the page may have twice as many


PANEL = (492, 22, 972, 292)  # of seen.mp4: what the model sees
BRIGHT = 160  # levels: lines are brighter, tones darker
DRAWN_FROM = (240, 120)  # the flower's middle, where a drawing begins


def frames(path: str, first: int, step: int, box: tuple[int, int, int, int] | None = None) -> list[Image.Image]:
    """Return ``COUNT`` frames of a clip, or a box of them, 320x180."""
    with av.open(path) as file:
        pictures = [frame.to_image() for frame in file.decode(video=0)]
    return [picture.resize(SIZE, Image.Resampling.LANCZOS, box) for picture in pictures[first::step][:COUNT]]


def drawing() -> tuple[list[Image.Image], list[Image.Image]]:
    """Return a drawing that grows from the flower outwards, and what the model paints from each state of it."""
    with av.open("seen.mp4") as file:
        seen = np.asarray([frame.to_image() for frame in file.decode(video=0)][90].crop(PANEL))
    lines = np.where(seen > BRIGHT, seen, 0)  # without the tones of areas, which people do not draw
    rows, columns = np.indices(lines.shape[:2])
    distance = np.hypot(rows - DRAWN_FROM[1], columns - DRAWN_FROM[0])
    states = Path("drawing")
    states.mkdir(exist_ok=True)
    for number, radius in enumerate(np.linspace(60, 260, COUNT)):
        Image.fromarray(np.where(distance[..., None] <= radius, lines, 0)).save(states / f"{number:04d}.png")
    vidtrans.stylize(states, "flower", "drawing.flower", temporal="off", overwrite=True)
    both = [
        [Image.open(path).convert("RGB").resize(SIZE) for path in sorted(Path(folder).glob("*.png"))]
        for folder in ("drawing", "drawing.flower")
    ]
    return both[0], both[1]


def beside(left: Sequence[Image.Image], right: Sequence[Image.Image]) -> list[Image.Image]:
    """Return pictures with the left half of one and the right half of the other."""
    made = []
    for a, b in zip(left, right, strict=True):
        picture = a.copy()
        picture.paste(b.crop((SIZE[0] // 2, 0, *SIZE)), (SIZE[0] // 2, 0))
        ImageDraw.Draw(picture).line([(SIZE[0] // 2, 0), (SIZE[0] // 2, SIZE[1])], fill="white", width=2)
        made.append(picture)
    return made


def middles(left: Image.Image, right: Image.Image) -> Image.Image:
    """Return the middle of one picture beside the middle of another."""
    made = Image.new("RGB", SIZE)
    for picture, x in ((left, 0), (right, SIZE[0] // 2)):
        made.paste(picture.crop((80, 0, 240, SIZE[1])), (x, 0))
    ImageDraw.Draw(made).line([(SIZE[0] // 2, 0), (SIZE[0] // 2, SIZE[1])], fill="white", width=2)
    return made


def with_style(pictures: Sequence[Image.Image], style: Path) -> list[Image.Image]:
    """Lay a small copy of the style's picture into the corner."""
    small = Image.open(style).convert("RGB").resize((72, 72))
    for picture in pictures:
        picture.paste("white", (6, 102, 82, 178))
        picture.paste(small, (8, 104))
    return list(pictures)


def save(name: str, pictures: Sequence[Image.Image], ms: int = 120, quality: int = 55) -> None:
    """Write the clip, and its middle frame for readers who want nothing to move."""
    path = FOLDER / f"{name}.webp"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=ms, loop=0, quality=quality, method=6)
    pictures[len(pictures) // 2].save(FOLDER / f"{name}-still.webp", quality=quality, method=6)
    assert path.stat().st_size <= LARGEST * (1 if pictures[0].size == SIZE else 2), path


def main() -> None:
    """Write the six clips."""
    FOLDER.mkdir(exist_ok=True)
    with Image.open(ROOT / "docs/images/moving.gif") as file:
        save("moving", [frame.convert("RGB") for frame in ImageSequence.Iterator(file)], quality=40)
    source = frames("flower.mp4", 20, 4)
    save("picture", with_style(beside(source, frames("look.mp4", 0, 4)), ROOT / "vidtrans/assets/frames/landscape.jpg"))
    save("film", beside(frames("seen.mp4", 20, 4, PANEL), frames("taught.mp4", 20, 4)))
    save("painted", beside(source, frames("painted.mp4", 20, 4)))
    save("flicker", beside(frames("flicker.mp4", 0, 1), frames("calm.mp4", 0, 1)), ms=60, quality=45)
    drawn, painted = drawing()
    save("live", [middles(a, b) for a, b in zip(drawn, painted, strict=True)], ms=160)
    save("dream", frames("dream.mp4", 0, 3), quality=45)


if __name__ == "__main__":
    main()
