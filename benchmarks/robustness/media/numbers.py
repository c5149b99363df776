"""Numbers in names and label maps: pictures with gaps, other first numbers, versions, palettes, through the commands.

    python -m benchmarks.robustness.media.numbers [--only TEXT]

Each row makes a clip of 24 frames that all differ, runs one command, and measures how many frames went with their own
counterpart. Exits 1 if a row has another value than the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from benchmarks import harness
from benchmarks.robustness.media.rows import Row, run_rows
from benchmarks.robustness.media.running import Ran, run_vidtrans

COUNT, SIZE = 24, (96, 72)
GONE, ALSO = (6, 11, 12), (8,)
SHARES = (0.41, 0.21, 0.34, 0.04)  # of the labels 0, 1, 2 and 255
INVERT = "LUT_3D_SIZE 2\n" + "".join(f"{1 - r} {1 - g} {1 - b}\n" for b in (0, 1) for g in (0, 1) for r in (0, 1))


def frame(number: int) -> np.ndarray:
    """A textured frame with a disc that crosses it, (H, W, 3) uint8 RGB."""
    noise = np.random.default_rng(7).integers(40, 200, (9, 12, 3), dtype=np.uint8)
    picture = cv2.resize(noise, SIZE, interpolation=cv2.INTER_CUBIC)
    cv2.circle(picture, (8 + 3 * number, 36 + number % 5), 12, (230, 60, 40), -1, cv2.LINE_AA)
    return picture


def matte(number: int) -> np.ndarray:
    """A matte, white up to a column of its number."""
    picture = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    picture[:, : 4 * number] = 255
    return picture


def write(
    folder: str, numbers: Iterable[int], make: Callable[[int], np.ndarray] = frame, form: str = "{:04}.png"
) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(Path(folder) / form.format(number)), make(number)[..., ::-1])


def clip(path: str) -> None:
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "bgr0"
        for number in range(COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame(number), "rgb24")))
        container.mux(stream.encode(None))


def but(*gone: int) -> list[int]:
    return [n for n in range(COUNT) if n not in gone]


def ask(*arguments: object) -> Ran:
    return run_vidtrans([*map(str, arguments), "--json"], Path.cwd())


def pictures(folder: str) -> list[np.ndarray]:
    return [np.array(Image.open(path).convert("RGB")) for path in sorted(Path(folder).glob("*.png"))]


def same(made: np.ndarray, wanted: np.ndarray) -> bool:
    return float(np.abs(made.astype(int) - wanted).mean()) < 1


# The rows: each returns what it measured


def masks() -> object:
    """Frames that have the matte of their number, or that of the frame before: a folder with gaps in both."""
    write("c", but(*ALSO))
    write("m", but(*GONE), matte, "matte_v2_{}.png")
    Path("i.cube").write_text(INVERT)
    ask("stylize", "c", "--model", "i.cube", "--mask", "m", "-o", "o")
    held = {6: 5, 11: 10, 12: 10}
    right = 0
    for number, made in zip(but(*ALSO), pictures("o"), strict=False):
        cover, source = matte(held.get(number, number)) > 0, frame(number)
        right += same(made, np.where(cover, 255 - source, source))
    return right


def targets(form: str, names: list[str] | None = None) -> object:
    """Pairs whose target belongs to their input."""
    write("a", but(*ALSO), form=form)
    write("b", but(*GONE), lambda n: 255 - frame(n), form=form)
    for side in "ab" if names else "":
        for path in Path(side).iterdir():
            path.rename(path.with_name(names[int(path.stem)] + ".png"))
    ask("make-dataset", "a", "--pairing", "aligned", "--target", "b", "--size", "source", "-o", "d")
    both = zip(pictures("d/a"), pictures("d/a.target"), strict=False)
    return sum(same(one, 255 - other) for one, other in both)


def guides() -> object:
    """Frames of which all guides and the target belong together."""
    write("g/depth", but(*ALSO))
    write("g/normals", but(*GONE), lambda n: 255 - frame(n))
    write("t", range(COUNT), lambda n: frame(n)[..., ::-1])
    ask("make-dataset", "g", "--pairing", "stack", "--target", "t", "--size", "source", "-o", "d")
    rows = zip(pictures("d/g.depth"), pictures("d/g.normals"), pictures("d/g.target"), strict=False)
    return sum(same(one, 255 - two) and same(one, three[..., ::-1]) for one, two, three in rows)


def reference() -> object:
    """PSNR of equal pictures, some of which are missing."""
    write("o", but(*ALSO))
    write("r", but(*GONE))
    clip("s.mkv")
    return ask("evaluate", "o", "--source", "s.mkv", "--reference", "r").table.get("psnr")


def painted(*names: str, frames: tuple[int, ...], more: tuple[object, ...] = ()) -> Ran:
    clip("c.mkv")
    Path("k").mkdir()
    for name, number in zip(names, frames, strict=True):
        cv2.imwrite(f"k/{name}", (255 - frame(number) // 2)[..., ::-1])
    return ask("propagate", "c.mkv", "--keyframes", "k", "--minutes", 0, "--dry-run", *more)


def keys(*names: str) -> object:
    """The frames that paintings of frames 9 and 21 are taken for."""
    return painted(*names, frames=(9, 21)).table.get("keyframes")


def from_one(*more: object) -> object:
    """The frames that paintings counted from 1 are taken for, and whether that is doubted."""
    ran = painted("00010.png", "00022.png", frames=(9, 21), more=more)
    return ran.table.get("keyframes"), any("numbered from 1?" in warning for warning in ran.warnings)


def one_clip() -> object:
    """The key frames of one clip in a folder of folders, and by a pattern."""
    painted("0009.png", frames=(9,))
    Path("all").mkdir()
    Path("k").rename("all/c")
    command = ("--keyframes", "all", "--minutes", 0, "--dry-run")
    return [ask("propagate", video, *command).status for video in ("c.mkv", "*.mkv")]


def labels(kind: str) -> object:
    """The shares of the classes, and whether what is of none is counted."""
    from vidtrans.data.dataset import open_dataset

    counts = [round(share * SIZE[0] * SIZE[1]) for share in SHARES]
    numbers = np.resize(np.repeat([0, 1, 2, 255], counts), SIZE).T.astype(np.uint8)
    colours = np.zeros((256, 3), np.uint8)
    colours[[0, 1, 2, 255]] = [(0, 0, 0), (0, 128, 0), (128, 64, 128), (224, 224, 192)]
    for n in range(3):
        Path("p/A").mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(numbers)
        if kind == "indexed":
            picture = Image.frombytes("P", SIZE, numbers.tobytes())
            picture.putpalette(colours.ravel().tolist())
        elif kind == "coloured":
            picture = Image.fromarray(colours[numbers])
        picture.save(f"p/A/{n}.png")
    write("p/B", range(3), form="{}.png")
    settings = ["--set=pairing.classes=3"] + ["--set=pairing.palette=p.txt"] * (kind == "coloured")
    Path("p.txt").write_text("0 0 0 none\n0 128 0 tree\n128 64 128 road\n")
    ran = ask("make-dataset", "p", "--pairing", "labels", *settings, "--size", "source", "-o", "d")
    if ran.status:
        return ran.error
    planes = open_dataset(Path("d")).pairing.input([pictures("d/p")[0]])
    is_reported = any("% of the pixels" in warning for warning in ran.warnings)
    return [round(float(share), 2) for share in (planes == 255).mean((0, 1))], is_reported


WORDS = [f"{a}{b}" for a in ("ash", "birch", "cedar", "elm", "fir", "oak") for b in ("", "er", "ling", "wood")]
ROWS: tuple[Row, ...] = (
    ("gaps", "masks of frames", masks, 23),
    ("gaps", "--target by number", lambda: targets("{:04}.png"), 20),
    ("gaps", "--target by name", lambda: targets("{:04}.png", WORDS), 20),
    ("gaps", "guides of a stack", guides, 20),
    ("gaps", "--reference", reference, 99.0),
    ("which number", "9_v2, 21_v1", lambda: keys("9_v2.png", "21_v1.png"), [9, 21]),
    (
        "which number",
        "shots, sizes, versions",
        lambda: keys(*(f"s010_1920x1080_v03_{n:04}.png" for n in (9, 21))),
        [9, 21],
    ),
    ("which number", "dates, takes", lambda: keys("9_20240131.png", "21_take4.png"), [9, 21]),
    ("from 1", "doubted", from_one, ([10, 22], True)),
    ("from 1", "--first-number 1", lambda: from_one("--first-number", 1), ([9, 21], False)),
    ("one clip", "a folder of folders", one_clip, [0, 0]),
    ("labels", "palette indices", lambda: labels("indexed"), (list(SHARES[:3]), True)),
    ("labels", "grey levels", lambda: labels("grey"), (list(SHARES[:3]), True)),
    ("labels", "a file of colours", lambda: labels("coloured"), ([0.41, 0.21, 0.34], True)),
)


if __name__ == "__main__":
    harness.run(lambda: run_rows(ROWS, __doc__))
