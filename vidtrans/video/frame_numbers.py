"""Frame numbers in file names, and the matching of numbered sequences: every command pairs pictures by this file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

# What systems append to the name of a copy.
COPY = re.compile(r"( ?\([0-9]+\)|[ _-]+copy([ _-]*[0-9]+)?)+$", re.IGNORECASE)
_DATE = r"(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[-_. tT]|at)*(?:[01]\d|2[0-3])[-_.:hH]?[0-5]\d[-_.:mM]?[0-5]\d(?:[-_.]?\d{3})?"
_NO_FRAMES = (
    rf"(?<!\d){_DATE}(?:{_TIME})?(?!\d)",
    r"(?<!\d)\d{2,5} ?[x×] ?\d{2,5}(?!\d)",  # 1920x1080
    r"(?<!\d)\d{3,4}[pi](?:\d\d)?(?![a-z\d])",  # 1080p, 1080i50
    r"(?<!\d)\d{1,3}(?:k|bits?|bpc|pct|%)(?![a-z])",
    r"(?<![\d.])\d{1,3}(?:[.]\d+)? ?(?:fps|hz|ms|sec|s)(?![a-z])",
    r"(?<![a-z\d])(?:\d{1,2}x|[x@]\d{1,2}x?)(?:plus)?(?![a-z\d])",  # 4x, x2, @2x
    r"(?<![a-z])(?:[hx][.]?26[3-6]|mp[34]|av1|vp[89]|(?:rec|bt)[.]?(?:601|709|2020|2100)|d[56][05]|p3|prores\d+)(?!\d)",
    r"(?<![a-z\d])(?=[a-f\d]{7,}(?![a-z\d]))[a-f\d]*(?:[a-f]\d+[a-f]|\d[a-f]+\d)[a-f\d]*",  # a digest
)
NO_FRAME = re.compile("|".join(_NO_FRAMES), re.IGNORECASE | re.ASCII)
RUN = re.compile(r"[0-9]+")
WORD = re.compile(r"([^\W\d_]+)([ _.#-]*)$")
VERSION_WORDS = "v|vers?|version|rev|take|tk|final|copy|draft|try|alt|opt|of|seed|cfg|steps|crf|id|iter|lora|gamma"
SHOT_WORDS = "shot|sh|scene|sc|seq|sq|sequence|cam|camera|ep|episode|part|pt|layer|reel|roll|pass"
FRAME_WORDS = "f|fr|frm|frames?|kf|key|keyframe|no|nr|num"
NEVER, SHOT, GLUED, ALONE, PADDED, NAMED = range(6)  # how probably a number is the frame's
LISTED = 6  # ranges of frames in a message


@dataclass(frozen=True)
class NameNumber:
    """A number in a name: its ``value``, and its ``rank``, how probably it is the frame's, ``NEVER`` to ``NAMED``."""

    value: int
    rank: int


def numbers_in(name: str) -> list[NameNumber]:
    """Return all numbers in a file name, in order; without those of dates, sizes, rates and codecs."""
    stem = _stem(name)
    return [NameNumber(int(run[0]), _rank(stem, run)) for run in RUN.finditer(stem)]


def likely_numbers(name: str) -> list[int]:
    """Return the numbers in a file name that may be the frame's, the most probable first."""
    found = numbers_in(name)
    order = sorted(range(len(found)), key=lambda n: (found[n].rank, n), reverse=True)
    return list(dict.fromkeys(found[n].value for n in order if found[n].rank != NEVER))


def frame_numbers(names: Sequence[str]) -> list[int | None]:
    """Return the frame number in each of the file names of a sequence; None for a name without one.

    Of names that differ in numbers alone, the frame's is the number that differs in all of them; where several do, the
    one that looks most like a frame's, then the one with the fewest gaps.
    """
    alike: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        alike[RUN.sub("0", _stem(name))].append(place)
    found: list[int | None] = [None] * len(names)
    for places in alike.values():
        column = _varying([numbers_in(names[place]) for place in places])
        for row, place in enumerate(places):
            likely = likely_numbers(names[place])
            found[place] = column[row] if column else likely[0] if likely else None
    return found


def _stem(name: str) -> str:
    """Return the part of a file name in which numbers may be a frame's."""
    return NO_FRAME.sub(lambda match: re.sub(r"\d", "-", match[0]), COPY.sub("", PurePath(name).stem))


def _rank(stem: str, run: re.Match[str]) -> int:
    word = WORD.search(stem[: run.start()].lower())
    label, is_glued = (word[1], not word[2]) if word else ("", False)
    is_padded = (len(run[0]) > 2 and run[0][0] == "0") or len(run[0]) > 4
    if re.fullmatch(FRAME_WORDS, label):
        return NAMED
    if (is_glued or len(run[0]) < 4) and re.fullmatch(f"{VERSION_WORDS}|{SHOT_WORDS}", label):
        return SHOT if re.fullmatch(SHOT_WORDS, label) else NEVER
    if is_padded:
        return PADDED
    return GLUED if is_glued or stem[run.end() : run.end() + 1].isalpha() else ALONE


def _varying(rows: Sequence[Sequence[NameNumber]]) -> list[int]:
    """Return the values of the most probable column in which all rows differ; none for a single row."""
    columns = [
        (max(cell.rank for cell in column), [cell.value for cell in column]) for column in zip(*rows, strict=True)
    ]
    fitting = [(rank, values) for rank, values in columns if rank != NEVER and len(set(values)) == len(values)]
    if len(rows) < 2 or not fitting:
        return []
    fitting.reverse()  # of equals the last
    return max(fitting, key=lambda column: (column[0], min(column[1]) - max(column[1])))[1]


Counting = Literal["found", "equal", "together"]
Names = Sequence[str] | range  # of a sequence's frames: its files, or the numbers of a video's


