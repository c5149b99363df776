"""The first frames of shots: detected, none, or listed in a file by the user."""

from __future__ import annotations

import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from vidtrans.clips.cut_tables import EDL, edit_starts, scene_starts
from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import UsageError
from vidtrans.core.files import check_regular_file, digest_file
from vidtrans.core.settings import Time, parse_time
from vidtrans.core.system import as_found
from vidtrans.core.text_files import read_text
from vidtrans.timelines.edl_timeline import read_edl
from vidtrans.timelines.opening import is_timeline, read_timeline_bytes, timeline_cuts

AUTO, OFF = "auto", "off"


def with_cuts(clip: Clip, cuts: str) -> Clip:
    """Return the clip with shots by ``cuts``: ``auto`` (detected), ``off``, or a file. Raises UsageError."""
    if cuts == AUTO:
        return clip
    starts = {0} if cuts == OFF else {0, *_listed(clip, Path(cuts))}
    return replace(clip, survey=replace(clip.survey, shots=tuple(sorted(starts))))


def cuts_for_key(cuts: str) -> str:
    """Return ``cuts`` for cache keys: a file's digest instead of its path, else unchanged. Raises UsageError."""
    return cuts if cuts in (AUTO, OFF) else digest_file(_file(Path(cuts)))


def _file(path: Path) -> Path:
    path = as_found(path)
    check_regular_file(path, UsageError)
    if not os.path.isfile(path):  # also of a name that no system has: no error
        is_folder = os.path.isdir(path)
        why = "it is a folder" if is_folder else "there is no such file, and it is not auto or off"
        raise UsageError(f"--cuts {path}", why, "list the first frame (or time) of each shot in a file, one a line")
    return path


def _timeline_starts(clip: Clip, path: Path) -> list[int]:
    """Return the first frames of the edits of a timeline that made the clip. Raises UsageError."""
    if path.suffix.lower() == EDL:
        text = read_edl(read_timeline_bytes(path))[0]
        return edit_starts(path, text.splitlines(), clip.index.rate)
    cuts, rate = timeline_cuts(path)
    if round(rate) == round(clip.index.rate):  # 23.976 and 24 count alike
        return [round(cut * rate) for cut in cuts]
    early = 1 / (4 * clip.index.rate)  # as times are rounded
    return [clip.frame_at(Time(seconds=max(Fraction(0), cut - early))) for cut in cuts]


def _listed(clip: Clip, path: Path) -> list[int]:
    """Return the frame numbers in a file, with a number or a time on each line; a # starts a comment.

    The file may also be a CSV of PySceneDetect, an EDL or another timeline.
    """
    where, lines = f"--cuts {path}", list[str]()
    starts = _timeline_starts(clip, _file(path)) if is_timeline(path) else None
    if starts is None:
        text = read_text(_file(path), what=where, remedy="list one frame or time a line")
        lines, starts = text.split("\n"), scene_starts(text, where)
    if starts is not None:
        if late := [start for start in starts if start >= clip.index.num_frames]:
            raise UsageError(where, f"frame {late[0]} is after the end of {clip.name}", "give the cuts of this clip")
        return starts
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        where = f"--cuts {path}, line {number}"
        try:
            time = parse_time(text.replace(",", "."))
            if time.seconds is not None:  # where a frame's time is listed (by ``probe``), it may have been rounded up
                time = Time(seconds=max(Fraction(0), time.seconds - Fraction(1, 2000)))
            frame = clip.frame_at(time)
        except UsageError:
            why = f"'{text}' is neither a frame nor a time"
            raise UsageError(where, why, "use a frame number from 0, 12.5s or HH:MM:SS.mmm") from None
        if frame >= clip.index.num_frames:
            raise UsageError(where, f"'{text}' is after the end of {clip.name}", "list frames or times within the clip")
        found.append(frame)
    return found
