"""Frame numbers in file names, and the matching of numbered sequences: every command pairs pictures by this file."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from vidtrans.core.system import name_key

# What systems append to the name of a copy.
COPY = re.compile(r"( ?\([0-9]+\)|[ _-]+copy([ _-]*[0-9]+)?)+$", re.IGNORECASE)
_DATE = r"(?:19|20)\d\d(?P<s>[-_.]?)(?:0[1-9]|1[0-2])(?P=s)(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[-_. tT]|at)*(?:[01]\d|2[0-3])[-_.:hH]?[0-5]\d[-_.:mM]?[0-5]\d(?:[-_.]?\d{3})?"
_NO_FRAMES = (
    rf"(?<!\d){_DATE}(?:{_TIME})?(?!\d)",
    r"(?<!\d)\d\d(?P<t>[-_.;])\d\d(?P=t)\d\d(?P=t)\d\d(?!\d)",  # a timecode
    r"(?<!\d)\d{2,5} ?[x×] ?\d{2,5}(?!\d)",  # 1920x1080
    r"(?<!\d)(?:480|540|576|720|1080|1440|2160|4320)[pi](?:\d\d)?(?![a-z\d])",
    r"(?<!\d)(?:(?:[24568]|1[26])k|\d{1,3}(?:bits?|bpc|pct|%)|\d+px)(?![a-z])",
    r"(?<![\d.])\d{1,3}(?:(?:[.]\d+)? ?(?:fps|hz)|[.]\d+ ?s)(?![a-z])",
    r"(?<=[a-z])\d{1,2}[.]\d{1,2}(?!\d)",  # v1.2, cfg7.5
    r"(?<![a-z\d])(?:\d{1,2}x|[x@]\d{1,2}x?)(?:plus)?(?![a-z\d])",  # 4x, x2, @2x
    r"(?<![a-z])(?:[hx][.]?26[3-6]|mp[34]|av1|vp[89]|(?:rec|bt)[.]?(?:601|709|2020|2100)|d[56][05]|p3|prores\d+)(?!\d)",
    r"(?<![a-z\d])(?=[a-f\d]{7,}(?![a-z\d]))[a-f\d]*(?:[a-f]\d+[a-f]|\d[a-f]+\d)[a-f\d]*",  # a digest
)
NO_FRAME = re.compile("|".join(_NO_FRAMES), re.IGNORECASE | re.ASCII)
DASH = re.compile(r"(?<![0-9])-(?=[0-9])")  # before a number, not between two
MINUS = "−"  # U+2212, in the place of a dash that is a sign
NUMBER_IN_NAME = re.compile(f"{MINUS}?[0-9]+")
WORD = re.compile(r"([^\W\d_]+)([ _.#-]*)$")
VERSION_WORDS = "v|vers?|version|rev|take|tk|final|copy|edit|draft|try|alt|opt|of|seed|cfg|steps|crf|id|iter|lora|gamma"
SHOT_WORDS = "shot|sh|scene|sc|seq|sq|sequence|cam|camera|ep|episode|part|pt|layer|reel|roll|pass"
FRAME_WORDS = "f|fr|frm|frames?|kf|key|keyframe|no|nr|num"
NEVER, SHOT, GLUED, ALONE, PADDED, NAMED = range(6)  # how probably a number is the frame's
LONGEST = 8  # digits of a frame's number that is not padded: more are a seed or a time
LISTED = 6  # ranges of frames in a message


@dataclass(frozen=True)
class NameNumber:
    """A number in a name: its ``value``, and its ``rank``, how probably it is the frame's, ``NEVER`` to ``NAMED``."""

    value: int
    rank: int


def stem_key(name: str) -> str:
    """Return a file name without its suffix, in one Unicode normalisation: equal for the pictures of one frame."""
    return name_key(PurePath(name).stem)


