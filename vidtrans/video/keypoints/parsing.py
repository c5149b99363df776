"""Read keypoints: JSON of OpenPose or MediaPipe, a file for each frame or for all, and tables (CSV)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.errors import MediaError, first_line
from vidtrans.core.files import parse_json, read_small_file
from vidtrans.core.text_files import decode_text, parse_number, read_rows
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.frame_numbers import RUN, signed_names, value_of
from vidtrans.video.keypoints.layouts import NECK, PARTS, POINTS, SHOULDERS, layout, smallest_layout

FILE_SUFFIXES = (".json", ".jsonl", ".csv")
FRAME_FILE = "_keypoints.json"  # ending of OpenPose's files, one a frame
NORMALISED = 2.0  # coordinates up to this are shares of the picture: a little may lie outside of it
MAX_FRAMES, MAX_POINTS = 1_000_000, 500  # of a table
Row = tuple[float, float, float]  # x, y, score
REMEDY = "give JSON of OpenPose or MediaPipe, or a CSV with the columns frame, person, point, x, y, score"
_PARTS = {  # keys in lower case, without underscores
    **dict.fromkeys(("posekeypoints2d", "poselandmarks", "landmarks", "landmark", "pose", "keypoints", "body"), "pose"),
    **dict.fromkeys(("handleftkeypoints2d", "lefthandlandmarks", "lefthand"), "left_hand"),
    **dict.fromkeys(("handrightkeypoints2d", "righthandlandmarks", "righthand"), "right_hand"),
    **dict.fromkeys(("facekeypoints2d", "facelandmarks", "face"), "face"),
}
_FRAME_KEYS = ("frame", "frame_index", "frame_number", "frame_id")
_SIZE_KEYS = (("width", "height"), ("canvas_width", "canvas_height"), ("image_width", "image_height"))
_COLUMNS = {
    "frame": ("frame", "frame_index", "frame_number", "frame_id"),
    "person": ("person", "person_id", "pose_id", "id", "track"),
    "part": ("part", "type"),
    "point": ("point", "landmark", "keypoint", "joint", "index"),
    "x": ("x",),
    "y": ("y",),
    "score": ("score", "visibility", "confidence", "c"),
}


@dataclass
class Keypoints:
    """The people of each frame, by the frame's number; a person is (POINTS, 3) float64: x, y, score, NaN if missing.

    ``size``: the (width, height) of the picture, where the file says it. ``is_normalised``: coordinates are its shares.
    """

    frames: dict[int, list[np.ndarray]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    is_normalised: bool = False


def is_keypoints(path: Path) -> bool:
    """Return whether a path is a file of keypoints by its ending, or a folder of OpenPose's files."""
    if path.is_dir():
        return any(name.name.endswith(FRAME_FILE) for name in path.iterdir())
    return path.suffix.lower() in FILE_SUFFIXES


def keypoint_files(path: Path) -> list[Path]:
    """Return the files of a source: itself, or those of a folder, by the numbers in their names."""
    if not path.is_dir():
        return [path]
    return [file for _, file in _numbered(path)]


