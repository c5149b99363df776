"""Masks: which of their frames goes with which of the clip's, and what is white in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import scene, write_clip
from pictures_of_all_kinds import write_tiff
from PIL import Image

from vidtrans.clips.aligned_clip import match_frames
from vidtrans.clips.indexing import open_clip
from vidtrans.clips.masks import Mask, MaskLevels
from vidtrans.core.events import Note
from vidtrans.core.mask_files import INVERTED_PREFIX, MaskFile
from vidtrans.masking.found_masks import mask_digest
from vidtrans.session import Context
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.io.clip import ClipIndex


def clip_of(count: int, rate: int = 25, start: int = 0, size: tuple[int, int] = (64, 48)) -> ClipIndex:
    base = Fraction(1, 1000)
    step = 1000 // rate
    pts = tuple(start + step * i for i in range(count))
    return ClipIndex(pts, base, step, *size, Fraction(1), Fraction(rate), 0, count)


def folder_of(count: int) -> ClipIndex:
    names = tuple(f"{i}.png" for i in range(count))
    return ClipIndex(tuple(range(count)), Fraction(1, 25), 1, 64, 48, Fraction(1), Fraction(25), 0, count, names)


def test_one_picture_is_held_and_as_many_frames_as_the_clip_or_its_part_go_together_by_number() -> None:
    for mask in (clip_of(1), folder_of(1)):
        assert match_frames(clip_of(40), mask, 5, 12) == ([0] * 7, "")
    for mask in (clip_of(40, rate=10), folder_of(40)):
        assert match_frames(clip_of(40), mask, 0, 40) == (list(range(40)), "")
        assert match_frames(clip_of(40), mask, 10, 20) == (list(range(10, 20)), "")
    for mask in (clip_of(10), folder_of(10)):
        assert match_frames(clip_of(40), mask, 25, 35) == (list(range(10)), "")


def test_where_a_mask_ends_its_last_frame_is_held_and_of_a_longer_one_the_rest_is_left_out() -> None:
    for mask, how in ((clip_of(12), "time"), (folder_of(12), "number")):
        steps, told = match_frames(clip_of(40), mask, 0, 40)
        assert steps == [*range(12), *[11] * 28]
        assert told == f"it has 12 frames, the clip 40: matched by {how}, its last frame is held from frame 12 on"
        steps, told = match_frames(clip_of(40), mask, 20, 40)
        assert steps == [11] * 20
        assert told.endswith("its last frame is held from frame 20 on")
    for mask, how in ((clip_of(60), "time"), (folder_of(60), "number")):
        steps, told = match_frames(clip_of(40), mask, 0, 40)
        assert steps == list(range(40))
        assert told == f"it has 60 frames, the clip 40: matched by {how}"


def container_of(count: int, rate: Fraction, rounded: bool, start: Fraction = Fraction(0)) -> ClipIndex:
    """A video whose times are exact, or rounded to milliseconds as Matroska rounds them."""
    base = Fraction(1, 1000) if rounded else 1 / rate / 512
    pts = tuple(round((start + i / rate) / base) for i in range(count + 1))
    return ClipIndex(pts[:-1], base, pts[-1] - pts[-2], 64, 48, Fraction(1), rate, 0, count)


@pytest.mark.parametrize("rate", [Fraction(24_000, 1001), Fraction(25), Fraction(60_000, 1001)], ids=str)
def test_times_that_a_container_rounded_match_those_that_are_exact(rate: Fraction) -> None:
    for count, more, is_rounded in ((2, 30, True), (90, 1, False), (71, 19, True)):
        shorter = container_of(count, rate, is_rounded)
        longer = container_of(count + more, rate, not is_rounded, Fraction(1237, 1000))
        steps, told = match_frames(shorter, longer, 0, count)
        assert steps == list(range(count))
        assert "held" not in told
        steps, told = match_frames(longer, shorter, 0, count + more)
        assert steps == [min(i, count - 1) for i in range(count + more)]
        assert told.endswith(f"its last frame is held from frame {count} on")


BOX, OTHER, ROW = np.s_[8:20, 6:18], np.s_[10:22, 26:40], np.s_[30, 4:40]
DAVIS = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128), (128,) * 3]


def objects(number: int = 1, other: int = 0) -> np.ndarray:
    numbers = np.zeros((36, 48), np.uint8)
    numbers[BOX], numbers[OTHER] = number, other
    return numbers


def in_palette(numbers: np.ndarray, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    picture = Image.fromarray(numbers, "P")
    picture.putpalette([c for colour in colours for c in colour])
    return picture


def soft(peak: float, sigma: float = 3.0) -> np.ndarray:
    return np.rint(cv2.GaussianBlur(np.where(objects() > 0, peak, 0.0), (0, 0), sigma)).astype(np.uint8)


def coloured(numbers: np.ndarray) -> np.ndarray:
    return np.array(DAVIS, np.uint8)[numbers]


def opened(path: Path, size: tuple[int, int] | None = None, text: str = "") -> tuple[list[np.ndarray], list[str]]:
    """The mattes of a mask's frames, at its own size or at a (width, height), and what was said."""
    said: list[str] = []
    context = Context(report=lambda event: said.append(event.text) if isinstance(event, Note) else None)
    clip = open_clip(context, path)
    mask = Mask.open(MaskFile(path, inverted=text == INVERTED_PREFIX), clip, 0, clip.index.num_frames, context)
    with closing(mask.mattes(size or (clip.index.width, clip.index.height), 1)) as mattes:
        return [mattes(n).copy() for n in range(clip.index.num_frames)], said