def signed_names(names: Iterable[str]) -> list[str]:
    """Return the names of a sequence in one Unicode normalisation, with ``MINUS`` before negative numbers.

    A dash behind a dot, an underline or nothing is a sign (shot.-0003); another one (shot-0003) only if there are names
    without it (shot0000), as Blender writes them.
    """
    plain = [name_key(name) for name in names]
    forms: set[str] = set()

    def sign(dash: re.Match[str]) -> str:
        name, at = dash.string, dash.start()
        if at == 0 or name[at - 1] in "._":
            return MINUS
        if not forms:
            forms.update(NUMBER_IN_NAME.sub("0", one) for one in plain)
        return MINUS if NUMBER_IN_NAME.sub("0", name[:at] + name[at + 1 :]) in forms else "-"

    return [DASH.sub(sign, name) for name in plain]


def value_of(run: str) -> int:
    """Return the value of a number in one of the ``signed_names``."""
    return int(run.replace(MINUS, "-"))


def numbers_in(name: str) -> list[NameNumber]:
    """Return all numbers in a file name, in order; without those of dates, sizes, rates and codecs."""
    (plain,) = _plain_stems([name])
    return _numbers_in(plain)


def _numbers_in(plain: str) -> list[NameNumber]:
    stem = _masked(plain)
    return [NameNumber(value_of(run[0]), _rank(stem, run)) for run in NUMBER_IN_NAME.finditer(stem)]


def likely_numbers(name: str) -> list[int]:
    """Return the numbers in a file name that may be the frame's, the most probable first."""
    (plain,) = _plain_stems([name])
    return _likely(plain)


def _likely(plain: str) -> list[int]:
    found = _numbers_in(plain)
    order = sorted(range(len(found)), key=lambda n: (found[n].rank, n), reverse=True)
    return list(dict.fromkeys(found[n].value for n in order if found[n].rank != NEVER))


def frame_numbers(names: Sequence[str]) -> list[int | None]:
    """Return the frame number in each of the file names of a sequence; None for a name without one.

    Among names that differ only in numbers, the frame number is the one that is different in every name; if several
    are, the one with the highest ``NameNumber.rank``, then the one with the smallest range of values.
    """
    stems = _plain_stems(names)
    alike: dict[str, list[int]] = defaultdict(list)
    for place, stem in enumerate(stems):
        alike[NUMBER_IN_NAME.sub("0", stem)].append(place)
    found: list[int | None] = [None] * len(names)
    for places in alike.values():
        column = _varying(_rows([stems[place] for place in places]))
        for row, place in enumerate(places):
            likely = [] if column else _likely(stems[place])
            found[place] = column[row] if column else likely[0] if likely else None
    return found


def _rows(stems: Sequence[str]) -> list[list[NameNumber]]:
    """Return the numbers of plain stems that differ only in numbers, in columns.

    Digits that look like a date or a codec in some of the names only, as in p1 to p4, are numbers in all of them.
    """
    runs = [list(NUMBER_IN_NAME.finditer(stem)) for stem in stems]
    hidden = [[stem[run.end() - 1] == "-" for run in own] for stem, own in zip(map(_masked, stems), runs, strict=True)]
    columns = [place for place, column in enumerate(zip(*hidden, strict=True)) if not all(column)]
    if not columns and len(set(stems)) > 1:
        columns = list(range(len(hidden[0])))
    return [
        [NameNumber(value_of(own[place][0]), _rank(stem, own[place])) for place in columns]
        for stem, own in zip(stems, runs, strict=True)
    ]


def _plain_stems(names: Iterable[str]) -> list[str]:
    """Return the ``signed_names`` of a sequence without suffixes and copy marks."""
    return signed_names(COPY.sub("", stem_key(name)) for name in names)


def _masked(plain: str) -> str:
    """Return a plain stem with dashes in the place of digits that are no frame number, as in dates."""
    return NO_FRAME.sub(lambda match: re.sub(r"\d", "-", match[0]), plain)


