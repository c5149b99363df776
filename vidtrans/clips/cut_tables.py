"""Lists of cuts of other programs: the scenes of PySceneDetect (CSV), and edit decision lists (EDL)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import accumulate, islice
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.text_files import TableRow, parse_number, read_rows
from vidtrans.timelines.edl_events import read_events

EDL = ".edl"
START = "start frame"  # the column of PySceneDetect, whose frames are numbered from 1
HEAD_ROWS = 2  # among which the names of the columns are: PySceneDetect may put a list of all cuts before them


def scene_starts(text: str, where: str) -> list[int] | None:
    """Return the first frames, from 0, of the scenes in a table of PySceneDetect; None for another text.

    ``where``: the file, for messages. Raises UsageError for a scene without a frame number.
    """
    try:
        rows = read_rows(text)
        for row in islice(rows, HEAD_ROWS):
            columns = [name.lower() for name in row.cells]
            if START in columns:
                return [_start(row, columns.index(START), where) for row in rows]
    except ValueError as error:
        raise UsageError(where, str(error), "export the scenes of PySceneDetect again") from None
    return None


def _start(row: TableRow, column: int, where: str) -> int:
    text = row.cells[column] if column < len(row.cells) else ""
    try:
        number = parse_number(text)
    except ValueError:
        number = 0.0
    if not (number.is_integer() and 0 < number < 1e9):
        why = f"'{text[:40]}' is not the number of a frame from 1"
        raise UsageError(f"{where}, line {row.line}", why, "export the scenes of PySceneDetect again")
    return int(number) - 1


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
