"""Find frame numbers in file names, and match numbered sequences: all commands pair pictures by this module."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Literal

from vidtrans.core.system import name_key

# Matches what operating systems append to the name of a copy: ' (2)', ' copy 3'.
COPY_SUFFIX = re.compile(r"( ?\([0-9]+\)|[ _-]+copy([ _-]*[0-9]+)?)+$", re.IGNORECASE)
# Regular expression of a date: 2024-05-31, 20240531.
_DATE = r"(?:19|20)\d\d(?P<s>[-_.]?)(?:0[1-9]|1[0-2])(?P=s)(?:0[1-9]|[12]\d|3[01])"
# Regular expression of a time of day, with separators: T14-30-59.
_TIME = r"(?:[-_. tT]|at)*(?:[01]\d|2[0-3])[-_.:hH]?[0-5]\d[-_.:mM]?[0-5]\d(?:[-_.]?\d{3})?"
# Regular expressions of numbers that are no frame numbers: dates, timecodes, sizes, rates, bit depths, codecs, digests.
_OTHER_NUMBERS = (
    rf"(?<!\d){_DATE}(?:{_TIME})?(?!\d)",
    r"(?<!\d)\d\d(?P<t>[-_.;])\d\d(?P=t)\d\d(?P=t)\d\d(?!\d)",  # Timecode
    r"(?<!\d)\d{2,5} ?[x×] ?\d{2,5}(?!\d)",  # 1920x1080
    r"(?<!\d)(?:480|540|576|720|1080|1440|2160|4320)[pi](?:\d\d)?(?![a-z\d])",
    r"(?<!\d)(?:(?:[24568]|1[26])k|\d{1,3}(?:bits?|bpc|pct|%)|\d+px)(?![a-z])",
    r"(?<![\d.])\d{1,3}(?:(?:[.]\d+)? ?(?:fps|hz)|[.]\d+ ?s)(?![a-z])",
    r"(?<=[a-z])\d{1,2}[.]\d{1,2}(?!\d)",  # v1.2, cfg7.5
    r"(?<![a-z\d])(?:\d{1,2}x|[x@]\d{1,2}x?)(?:plus)?(?![a-z\d])",  # 4x, x2, @2x
    r"(?<![a-z])(?:[hx][.]?26[3-6]|mp[34]|av1|vp[89]|(?:rec|bt)[.]?(?:601|709|2020|2100)|d[56][05]|p3|prores\d+)(?!\d)",
    r"(?<![a-z\d])(?=[a-f\d]{7,}(?![a-z\d]))[a-f\d]*(?:[a-f]\d+[a-f]|\d[a-f]+\d)[a-f\d]*",  # Digest
)
# Matches a number that is no frame number.
OTHER_NUMBER = re.compile("|".join(_OTHER_NUMBERS), re.IGNORECASE | re.ASCII)
POSSIBLE_SIGN = re.compile(r"(?<![0-9])-(?=[0-9])")  # Matches a dash before a number, but not between two numbers: .-3
MINUS = "−"  # Minus sign, U+2212, which replaces a dash that is a sign
NUMBER_IN_NAME = re.compile(f"{MINUS}?[0-9]+")  # Matches a number in a name that ``signed_names`` returned: 0012
# Matches the word at the end of the text before a number, and its separators: 'frame_' before 12 in shot.frame_12.
LABEL = re.compile(r"([^\W\d_]+)([ _.#-]*)$")
# Words before numbers that are versions or settings, as alternatives of a regular expression.
VERSION_WORDS = "v|vers?|version|rev|take|tk|final|copy|edit|draft|try|alt|opt|of|seed|cfg|steps|crf|id|iter|lora|gamma"
# Words before numbers of shots, scenes and parts, as alternatives of a regular expression.
SHOT_WORDS = "shot|sh|scene|sc|seq|sq|sequence|cam|camera|ep|episode|part|pt|layer|reel|roll|pass"
# Words before frame numbers, as alternatives of a regular expression.
FRAME_WORDS = "f|fr|frm|frames?|kf|key|keyframe|no|nr|num"
# In order: never; a shot's number; joined to letters; separate; padded with zeros; after a word such as "frame".
# Ranks of a number in a name by the probability that it is the frame number, ascending.
NEVER, SHOT, JOINED, SEPARATE, PADDED, NAMED = range(6)
MAX_DIGITS = 8  # Most digits of a frame number without leading zeros; longer numbers are seeds or times
MAX_LISTED_RANGES = 6  # Most ranges of frames that a message lists


@dataclass(frozen=True)
class NameNumber:
    """A number in a file name: its ``value``, and the ``rank`` of its probability of being the frame number.

    Ranks are from 0, ``NEVER``, to 5, ``NAMED``.
    """

    value: int
    rank: int


def stem_key(name: str) -> str:
    """Return a file name without its suffix, in one Unicode normalisation, to find pictures of one frame."""
    return name_key(PurePath(name).stem)


def signed_names(names: Iterable[str]) -> list[str]:
    """Return the names of a sequence in one Unicode normalisation, with ``MINUS`` before negative numbers.

    A dash is a sign after a dot, an underscore or nothing (shot.-0003). Elsewhere (shot-0003) it is a sign only if the
    sequence also has names without it (shot0000), as Blender writes them.
    """
    normalised = [name_key(name) for name in names]
    templates: set[str] = set()

    def sign(dash: re.Match[str]) -> str:
        """Return ``MINUS`` for a dash that is a sign, else the dash."""
        name, at = dash.string, dash.start()
        if at == 0 or name[at - 1] in "._":
            return MINUS
        if not templates:
            templates.update(NUMBER_IN_NAME.sub("0", other) for other in normalised)
        return MINUS if NUMBER_IN_NAME.sub("0", name[:at] + name[at + 1 :]) in templates else "-"

    return [POSSIBLE_SIGN.sub(sign, name) for name in normalised]


def value_of(number: str) -> int:
    """Return the value of a number, which may begin with ``MINUS``."""
    return int(number.replace(MINUS, "-"))


def numbers_in(name: str) -> list[NameNumber]:
    """Return the numbers in a file name, in order, without those of dates, sizes, rates and codecs."""
    (stem,) = _signed_stems([name])
    return _numbers_in(stem)


def _numbers_in(stem: str) -> list[NameNumber]:
    """Return the numbers in a stem of ``_signed_stems``, in order."""
    masked = _mask_other_numbers(stem)
    return [NameNumber(value_of(match[0]), _rank(masked, match)) for match in NUMBER_IN_NAME.finditer(masked)]


def likely_numbers(name: str) -> list[int]:
    """Return the numbers in a file name that may be the frame number, the most probable first."""
    (stem,) = _signed_stems([name])
    return _likely_values(stem)


def _likely_values(stem: str) -> list[int]:
    """Return the values of the numbers in a stem that may be the frame number, the most probable first."""
    numbers = _numbers_in(stem)
    order = sorted(range(len(numbers)), key=lambda n: (numbers[n].rank, n), reverse=True)
    return list(dict.fromkeys(numbers[n].value for n in order if numbers[n].rank != NEVER))


def frame_numbers(names: Sequence[str]) -> list[int | None]:
    """Return the frame number in each file name of a sequence; None for a name without one.

    Among names that differ only in numbers, the frame number is the one that is different in every name. If several
    are, it is the one with the highest ``NameNumber.rank``, then the one with the smallest range of values.
    """
    stems = _signed_stems(names)
    by_template: dict[str, list[int]] = defaultdict(list)
    for i, stem in enumerate(stems):
        by_template[NUMBER_IN_NAME.sub("0", stem)].append(i)
    numbers: list[int | None] = [None] * len(names)
    for indices in by_template.values():
        column = _frame_column(_number_table([stems[i] for i in indices]))
        for row, i in enumerate(indices):
            likely = [] if column else _likely_values(stems[i])
            numbers[i] = column[row] if column else likely[0] if likely else None
    return numbers


def _number_table(stems: Sequence[str]) -> list[list[NameNumber]]:
    """Return the numbers of stems that differ only in numbers: a row per stem, a column per position.

    Digits that look like a date or a codec in only some of the names, as in p1 to p4, count as numbers in all of them.
    """
    matches = [list(NUMBER_IN_NAME.finditer(stem)) for stem in stems]
    masked = map(_mask_other_numbers, stems)
    is_masked = [[stem[match.end() - 1] == "-" for match in row] for stem, row in zip(masked, matches, strict=True)]
    columns = [position for position, column in enumerate(zip(*is_masked, strict=True)) if not all(column)]
    if not columns and len(set(stems)) > 1:
        columns = list(range(len(is_masked[0])))
    return [
        [NameNumber(value_of(row[position][0]), _rank(stem, row[position])) for position in columns]
        for stem, row in zip(stems, matches, strict=True)
    ]


def _signed_stems(names: Iterable[str]) -> list[str]:
    """Return the ``signed_names`` of a sequence without suffixes and copy marks."""
    return signed_names(COPY_SUFFIX.sub("", stem_key(name)) for name in names)


def _mask_other_numbers(stem: str) -> str:
    """Replace digits that are no frame number, as in dates, by dashes."""
    return OTHER_NUMBER.sub(lambda match: re.sub(r"\d", "-", match[0]), stem)


def _rank(stem: str, number: re.Match[str]) -> int:
    """Return the rank, from ``NEVER`` to ``NAMED``, of a number in a stem."""
    digits, prefix = number[0].lstrip(MINUS), LABEL.search(stem[: number.start()].lower())
    label, is_joined = (prefix[1], not prefix[2]) if prefix else ("", False)
    is_padded = (len(digits) > 2 and digits[0] == "0") or len(digits) > 4
    if re.fullmatch(FRAME_WORDS, label):
        return NAMED
    if (is_joined or len(digits) < 4) and re.fullmatch(f"{VERSION_WORDS}|{SHOT_WORDS}", label):
        return SHOT if re.fullmatch(SHOT_WORDS, label) else NEVER
    if len(digits) > 2 and stem.endswith(f".{number[0]}") and number.end() == len(stem):  # shot.1041.exr
        return NAMED
    if len(digits) > MAX_DIGITS and digits[0] != "0":
        return SHOT
    if is_padded:
        return PADDED
    return JOINED if is_joined or stem[number.end() : number.end() + 1].isalpha() else SEPARATE


def _frame_column(rows: Sequence[Sequence[NameNumber]]) -> list[int]:
    """Return the most probable frame numbers: a column of distinct values in ``rows``; [] for a single row."""
    columns = [
        (max(cell.rank for cell in column), [cell.value for cell in column]) for column in zip(*rows, strict=True)
    ]
    distinct = [(rank, values) for rank, values in columns if rank != NEVER and len(set(values)) == len(values)]
    if len(rows) < 2 or not distinct:
        return []
    distinct.reverse()  # Of equal columns, ``max`` then returns the last
    return max(distinct, key=lambda column: (column[0], min(column[1]) - max(column[1])))[1]


# How the frame numbers of two sequences are compared; see ``align``. "found": with the offset that fits best. "equal":
# without an offset. "together": counted from the lowest number of each sequence.
Counting = Literal["found", "equal", "together"]
Names = Sequence[str] | range  # The file names of a sequence of pictures, or the frame numbers of a video


@dataclass(frozen=True)
class SequenceMatch:
    """The match of the frames [first, stop) of a sequence with the frames of a second sequence.

    Attributes:
        steps: For each frame of the first sequence, the index of its frame in the second; None without one.
        filled_steps: ``steps`` with each None replaced by the last index before it, or else the first index after it.
        criterion: The criterion of the match: "name", "number" or "order".
        remark: A note for the user: that the numbers differ by an offset, or why frames are matched by order; else "".
    """

    steps: tuple[int | None, ...]
    filled_steps: tuple[int, ...]
    criterion: str
    remark: str = ""

    @classmethod
    def of(cls, all_steps: Sequence[int | None], span: slice, way: str, words: str = "") -> SequenceMatch:
        """Return the match of the frames ``span`` of a sequence.

        ``all_steps``: the index of the matching frame, or None, for all frames of the sequence. ``way``: the criterion.
        ``words``: the remark.
        """
        latest = next((step for step in all_steps if step is not None), 0)
        held = [latest := latest if step is None else step for step in all_steps]
        return cls(tuple(all_steps[span]), tuple(held[span]), way, words)


def first_duplicate(names: Sequence[str]) -> str:
    """Return the first name, without its suffix, that two pictures share; "" if all names are different."""
    stems = [stem_key(name) for name in names]
    return next((stem for stem, times in Counter(stems).items() if times > 1), "")


def has_gaps(names: Sequence[str]) -> bool:
    """Return whether numbers are missing within a numbered sequence of pictures."""
    numbers = _present(sequence_numbers(names) or ())
    return bool(numbers) and max(numbers) - min(numbers) >= len(names)


def align(reference: Names, other: Names, first: int, stop: int, *, counting: Counting = "found") -> SequenceMatch:
    """Return the match of the frames [first, stop) of a sequence ``reference`` with the frames of a sequence ``other``.

    Frames are matched by name if one sequence has all names of the other, else by number if both are numbered, else by
    name if half of the names are common, else by order. ``counting``: "equal": equal numbers are the same frame;
    "together": the lowest numbers are the same frame, and half of the names is not enough; "found": as "equal", or with
    an offset between the numbers if that fits better.
    """
    span = slice(first, stop)
    sides = (reference, other)
    names, other_names = ([] if isinstance(side, range) else [stem_key(name) for name in side] for side in sides)
    num_common, num_shorter = len(set(names) & set(other_names)), min(len(names), len(other_names))
    is_named = num_shorter > 0 and len(set(names)) == len(names) and len(set(other_names)) == len(other_names)
    numbers, other_numbers = sequence_numbers(reference), sequence_numbers(other)
    by_half = counting != "together" and 2 * num_common >= num_shorter and (numbers is None or other_numbers is None)
    if is_named and (num_common == num_shorter or by_half):
        return SequenceMatch.of(_match_keys(names, other_names), span, "name")
    if numbers is not None and other_numbers is not None:
        words, offset = "", _number_offset(numbers, other_numbers, span) if counting == "found" else 0
        if counting == "together":
            offset = min(_present(numbers)) - min(_present(other_numbers))
        moved = [None if number is None else number + offset for number in other_numbers]
        if offset and counting == "found" and _present(moved) not in (_present(numbers), _present(numbers[span])):
            words = f"numbered from {min(_present(other_numbers))}, the other from {min(_present(numbers))}"
        return SequenceMatch.of(_match_keys(numbers, moved), span, "number", words)
    count = len(other)
    begin = first if count == stop - first != len(reference) else 0
    steps = [i - begin if 0 <= i - begin < count else None for i in range(len(reference))]
    duplicate = first_duplicate(names) or first_duplicate(other_names)
    no_numbers = "its names have no numbers that go with the other's"
    words = f"two pictures are named '{duplicate}'" if duplicate else no_numbers
    return SequenceMatch.of(steps, span, "order", words)


def common_frames(sequences: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return, for each sequence of file names, the indices of the frames that all sequences have.

    The order is that of the first sequence.
    """
    first = sequences[0]
    steps = [align(first, names, 0, len(first)).steps for names in sequences]
    complete = [row for row in zip(*steps, strict=True) if None not in row]
    return [[step for step in column if step is not None] for column in zip(*complete, strict=True)]