def _rank(stem: str, run: re.Match[str]) -> int:
    digits, word = run[0].lstrip(MINUS), WORD.search(stem[: run.start()].lower())
    label, is_glued = (word[1], not word[2]) if word else ("", False)
    is_padded = (len(digits) > 2 and digits[0] == "0") or len(digits) > 4
    if re.fullmatch(FRAME_WORDS, label):
        return NAMED
    if (is_glued or len(digits) < 4) and re.fullmatch(f"{VERSION_WORDS}|{SHOT_WORDS}", label):
        return SHOT if re.fullmatch(SHOT_WORDS, label) else NEVER
    if len(digits) > 2 and stem.endswith(f".{run[0]}") and run.end() == len(stem):  # shot.1041.exr
        return NAMED
    if len(digits) > LONGEST and digits[0] != "0":
        return SHOT
    if is_padded:
        return PADDED
    return GLUED if is_glued or stem[run.end() : run.end() + 1].isalpha() else ALONE


def _varying(rows: Sequence[Sequence[NameNumber]]) -> list[int]:
    """Return the most probable column of distinct values; ``rows``: the numbers of each name. [] for a single row."""
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
        steps: For each frame of the first sequence, the index of its frame in the second; None if it has none.
        held: ``steps`` with each None replaced by the last step before it, or else by the first step after it.
        way: The criterion of the match: "name", "number" or "order".
        words: A remark for the user: that numbering starts elsewhere, or why frames are matched by order; else "".
    """

    steps: tuple[int | None, ...]
    held: tuple[int, ...]
    way: str
    words: str = ""

    @classmethod
    def of(cls, every: Sequence[int | None], span: slice, way: str, words: str = "") -> Sequencing:
        """Return the sequencing of the frames that ``span`` selects; ``every``: the steps of all frames."""
        latest = next((step for step in every if step is not None), 0)
        held = [latest := latest if step is None else step for step in every]
        return cls(tuple(every[span]), tuple(held[span]), way, words)


def repeated(names: Sequence[str]) -> str:
    """Return the first name, without its suffix, that two pictures share; "" if all names are different."""
    stems = [stem_key(name) for name in names]
    return next((stem for stem, times in Counter(stems).items() if times > 1), "")


def has_gaps(names: Sequence[str]) -> bool:
    """Return whether numbers are missing within a numbered sequence of pictures."""
    known = _known(sequence_numbers(names) or ())
    return bool(known) and max(known) - min(known) >= len(names)


def align(whole: Names, own: Names, first: int, stop: int, *, counting: Counting = "found") -> Sequencing:
    """Match a second sequence, ``own``, with the frames [first, stop) of a sequence ``whole``.

    Frames are matched by name if one sequence has all names of the other, else by number if both are numbered, else by
    name if half of the names are common, else by order. ``counting``: "equal": equal numbers are the same frame;
    "together": the lowest numbers are, and half of the names is not enough; "found": as "equal", or shifted if that
    fits better.
    """
    span = slice(first, stop)
    names, others = ([] if isinstance(side, range) else [stem_key(name) for name in side] for side in (whole, own))
    common, shorter = len(set(names) & set(others)), min(len(names), len(others))
    is_named = shorter > 0 and len(set(names)) == len(names) and len(set(others)) == len(others)
    numbers, found = sequence_numbers(whole), sequence_numbers(own)
    by_half = counting != "together" and 2 * common >= shorter and (numbers is None or found is None)
    if is_named and (common == shorter or by_half):
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
    """Return, for each sequence of file names, the indices of the frames that all have, in the order of the first."""
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
    """Return the offset from numbers of ``own`` to those of ``whole``; 0 if equal numbers are the same frame.

    It is not 0 only if the shifted numbers are exactly those of ``whole`` or its ``span``, if the sequences have no
    number in common, or if a shift by one gives more common numbers.
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
    """Return increasing frames as text, as in "6, 8 to 11 and 40"; a long list is cut and ends with the total."""
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
