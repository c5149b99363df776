"""Actions: what happens in a clip, by name, at which of its kept frames; of a table of the user's, or found.

Found without labels: the frames are grouped by how they go on, by the shift, the change of size and the turn of the
whole picture, and by how much else moves (k-means, with centres that are taken as far from each other as they can be).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.core.system import name_key
from vidtrans.core.text_files import TableRow, parse_number, read_rows, read_text
from vidtrans.data.clip_memory import ClipMemory
from vidtrans.dreaming.steering import GOTO, MOVES
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.video.frame_numbers import stem_key

FLAG = "--actions"
MOST_FOUND, FEWEST_FRAMES = 4, 5  # actions that are found, and frames of one
SIDE = 96  # pixels of the short side at which motion is estimated
SMOOTHING = 2.0  # frames, σ
ROUNDS = 20
TRUE, FALSE = ("1", "x", "yes", "true", "on"), ("", "0", "no", "false", "off")


def known_actions(
    memory: ClipMemory, kept: Table, table: str, wanted: Collection[int | str]
) -> dict[str, frozenset[int]]:
    """Return the actions of a table, whose name may be empty; and those that are found, if others are wanted.

    ``kept``: a model's record of its kept frames. Raises UsageError.
    """
    own: dict[str, frozenset[int]] = {}
    if table:
        clips = [ClipOf(clip["name"], Fraction(clip["rate"])) for clip in kept.get("clips", ())]
        own = actions_of_table(Path(table), clips, [Origin(*frame) for frame in kept.get("frames", ())])
    named = {goal for goal in wanted if isinstance(goal, str)}
    return own if named <= own.keys() else found_actions(memory) | own


class Origin(NamedTuple):
    """Where a kept frame comes from: the number of its clip, and its own number there."""

    clip: int
    frame: int


class ClipOf(NamedTuple):
    """A clip that a model learned: its file's name, and its frame rate."""

    name: str
    rate: Fraction


def actions_of_table(path: Path, clips: Sequence[ClipOf], origins: Sequence[Origin]) -> dict[str, frozenset[int]]:
    """Return the kept frames of each action of a CSV file, whose rows hold from their moment to the next row's.

    A column ``frame`` holds numbers, or ``time`` seconds. A column of marks (1 or x, 0 or nothing) is an action of its
    name; in any other column each text is one. A column ``clip`` names the clip of each row. Raises UsageError.
    """
    what = f"{FLAG} {path}"
    rows = _rows(path, what)
    if not clips:
        raise UsageError(what, "the model has no record of where its frames come from", "train it again")
    names = [clip.name for clip in clips]
    known = {spelt for name in names for spelt in _spellings(name)}
    if unknown := [row["clip"] for row in rows if row.get("clip") and row["clip"] not in known]:
        raise UsageError(what, f"the model learned no clip '{unknown[0]}'", f"choose from: {', '.join(names)}")
    found: dict[str, set[int]] = {}
    for clip, (name, rate) in enumerate(zip(names, (clip.rate for clip in clips), strict=True)):
        own = [row for row in rows if not row.get("clip") or row["clip"] in _spellings(name)]
        frames = [_frame(row, rate, what) for row in own]
        if frames != sorted(frames):
            raise UsageError(what, "its moments are not in order", "sort its rows")
        for number, (row, first) in enumerate(zip(own, frames, strict=True), start=1):
            stop = frames[number] if number < len(frames) else float("inf")
            places = {at for at, origin in enumerate(origins) if origin.clip == clip and first <= origin.frame < stop}
            for action in _names(row, what):
                found.setdefault(action, set()).update(places)
    found = {action: places for action, places in found.items() if places}
    if not found:
        why = "it names nothing at any frame that the model keeps"
        raise UsageError(what, why, "give the table of the model's clip")
    return {action: frozenset(places) for action, places in found.items()}


def _rows(path: Path, what: str) -> list[dict[str, str]]:
    try:
        head, *lines = [*read_rows(name_key(read_text(path, what=what)))] or [TableRow(0, [])]
    except ValueError as error:
        raise UsageError(what, f"it cannot be read as a table ({error})", "save it as CSV") from None
    names = [name.lower() for name in head.cells]
    rows = [dict(zip_longest(names, line.cells[: len(names)], fillvalue="")) for line in lines]
    if not rows or not {"frame", "time"} & rows[0].keys():
        raise UsageError(what, "it has no column 'frame' or 'time', or no rows", "name one so in its first line")
    return rows