def read_keypoints(path: Path) -> Keypoints:
    """Read the keypoints of a file or folder. Raises MediaError where it is damaged or holds none."""
    found = Keypoints()
    for number, file in _numbered(path) if path.is_dir() else [(None, path)]:
        try:
            _read_file(file, found, number)
        except (OSError, ValueError, OverflowError) as error:
            raise MediaError(str(file), f"no keypoints can be read from it: {first_line(error)}", REMEDY) from None
    people = [person for frame in found.frames.values() for person in frame]
    if not people:
        raise MediaError(str(path), "nobody is in it", REMEDY)
    found.is_normalised = bool(np.nanmax(np.abs(np.stack(people)[..., :2])) <= NORMALISED)
    return found


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return the files of a folder in the order of the last numbers in their names, with these; without, in order."""
    files = sorted(p for p in folder.iterdir() if p.name.endswith(FRAME_FILE) and not p.name.startswith("."))
    found = [RUN.findall(name) for name in signed_names(p.name.removesuffix(FRAME_FILE) for p in files)]
    numbers = [value_of(runs[-1]) if runs else position for position, runs in enumerate(found)]
    return sorted(zip(numbers, files, strict=True))


def _read_file(file: Path, found: Keypoints, number: int | None) -> None:
    """Add the frames of a file; ``number``: that of its one frame. Raises OSError, ValueError."""
    text = decode_text(read_small_file(file))
    if file.suffix.lower() == ".csv":
        _read_table(text, found)
        return
    if file.suffix.lower() == ".jsonl":
        whole: Any = [parse_json(line) for line in text.split("\n") if line.strip()]
    else:
        whole = parse_json(text)
    if isinstance(whole, dict):
        _find_size(whole, found)
    rows = whole.get("frames", [whole]) if isinstance(whole, dict) else whole
    if not isinstance(rows, list):
        raise ValueError("its frames are no list")
    for position, row in enumerate(rows):
        if row is not None and not isinstance(row, dict):
            raise ValueError(f"frame {position} is no object")
        row = row or {}
        _find_size(row, found)
        named = next((row[key] for key in _FRAME_KEYS if isinstance(row.get(key), int)), position)
        named = named if number is None else number
        if abs(named) >= 1 << 53:
            raise ValueError(f"frame {position} has the number {named}")
        found.frames[named] = _people(row)


def _find_size(table: dict[str, Any], found: Keypoints) -> None:
    for keys in _SIZE_KEYS:
        width, height = (table.get(key) for key in keys)
        if isinstance(width, int) and isinstance(height, int):
            found.size = found.size or check_size(width, height)


def check_size(width: int, height: int) -> tuple[int, int]:
    """Return the size of a picture. Raises ValueError where it has no pixels, or too many."""
    if not (width > 0 < height and width * height <= MAX_PIXELS):
        raise ValueError(f"{width}x{height} is no size of a picture")
    return width, height


def _people(row: dict[str, Any]) -> list[np.ndarray]:
    """Return the people of a frame. Raises ValueError."""
    people = row.get("people", row.get("persons", row.get("instances")))
    if people is None:
        lists = {part: _lists(value) for key, value in row.items() if (part := _part(key)) and value}
        count = max(map(len, lists.values()), default=0)
        people = [{part: own[n] for part, own in lists.items() if n < len(own)} for n in range(count)]
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise ValueError("its people are no list of objects")
    found = []
    for person in people:
        points = np.full((POINTS, 3), np.nan)
        for key, value in person.items():
            if (part := _part(key)) and value:
                rows = _rows(value, person.get("keypoint_scores"))
                _place(points, part, rows)
        found.append(_completed(points))
    return [person for person in found if not np.isnan(person[:, 0]).all()]


def _part(key: str) -> str:
    return _PARTS.get(key.replace("_", "").lower(), "")


def _lists(value: Any) -> list[Any]:  # noqa: ANN401  (JSON)
    """Return a list of points for each person: MediaPipe gives that, or one person's points."""
    value = value.get("landmark", value.get("landmarks")) if isinstance(value, dict) else value
    if not isinstance(value, list):
        raise ValueError("its landmarks are no list")
    first = value[0] if value else None
    is_nested = isinstance(first, list) and first and isinstance(first[0], dict | list)
    return value if is_nested or (isinstance(first, dict) and "landmark" in first) else [value]


def _rows(value: Any, scores: Any) -> np.ndarray:  # noqa: ANN401  (JSON)
    """Return points as (N, 3) float64: x, y, score. Raises ValueError."""
    value = value.get("landmark", value.get("landmarks")) if isinstance(value, dict) else value
    if not isinstance(value, list):
        raise ValueError("its points are no list")
    if value and not isinstance(value[0], dict | list):  # OpenPose: x, y and score of one after the other
        if len(value) % 3:
            raise ValueError(f"{len(value)} numbers, which are no triples of x, y and score")
        value = [value[at : at + 3] for at in range(0, len(value), 3)]
    scores = scores if isinstance(scores, list) and len(scores) == len(value) else [None] * len(value)
    return np.array([_row(point, score) for point, score in zip(value, scores, strict=True)]).reshape(-1, 3)