@dataclass(frozen=True)
class Sequencing:
    """The frames of a second sequence that go with frames [first, stop) of another.

    Attributes:
        steps: The index in the second sequence for each frame; None where it has no such frame.
        held: The same, with the frame before in place of a missing one, or the first that there is.
        way: What they were matched by: "name", "number" or "order".
        words: What is unusual: another first number, or why nothing but the order is left; "" for nothing.
    """

    steps: tuple[int | None, ...]
    held: tuple[int, ...]
    way: str
    words: str = ""

    @classmethod
    def of(cls, every: Sequence[int | None], span: slice, way: str, words: str = "") -> Sequencing:
        """Return the part of the steps of all frames that a ``span`` selects."""
        latest = next((step for step in every if step is not None), 0)
        held = [latest := latest if step is None else step for step in every]
        return cls(tuple(every[span]), tuple(held[span]), way, words)


def repeated(names: Sequence[str]) -> str:
    """Return a name that two pictures have, without their endings; "" for none."""
    stems = [PurePath(name).stem for name in names]
    return next((stem for stem, times in Counter(stems).items() if times > 1), "")


def has_gaps(names: Sequence[str]) -> bool:
    """Return whether numbers are missing within a numbered sequence of pictures."""
    known = _known(sequence_numbers(names) or ())
    return bool(known) and max(known) - min(known) >= len(names)


def align(whole: Names, own: Names, first: int, stop: int, *, counting: Counting = "found") -> Sequencing:
    """Match a second sequence, ``own``, with the frames [first, stop) of a sequence ``whole``.

    Names decide where one sequence has all those of the other, else the numbers in them, else half of the names; else
    the order. ``counting``: whether equal numbers are the same frame ("equal"), or the first frames of both are
    ("together"); "found": equal numbers, where these fit.
    """
    span = slice(first, stop)
    names, others = ([] if isinstance(side, range) else [PurePath(name).stem for name in side] for side in (whole, own))
    common, shorter = len(set(names) & set(others)), min(len(names), len(others))
    is_named = shorter > 0 and len(set(names)) == len(names) and len(set(others)) == len(others)
    numbers, found = sequence_numbers(whole), sequence_numbers(own)
    if (
        is_named
        and counting != "together"
        and (common == shorter or (2 * common >= shorter and (numbers is None or found is None)))
    ):
        return Sequencing.of(_places(names, others), span, "name")
    if numbers is not None and found is not None:
        words, shift = "", _shift(numbers, found, span) if counting == "found" else 0
        if counting == "together":
            shift = min(_known(numbers)) - min(_known(found))
        moved = [None if number is None else number + shift for number in found]
        if shift and counting == "found" and _known(moved) not in (_known(numbers), _known(numbers[span])):
            words = f"numbered from {min(_known(found))}, the other from {min(_known(numbers))}"
        return Sequencing.of(_places(numbers, moved), span, "number", words)
    count, part = len(own), stop - first
    begin = first if count == part != len(whole) else 0
    every = [i - begin if 0 <= i - begin < count else None for i in range(len(whole))]
    twice = repeated(names) or repeated(others)
    words = f"two pictures are named '{twice}'" if twice else "its names have no numbers that go with the other's"
    return Sequencing.of(every, span, "order", words)


def common_frames(sequences: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return for each sequence of file names the indices of the frames that all of them have, in step."""
    first = sequences[0]
    steps = [align(first, names, 0, len(first)).steps for names in sequences]
    kept = [row for row in zip(*steps, strict=True) if None not in row]
    return [[step for step in column if step is not None] for column in zip(*kept, strict=True)]


def _places(keys: Sequence[object], own: Sequence[object]) -> list[int | None]:
    place = {key: at for at, key in enumerate(own) if key is not None}
    return [None if key is None else place.get(key) for key in keys]


def _known(numbers: Iterable[int | None]) -> set[int]:
    return {number for number in numbers if number is not None}


def sequence_numbers(side: Names) -> Sequence[int | None] | None:
    """Return the numbers of a sequence's frames; None where most have none, or two have the same."""
    if isinstance(side, range):
        return side
    numbers = frame_numbers(side)
    count = sum(number is not None for number in numbers)
    return numbers if 2 * count > len(numbers) and len(_known(numbers)) == count else None


def _shift(whole: Sequence[int | None], own: Sequence[int | None], span: slice) -> int:
    """Return the number to add to those of ``own``, where its counting begins elsewhere.

    Numbers are taken as they are, unless some lie outside the other sequence, and all fit when moved, or more when
    moved by one.
    """
    every, part, found = _known(whole), _known(whole[span]), _known(own)
    if not part or len(found) == 1:
        return 0
    to_part, to_whole = min(part) - min(found), min(every) - min(found)
    if not found & part and {number + to_part for number in found} == part:
        return to_part
    if found <= every or every <= found:
        return 0
    moved = {number + to_whole for number in found}
    lies_outside = min(found) < min(every) or max(found) > max(every)
    fits_better = abs(to_whole) == 1 and lies_outside and len(moved & every) > len(found & every)
    return to_whole if fits_better or not found & every or moved == every else 0


def list_frames(frames: Sequence[int], label: Callable[[int], str] = str) -> str:
    """Return increasing frames as text, as in "6, 8 to 11 and 40"; many are cut short, with their number."""
    runs: list[list[int]] = []
    for frame in frames:
        if runs and frame == runs[-1][-1] + 1:
            runs[-1].append(frame)
        else:
            runs.append([frame])
    parts = [label(run[0]) if len(run) == 1 else f"{label(run[0])} to {label(run[-1])}" for run in runs]
    if len(parts) > LISTED:
        return f"{', '.join(parts[:LISTED])} … ({len(frames)} in all)"
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