def _match_keys(keys: Sequence[object], other_keys: Sequence[object]) -> list[int | None]:
    """Return for each of ``keys`` the index of the equal key in ``other_keys``; None without one."""
    indices = {key: i for i, key in enumerate(other_keys) if key is not None}
    return [None if key is None else indices.get(key) for key in keys]


def _present(numbers: Iterable[int | None]) -> set[int]:
    """Return the distinct numbers, without None."""
    return {number for number in numbers if number is not None}


def sequence_numbers(names: Names) -> Sequence[int | None] | None:
    """Return the numbers of a sequence's frames; None if most have no number, or if two are equal."""
    if isinstance(names, range):
        return names
    numbers = frame_numbers(names)
    count = sum(number is not None for number in numbers)
    return numbers if 2 * count > len(numbers) and len(_present(numbers)) == count else None


def _number_offset(reference: Sequence[int | None], other: Sequence[int | None], span: slice) -> int:
    """Return the offset from the frame numbers of ``other`` to those of the same frames in ``reference``.

    The offset is used only if the shifted numbers are exactly those of ``reference`` or its ``span``, if the sequences
    have no number in common, or if an offset of ±1 gives more common numbers.
    """
    numbers, in_span, others = _present(reference), _present(reference[span]), _present(other)
    if not in_span or len(others) == 1:
        return 0
    span_offset, offset = min(in_span) - min(others), min(numbers) - min(others)
    if not others & in_span and {number + span_offset for number in others} == in_span:
        return span_offset
    if others <= numbers or numbers <= others:
        return 0
    moved = {number + offset for number in others}
    lies_outside = min(others) < min(numbers) or max(others) > max(numbers)
    fits_better = abs(offset) == 1 and lies_outside and len(moved & numbers) > len(others & numbers)
    return offset if fits_better or not others & numbers or moved == numbers else 0


def list_frames(frames: Sequence[int], label: Callable[[int], str] = str) -> str:
    """Return increasing frames as text, as in "6, 8 to 11 and 40"; a long list is shortened and ends with the total.

    ``label``: returns the text of a frame, by default its number.
    """
    ranges: list[list[int]] = []
    for frame in frames:
        if ranges and frame == ranges[-1][-1] + 1:
            ranges[-1].append(frame)
        else:
            ranges.append([frame])
    texts = [label(r[0]) if len(r) == 1 else f"{label(r[0])} to {label(r[-1])}" for r in ranges]
    if len(texts) > MAX_LISTED_RANGES:
        return f"{', '.join(texts[:MAX_LISTED_RANGES])} … ({len(frames)} in all)"
    return " and ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