def save(name: str, *pictures: np.ndarray | Image.Image, mode: str | None = None) -> Path:
    """Pictures as a folder, or with a TIFF's name as a stack of labels of any dtype."""
    if name.endswith(".tif"):
        return write_tiff(Path(name), [picture for picture in pictures if isinstance(picture, np.ndarray)])
    Path("m").mkdir()
    for n, picture in enumerate(pictures):
        image = Image.fromarray(picture, mode) if isinstance(picture, np.ndarray) else picture
        image.save(Path("m") / name.format(n))
    return Path("m")


NUMBERS = "its levels are numbers of objects: all but 0 is inside"
COLOURS = "its colours are objects: all but #{} is inside"
OBJECTS: dict[str, tuple[Callable[[], Path], str]] = {
    "0 and 1": (lambda: save("{}.png", objects(), objects(1, 1)), NUMBERS),
    "after an empty frame": (lambda: save("{}.png", objects(0), objects(), objects(1, 1)), NUMBERS),
    "16 bits": (lambda: save("{}.png", objects().astype(np.uint16), objects(1, 2).astype(np.uint16)), NUMBERS),
    "numbers above 255": (lambda: save("m.tif", objects().astype(np.uint16), objects(4, 5) * np.uint16(77)), NUMBERS),
    "alpha of 0 and 1": (lambda: save("{}.png", np.dstack([scene(48, 36, 1), objects()])), NUMBERS),
    "H.264": (lambda: write_clip(Path("m.mp4"), [np.dstack([objects()] * 3)] * 3, options={"crf": "1"}), NUMBERS),
    "a palette": (lambda: save("{}.png", *(in_palette(o, DAVIS) for o in (objects(7), objects(1, 2)))), COLOURS),
    "RGB": (lambda: save("{}.png", coloured(objects(1)), coloured(objects(6, 2))), COLOURS),
    "a palette without black": (
        lambda: save("{}.png", in_palette(objects(1, 2), [(120, 120, 120), (180, 30, 30), (6, 230, 230)])),
        COLOURS.replace("{}", "787878"),
    ),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects_are_inside_by_whatever_number_or_colour(kind: str) -> None:
    make, text = OBJECTS[kind]
    path = make()
    mattes, said = opened(path)
    small, _ = opened(path, size=(24, 18))  # numbers are found before it is made smaller
    assert np.array_equal(small[-1], resize(mattes[-1], 24, 18))
    assert [s.partition(": ")[2] for s in said if s.startswith("mask ")] == [text.replace("{}", "000000")]
    for matte in mattes:
        wanted = objects(0) if "empty" in kind and not matte.any() else objects(255, 255 * bool(matte[OTHER].any()))
        assert np.array_equal(matte, wanted)
    assert any(matte.any() for matte in mattes)


GREYS: dict[str, tuple[Callable[[], list[np.ndarray]], str]] = {
    "soft, and dark at first": (lambda: [soft(v) for v in (2, 9, 40, 255)], ""),
    "soft and dark": (lambda: [soft(60), soft(20)], "of 255, so at most"),
    "hard and grey": (lambda: [objects(128, 128)], ""),
    "uniform": (lambda: [np.full((36, 48), 51, np.uint8)] * 2, "brightest level is 51 of 255, so at most 20%"),
    "footage": (lambda: [scene(48, 36, seed) for seed in range(2)], "it has colours, which count by their brightness"),
}


@pytest.mark.parametrize("kind", GREYS)
def test_grey_levels_are_shares_in_all_frames(kind: str) -> None:
    make, text = GREYS[kind]
    frames = make()
    mattes, said = opened(save("{}.png", *frames))
    wanted = [frame if frame.ndim == 2 else cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    assert all(np.array_equal(matte, one) for matte, one in zip(mattes, wanted, strict=True))
    assert len(said) == bool(text)
    assert text in "".join(said)


@pytest.mark.parametrize(
    ("picture", "covers"),
    [
        (objects(0), ("nothing", "everything")),
        (np.ones((36, 48), np.uint8), ("everything", "nothing")),
        (np.dstack([scene(48, 36, 1), objects(0)]), ("nothing", "everything")),
    ],
)
def test_a_mask_of_nothing_or_everything_is_named(picture: np.ndarray, covers: tuple[str, str]) -> None:
    path = save("{}.png", picture, picture)
    for text, side in zip(("", INVERTED_PREFIX), covers, strict=True):
        mattes, said = opened(path, text=text)
        assert all((matte >= 254).all() if side == "everything" else (matte <= 1).all() for matte in mattes)
        assert f"mask {text}m: {side} is inside it, in all frames that are used" in said


def test_the_levels_of_many_numbers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    path = save("{}.png", *[objects(2)] * 40)
    first = opened(path)
    monkeypatch.setattr(MaskLevels, "add", None)
    again = opened(path)
    assert all(np.array_equal(one, other) for one, other in zip(first[0], again[0], strict=True))
    assert again[1] == first[1]


def numbered(numbers: Sequence[int], form: str = "{:04}.png") -> ClipIndex:
    names = tuple(form.format(n) for n in numbers)
    return replace(folder_of(len(names)), names=names)


@pytest.mark.parametrize(
    ("clip", "mask", "steps", "words"),
    [
        # Of one or of both pictures are missing: by number, whatever the counts.
        (clip_of(6), numbered([0, 1, 3, 4]), [0, 1, 1, 2, 3, 3], "none in it for frame 2: the one before is held"),
        (numbered([0, 1, 3, 4, 5]), numbered([0, 2, 3, 4, 5], "m{}.png"), [0, 0, 2, 3, 4], "none in it for frame 0001"),
        (numbered([0, 1, 4, 5]), clip_of(6), [0, 1, 4, 5], "matched by number"),
        # As many: one to one, as the numbers of a video cannot be those of pictures with gaps.
        (numbered([1, 2, 3, 6, 7]), clip_of(5), [0, 1, 2, 3, 4], ""),
        (clip_of(5), numbered([1, 2, 3, 6, 7]), [0, 1, 2, 3, 4], ""),
        # Pictures that are numbered from 1, one of them missing.
        (clip_of(4), numbered([1, 2, 4]), [0, 1, 1, 2], "(numbered from 1, the other from 0)"),
        # Without numbers the order is left, and that is told.
        (clip_of(2), numbered("ab", "{}.png"), [0, 1], "matched by order (its names have no numbers"),
    ],
)
def test_pictures_go_by_number_and_what_is_missing_is_named(
    clip: ClipIndex, mask: ClipIndex, steps: list[int], words: str
) -> None:
    found, told = match_frames(clip, mask, 0, clip.num_frames)
    assert found == steps
    assert words in told


def test_the_digest_of_a_mask_follows_the_masks_that_decide_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for number in range(2):
        write_picture(folder / f"{number}.png", np.full((16, 16, 3), number, np.uint8))
    one = MaskFile(folder / "0.png", sequence=folder)
    before = mask_digest(Context(cache_dir=tmp_path / "cache"), one)
    write_picture(folder / "2.png", np.full((16, 16, 3), 255, np.uint8))
    after = mask_digest(Context(cache_dir=tmp_path / "cache"), one)
    assert before != after
    assert mask_digest(Context(cache_dir=tmp_path / "cache"), MaskFile(folder / "0.png")) not in (before, after)
