"""Pair folders of other tools: A/ + B/, or A|B side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.clips.sampling import spread_numbers
from vidtrans.core.errors import MediaError
from vidtrans.core.files import base_name
from vidtrans.core.settings import AS_STORED, Size
from vidtrans.data.dataset import Role
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.video.frame_numbers import align, repeated, stem_key
from vidtrans.video.images.picture import picture_size, read_picture, resize
from vidtrans.video.io.picture_paths import pictures_in

HELD_OUT_FOLDERS = ("test", "val")
LISTED = 6  # names in a message
SPLIT_FOLDERS = ("train", *HELD_OUT_FOLDERS)


# How far the aspect ratios of input and target may differ: 1088 lines for 1080 are no other shape.
SHAPE_TOLERANCE = 0.02
AS_LARGE = 0.9  # share of the source's size at which a target can show what is sharp in it


@dataclass(frozen=True)
class FolderSource:
    """A folder of unordered pairs: each pair is a shot. ``alone``: the pictures of A and B without a counterpart.

    ``classes``: those of the targets, if they are label maps.
    """

    path: Path
    pairs: tuple[tuple[Path, Path | None], ...]  # (A, B), or one side-by-side picture
    roles: tuple[Role | None, ...]  # None: not said by the folder
    a_is_input: bool
    alone: tuple[str, ...] = ()
    guides: tuple[str, ...] = ()
    classes: ClassColours | None = None

    @property
    def name(self) -> str:
        """Return the source's name."""
        return base_name(self.path)

    @property
    def inputs(self) -> list[Path]:
        """Return the files of the inputs; none for side-by-side pictures, which hold input and target in one file."""
        return [a if self.a_is_input else b for a, b in self.pairs if b is not None]

    @property
    def target_files(self) -> list[Path]:
        """Return the files of the targets; none for side-by-side pictures."""
        return [b if self.a_is_input else a for a, b in self.pairs if b is not None]

    def describe_alone(self) -> str:
        """Return a warning that names pictures without a counterpart."""
        count, few = len(self.alone), ", ".join(self.alone[:LISTED])
        whose = "1 of its pictures has" if count == 1 else f"{count} of its pictures have"
        return f"{self.path.name}: {whose} no counterpart and {'is' if count == 1 else 'are'} left out ({few}" + (
            " …)" if count > LISTED else ")"
        )

    def full_size(self, number: int) -> tuple[int, int] | None:
        """Return the (width, height) of the input of a pair; None if its target is smaller. Raises MediaError."""
        one, other = self.pairs[number]
        width, height = picture_size(one)
        if other is None:
            return width // 2, height
        sides = (width, height), picture_size(other)
        given, target = sides if self.a_is_input else sides[::-1]
        return given if is_as_large(target[1], given[1]) else None

    def targets(self, numbers: list[int]) -> Iterator[np.ndarray]:
        """Yield the targets of pairs as they are stored, (H, W, 3) uint8."""
        return (row[1] for row in self.pictures(numbers, AS_STORED))

    def samples(self, count: int) -> Iterator[np.ndarray]:
        """Yield at most ``count`` evenly spaced inputs at full size, (H, W, 3) uint8."""
        return (row[0] for row in self.pictures(spread_numbers(len(self.pairs), count), AS_STORED))

    def pictures(self, numbers: list[int], size: Size) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (input, target), both (H, W, 3) uint8 at ``size``, for each pair number in ``numbers``."""
        for number in numbers:
            one, other = self.pairs[number]
            left = read_picture(one)
            if other is None:
                half = left.shape[1] // 2
                left, right = left[:, :half], left[:, left.shape[1] - half :]
            else:
                right = read_picture(other)
            width, height = size.of(left.shape[1], left.shape[0])
            given, target = (left, right) if self.a_is_input else (right, left)
            resize_target = self.classes.resized if self.classes else resize
            yield resize(given, width, height), resize_target(target, width, height)


def find_pairs(folder: Path, direction: str) -> FolderSource:
    """Detect a pair folder: ``A/`` + ``B/`` with equal names, or A|B pictures; with or without train/val/test.

    ``direction``: which side is the input, "AtoB" or "BtoA". Raises MediaError if there are no pairs.
    """
    pairs: list[tuple[Path, Path | None]] = []
    roles: list[Role | None] = []
    a, b = _sides(folder)
    two = a.is_dir() and b.is_dir()
    parts = [p for p in SPLIT_FOLDERS if ((a / p).is_dir() and (b / p).is_dir() if two else (folder / p).is_dir())]
    for part in parts or [""]:
        found = _pairs_of(a / part, b / part) if two else _pairs_in(folder / part)
        pairs += found
        roles += [_role(part)] * len(found)
    if not pairs:
        raise MediaError(str(folder), "no pairs in it", "it needs A/ and B/ with equal names, or A|B pictures")
    paired = {path for pair in pairs for path in pair}
    sides = [path for part in parts or [""] for path in ((a / part, b / part) if two else _sides(folder / part))]
    every = [path for side in sides if side.is_dir() for path in pictures_in(side)]
    alone = tuple(path.relative_to(folder).as_posix() for path in every if path not in paired)
    return FolderSource(folder, tuple(pairs), tuple(roles), direction == "AtoB", alone)


def _role(part: str) -> Role | None:
    return "val" if part in HELD_OUT_FOLDERS else "train" if part else None


def _sides(folder: Path) -> tuple[Path, Path]:
    return folder / "A", folder / "B"


def _pairs_in(folder: Path) -> list[tuple[Path, Path | None]]:
    a, b = _sides(folder)
    return _pairs_of(a, b) if a.is_dir() and b.is_dir() else [(p, None) for p in pictures_in(folder)]


def _pairs_of(a: Path, b: Path) -> list[tuple[Path, Path | None]]:
    """Return the pairs of pictures in two folders that have equal names, or if none have, equal numbers in them."""
    own, others = pictures_in(a), pictures_in(b)
    if not own or not others:
        return []
    check_names(a, [p.name for p in own])
    check_names(b, [p.name for p in others])
    by_stem = {stem_key(p.name): p for p in others}
    pairs = [(p, by_stem[stem_key(p.name)]) for p in own if stem_key(p.name) in by_stem]
    if not pairs:
        found = align([p.name for p in own], [p.name for p in others], 0, len(own), counting="equal")
        steps = found.steps if found.way == "number" else ()
        pairs = [(p, others[step]) for p, step in zip(own, steps, strict=False) if step is not None]
    for one, other in pairs:
        check_shapes(one, picture_size(one), picture_size(other))
    return list(pairs)


def check_names(folder: Path, names: Sequence[str]) -> None:
    """Raise MediaError if two ``names`` differ only in their suffix, so that one picture has no counterpart."""
    if twice := repeated(names):
        raise MediaError(str(folder), f"two of its pictures are named '{twice}'", "keep one of them")


def is_as_large(target: int, source: int) -> bool:
    """Return whether a target of a height in pixels can be compared with a source, at the source's size."""
    return target >= AS_LARGE * source


def check_shapes(source: Path, size: tuple[int, int], target: tuple[int, int]) -> None:
    """Raise MediaError about ``source`` if its ``size`` and the ``target``'s have different aspect ratios."""
    if abs(size[0] * target[1] / (size[1] * target[0]) - 1) > SHAPE_TOLERANCE:
        raise MediaError(
            str(source),
            f"it is {size[0]}x{size[1]}, and its target {target[0]}x{target[1]}: one of them would be stretched",
            "crop or pad one, so that both have one shape",
        )
