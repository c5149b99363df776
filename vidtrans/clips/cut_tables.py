"""Lists of cuts of other programs: the scenes of PySceneDetect (CSV), and edit decision lists (EDL)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.timelines.edl_events import read_events

EDL = ".edl"
START = "start frame"  # the column of PySceneDetect, whose frames are numbered from 1
SEPARATORS = ",;\t|"
HEAD_LINES = 2  # among which the names of the columns are: PySceneDetect may put a list of all cuts before them


def scene_starts(lines: Sequence[str], where: str) -> list[int] | None:
    """Return the first frames, from 0, of the scenes in a CSV of PySceneDetect; None if the lines are none.

    ``where``: the file, for messages. Raises UsageError for a scene without a frame number.
    """
    for head, line in enumerate(lines[:HEAD_LINES]):
        for separator in SEPARATORS:
            columns = [name.strip().lower() for name in _cells(line, separator)]
            if START in columns:
                return _numbers(lines[head + 1 :], separator, columns.index(START), where, head + 2)
    return None


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # a cell of more than 128 KB
        return []


def _numbers(lines: Sequence[str], separator: str, column: int, where: str, first_line: int) -> list[int]:
    found = []
    for number, line in enumerate(lines, first_line):
        if not line.strip():
            continue
        cells = _cells(line, separator)
        text = cells[column].strip() if column < len(cells) else ""
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            why = f"'{text[:40]}' is not the number of a frame from 1"
            raise UsageError(f"{where}, line {number}", why, "export the scenes of PySceneDetect again")
        found.append(int(text) - 1)
    return found


def edit_starts(path: Path, lines: Sequence[str], rate: Fraction) -> list[int]:
    """Return the first frames, from 0, of the events of an EDL that made the clip, whose frame rate is ``rate``.

    Raises UsageError if it is not a valid EDL.
    """
    events = [event for event in read_events(path, lines, rate) if event.is_video]
    if not events:
        raise UsageError(f"--cuts {path}", "it has no events with pictures", "export a CMX 3600 EDL")
    day = events[0].day
    begin = _first_count([event.record for event in events], day)
    return sorted({(event.record[0] - begin) % day for event in events})


def _first_count(records: Sequence[tuple[int, int]], day: int) -> int:
    """Return the count at which a timeline begins: after the longest time of the day in which no event is shown.

    Its events are in any order, and their counts start again from 0 at midnight.
    """
    ordered = sorted(records)
    ends = list(accumulate((end for _, end in ordered), max))
    pauses = [ordered[0][0] + day - ends[-1], *(one[0] - end for one, end in zip(ordered[1:], ends, strict=False))]
    return ordered[pauses.index(max(pauses))][0]
