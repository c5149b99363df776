"""Determine the first frames of a clip's shots as ``--cuts`` states: detected cuts, no cuts, or a list in a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, islice
from pathlib import Path

from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import UsageError
from vidtrans.core.files import check_regular_file, digest_file
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import path_as_stored
from vidtrans.core.text_files import TableRow, parse_number, read_rows, read_text
from vidtrans.timelines.edl_timeline import read_edl, read_events
from vidtrans.timelines.opening import read_timeline_bytes, timeline_cuts
from vidtrans.timelines.timeline import is_timeline

EDL = ".edl"  # Suffix of EDL files
START_COLUMN = "start frame"  # Name of PySceneDetect's column of first frames, which are numbered from 1
NUM_HEADER_ROWS = 2  # First rows that may hold the column names, since PySceneDetect may write a list of all cuts first


def scene_starts(text: str, where: str) -> list[int] | None:
    """Return the first frames, from 0, of the scenes in a table of PySceneDetect; None if the text is no such table.

    ``where``: the file, for messages. Raises UsageError for a scene without a frame number.
    """
    try:
        rows = read_rows(text)
        for row in islice(rows, NUM_HEADER_ROWS):
            columns = [name.lower() for name in row.cells]
            if START_COLUMN in columns:
                return [_scene_start(row, columns.index(START_COLUMN), where) for row in rows]
    except ValueError as error:
        raise UsageError(where, str(error), "export the scenes of PySceneDetect again") from None
    return None


def _scene_start(row: TableRow, column: int, where: str) -> int:
    """Return the first frame, from 0, of the scene in a table row. Raises UsageError.

    ``column``: the index of the cell with the frame number, which counts from 1. ``where``: the file, for messages.
    """
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
    """Return the first frames, from 0, of the events of an EDL from which the clip was edited, at ``rate`` frames/s.

    Raises UsageError if the EDL is not valid.
    """
    events = [event for event in read_events(path, lines, rate) if event.is_video]
    if not events:
        raise UsageError(f"--cuts {path}", "it has no events with pictures", "export a CMX 3600 EDL")
    day = events[0].day
    begin = _timeline_start([event.record for event in events], day)
    return sorted({(event.record[0] - begin) % day for event in events})


def _timeline_start(records: Sequence[tuple[int, int]], day: int) -> int:
    """Return the frame count at which a timeline starts: that of the event after the longest pause in 24 hours.

    ``records``: (start, end) frame counts of the events, in any order. ``day``: the number of frames in 24 hours, after
    which the counts start again from 0.
    """
    ordered = sorted(records)
    ends = list(accumulate((end for _, end in ordered), max))
    pauses = [ordered[0][0] + day - ends[-1], *(one[0] - end for one, end in zip(ordered[1:], ends, strict=False))]
    return ordered[pauses.index(max(pauses))][0]


AUTO, OFF = "auto", "off"  # Values of ``--cuts``: detect cuts; no cuts


def with_cuts(clip: Clip, cuts: str) -> Clip:
    """Return the clip with shots from ``cuts``: ``auto`` (detected), ``off`` (one), or a file. Raises UsageError."""
    if cuts == AUTO:
        return clip
    starts = {0} if cuts == OFF else {0, *_listed_starts(clip, Path(cuts))}
    return replace(clip, survey=replace(clip.survey, shots=tuple(sorted(starts))))


def cuts_for_key(cuts: str) -> str:
    """Return ``cuts`` for cache keys: the digest of a file instead of its path. Raises UsageError."""
    return cuts if cuts in (AUTO, OFF) else digest_file(_checked_file(Path(cuts)))


def _checked_file(path: Path) -> Path:
    """Return the path of a file of ``--cuts``, as stored on disk. Raises UsageError if it is no file."""
    path = path_as_stored(path)
    check_regular_file(path, UsageError)
    if not os.path.isfile(path):  # False, without an error, even for names that are invalid on this system
        is_folder = os.path.isdir(path)
        why = "it is a folder" if is_folder else "there is no such file, and it is not auto or off"
        raise UsageError(f"--cuts {path}", why, "list the first frame (or time) of each shot in a file, one a line")
    return path


def _timeline_starts(clip: Clip, path: Path) -> list[int]:
    """Return the first frames of the edits in a timeline from which the clip was edited. Raises UsageError."""
    if path.suffix.lower() == EDL:
        text = read_edl(read_timeline_bytes(path))[0]
        return edit_starts(path, text.splitlines(), clip.index.rate)
    cuts, rate = timeline_cuts(path)
    if round(rate) == round(clip.index.rate):  # 23.976 and 24 have equal frame counts
        return [round(cut * rate) for cut in cuts]
    tolerance_s = 1 / (4 * clip.index.rate)  # Times in timelines are rounded
    return [clip.frame_at(Time(seconds=max(Fraction(0), cut - tolerance_s))) for cut in cuts]


def _listed_starts(clip: Clip, path: Path) -> list[int]:
    """Return the first frames of shots that a file lists, as a number or a time on each line; a # starts a comment.

    The file may also be a CSV of PySceneDetect, an EDL or another timeline.
    """
    where, lines = f"--cuts {path}", list[str]()
    starts = _timeline_starts(clip, _checked_file(path)) if is_timeline(path) else None
    if starts is None:
        text = read_text(_checked_file(path), what=where, remedy="list one frame or time a line")
        lines, starts = text.split("\n"), scene_starts(text, where)
    if starts is not None:
        if late := [start for start in starts if start >= clip.index.num_frames]:
            raise UsageError(where, f"frame {late[0]} is after the end of {clip.name}", "give the cuts of this clip")
        return starts
    starts = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"--cuts {path}, line {number}"
        try:
            time = parse_time(text.replace(",", "."))
            if time.seconds is not None:  # A frame's time, as printed by ``probe``, may have been rounded up
                time = Time(seconds=max(Fraction(0), time.seconds - Fraction(1, 2000)))
            frame = clip.frame_at(time)
        except UsageError:
            why = f"'{text}' is neither a frame nor a time"
            raise UsageError(where, why, "use a frame number from 0, 12.5s or HH:MM:SS.mmm") from None
        if frame >= clip.index.num_frames:
            raise UsageError(where, f"'{text}' is after the end of {clip.name}", "list frames or times within the clip")
        starts.append(frame)
    return starts