def _row(point: Any, score: Any) -> Row:  # noqa: ANN401  (JSON)
    if isinstance(point, dict):
        own = next((point[key] for key in ("visibility", "score", "confidence") if key in point), score)
        return _number(point.get("x")), _number(point.get("y")), 1.0 if own is None else _number(own)
    if not isinstance(point, list) or len(point) < 2:
        raise ValueError("a point has no x and y")
    third = point[2] if len(point) > 2 and score is None else score
    return _number(point[0]), _number(point[1]), 1.0 if third is None else _number(third)


def _number(value: Any) -> float:  # noqa: ANN401  (JSON, or the text of a table)
    """Return a number; NaN for none and for what is infinite. Raises ValueError."""
    if value is None or value == "":
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"'{str(value)[:20]}' is no number")
    number = parse_number(value) if isinstance(value, str) else float(value)
    return number if abs(number) < 1e6 else math.nan


def _place(points: np.ndarray, part: str, rows: np.ndarray) -> None:
    """Write the points of a part, (N, 3) float64, to their places. Raises ValueError for unknown numbers of points."""
    places = layout(part, len(rows))
    known = places >= 0
    points[known] = rows[places[known]]


def _completed(points: np.ndarray) -> np.ndarray:
    """Return a person without points that were not found, and with a neck between the shoulders, if it has none."""
    lost = np.isnan(points).any(axis=1) | (points[:, 2] <= 0)
    points[lost] = np.nan
    if lost[NECK] and not lost[list(SHOULDERS)].any():
        points[NECK] = points[list(SHOULDERS)].mean(axis=0)
        points[NECK, 2] = points[list(SHOULDERS), 2].min()
    return points


def _read_table(text: str, found: Keypoints) -> None:
    """Add the frames of a table; those without rows, between the first and the last, have nobody. Raises ValueError."""
    people: dict[tuple[int, str], dict[str, dict[int, Row]]] = {}
    most = dict.fromkeys(PARTS, 0)
    for cell in _cells(text):
        part = _part(cell.get("part") or "pose")
        frame, point = (int(parse_number(cell[name])) for name in ("frame", "point"))
        if not part or not 0 <= point < MAX_POINTS or abs(frame) >= MAX_FRAMES:
            raise ValueError(f"frame {frame}, point {point}: its part, point or frame is out of range")
        row = _number(cell["x"]), _number(cell["y"]), 1.0 if "score" not in cell else _number(cell["score"])
        people.setdefault((frame, cell.get("person", "")), {}).setdefault(part, {})[point] = row
        most[part] = max(most[part], point + 1)
    numbers = [frame for frame, _ in people]
    found.frames = {n: [] for n in range(min(numbers), max(numbers) + 1)} if numbers else {}
    for (frame, _), parts in people.items():
        person = np.full((POINTS, 3), np.nan)
        for part, own in parts.items():
            listed = np.full((smallest_layout(part, most[part]), 3), np.nan)
            listed[list(own)] = list(own.values())
            _place(person, part, listed)
        person = _completed(person)
        if not np.isnan(person[:, 0]).all():
            found.frames[frame].append(person)


def _cells(text: str) -> Iterator[dict[str, str]]:
    """Yield the cells of each row by the names of ``_COLUMNS``; columns that are absent are left out.

    A table of five or six numbers a row needs no head. Raises ValueError.
    """
    rows = (row.cells for row in read_rows(text))
    first = [cell.lower() for cell in next(rows, [])]
    places = {name: next((first.index(a) for a in own if a in first), None) for name, own in _COLUMNS.items()}
    lines: Iterable[Sequence[str]] = rows
    if len(first) in (5, 6) and all(_is_number(cell) for cell in first):
        places = dict(zip(("frame", "person", "point", "x", "y", "score"), range(len(first)), strict=False))
        lines = [first, *rows]
    if missing := [name for name in ("frame", "point", "x", "y") if places.get(name) is None]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    known = {name: at for name, at in places.items() if at is not None}
    yield from ({name: line[at] if at < len(line) else "" for name, at in known.items()} for line in lines)


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except ValueError:
        return False
    return True