def _spellings(name: str) -> tuple[str, str]:
    """Return the names by which a table may call a clip: with its suffix, and without."""
    return name_key(name), stem_key(name)


def _frame(row: Mapping[str, str], rate: Fraction, what: str) -> float:
    text = row.get("frame") or row.get("time") or ""
    try:
        value = parse_number(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise UsageError(what, f"'{text}' is no moment", "write frame numbers, or seconds in a column 'time'")
    return value if row.get("frame") else float(Fraction(value) * rate)


def _names(row: Mapping[str, str], what: str) -> list[str]:
    """Return the actions of a row."""
    names = []
    for column, value in row.items():
        if column in ("frame", "time", "clip") or value.lower() in FALSE:
            continue
        name = re.sub(r"[^\w-]+", "-", (column if value.lower() in TRUE else value).lower()).strip("-_")
        if not re.fullmatch(r"[a-z][\w-]*", name, re.ASCII) or name in (*MOVES, GOTO):
            why = f"'{value}' is a command already" if name in (*MOVES, GOTO) else f"'{value}' cannot be a name"
            raise UsageError(what, why, "use another word, of letters")
        names.append(name)
    return names


def found_actions(memory: ClipMemory) -> dict[str, frozenset[int]]:
    """Return the places of each action that is found in a clip: ``a1``, ``a2``, …, the most frequent first."""
    places = memory.places
    if len(places) < 2 * FEWEST_FRAMES:
        return {}
    motion = _motion(memory)
    spread = np.maximum(motion.std(0), 1e-4)
    groups = _grouped(motion / spread)
    sets = sorted((frozenset(places[groups == n].tolist()) for n in range(groups.max() + 1)), key=lambda s: -len(s))
    sets = [one for one in sets if len(one) >= FEWEST_FRAMES]
    return {f"a{n}": one for n, one in enumerate(sets, start=1)} if len(sets) > 1 else {}


def _motion(memory: ClipMemory) -> np.ndarray:
    """Return how the picture goes on at each place, (n, 5): shifts, size, turn, and what moves otherwise; smoothed."""
    height, width = memory.pictures.shape[1:3]
    scale = min(1.0, SIDE / min(height, width))
    size = max(16, round(width * scale)), max(16, round(height * scale))
    estimator = FlowEstimator("dis")
    smaller = (cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in memory.pictures)
    frames = [estimator.prepare(picture) for picture in smaller]
    rows = [_of_flow(estimator.estimate(frames[at], frames[at + memory.step]), size) for at in memory.places]
    smooth: np.ndarray = cv2.GaussianBlur(np.array(rows, np.float32), (1, 0), sigmaX=1e-3, sigmaY=SMOOTHING)
    return smooth


def _of_flow(flow: np.ndarray, size: tuple[int, int]) -> list[float]:
    x, y = np.meshgrid(np.arange(size[0]) - size[0] / 2, np.arange(size[1]) - size[1] / 2)
    shift = np.median(flow.reshape(-1, 2), axis=0)
    rest = flow - shift
    reach = np.maximum(x**2 + y**2, 1)
    grows = float(np.median((rest[..., 0] * x + rest[..., 1] * y) / reach))
    turns = float(np.median((rest[..., 1] * x - rest[..., 0] * y) / reach))
    other = float(np.hypot(rest[..., 0] - grows * x + turns * y, rest[..., 1] - grows * y - turns * x).mean())
    return [*(float(s) / size[0] for s in shift), grows, turns, other / size[0]]


def _grouped(points: np.ndarray) -> np.ndarray:
    """Return the group of each point (n, d), by k-means from centres that lie far apart."""
    centres = [points[np.square(points - np.median(points, axis=0)).sum(1).argmin()]]
    while len(centres) < MOST_FOUND:
        distances = np.min([np.square(points - centre).sum(1) for centre in centres], axis=0)
        centres.append(points[distances.argmax()])
    means = np.array(centres)
    for _ in range(ROUNDS):
        groups = np.square(points[:, None] - means[None]).sum(2).argmin(1)
        means = np.array([points[groups == n].mean(0) if (groups == n).any() else means[n] for n in range(len(means))])
    found: np.ndarray = groups
    return found
