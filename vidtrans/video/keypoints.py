"""Read keypoints of people, track them over time, and draw them as the pictures of a clip.

They are read from JSON of OpenPose or MediaPipe, one file per frame or one for all frames, and from tables (CSV). The
points of all detectors are mapped to one list, so that a model trained on the poses of one accepts those of another: 24
points of the body (OpenPose's COCO-18 and six of the feet), 21 of the left and of the right hand, 68 of the face.
People are tracked from frame to frame, gaps are filled, jitter is smoothed, and bodies are fitted to another
performer's.

They are drawn with a colour for each limb and finger, and the face in white lines, on black. When these pictures
change, raise ``pairing.pose.Pose.version``. ``PoseFrames`` has the interface of ``pictures.PictureFiles``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vidtrans.core.errors import MediaError, first_line
from vidtrans.core.files import parse_json, read_small_file
from vidtrans.core.text_files import decode_text, parse_number, read_rows
from vidtrans.video.frame_format import MAX_PIXELS
from vidtrans.video.frame_numbers import NUMBER_IN_NAME, signed_names, value_of
from vidtrans.video.images.still import Still

NUM_BODY, NUM_HAND, NUM_FACE = 24, 21, 68  # Numbers of points of a body, a hand and a face
LEFT_HAND, RIGHT_HAND, FACE = NUM_BODY, NUM_BODY + NUM_HAND, NUM_BODY + 2 * NUM_HAND  # Index of the first point of each
NUM_POINTS = FACE + NUM_FACE  # Number of points of a person
NOSE, NECK, SHOULDERS, ANKLES = 0, 1, (2, 5), (10, 13)  # Indices of points; pairs: right, left
# Index in a COCO-17 list of each of the 18 points of a body without feet; −1 if missing.
_COCO_17_INDICES = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_NO_FEET = (-1,) * 6  # Index −1 for each of the six points of the feet: they are missing
# Index in a detector's list of each of the 24 points of a body, −1 if missing, by the number of points in the list.
_BODY_LAYOUTS: dict[int, tuple[int, ...]] = {
    17: _COCO_17_INDICES + _NO_FEET,  # COCO: YOLO, MMPose, Detectron2
    18: (*range(18), *_NO_FEET),  # OpenPose COCO
    23: (*_COCO_17_INDICES, *range(17, 23)),
    25: (*range(8), *range(9, 25)),  # OpenPose BODY_25; point 8, between the hips, is not used
    33: (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7, 31, -1, 29, 32, -1, 30),  # MediaPipe
}
# The order is jaw, brows, nose, eyes, lips, each from right to left of the person.
# Indices in MediaPipe's face mesh of the 68 points of the iBUG layout.
_FACE_MESH_INDICES = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
_NUM_WHOLE_BODY = 133  # Points of COCO-WholeBody: 23 of body and feet, 68 of the face, both hands
# Index in a detector's list of each of the 68 points of a face, by the number of points in the list.
_FACE_LAYOUTS = {68: tuple(range(68)), 70: tuple(range(68)), 468: _FACE_MESH_INDICES, 478: _FACE_MESH_INDICES}
# Parts of a body by name: index of the first point, and number of points.
PARTS = {
    "pose": (0, NUM_BODY),
    "left_hand": (LEFT_HAND, NUM_HAND),
    "right_hand": (RIGHT_HAND, NUM_HAND),
    "face": (FACE, NUM_FACE),
}
FILE_SUFFIXES = (".json", ".jsonl", ".csv")  # Suffixes of files of keypoints
FRAME_FILE_ENDING = "_keypoints.json"  # Ending of OpenPose's files, one per frame
MAX_NORMALISED = 2.0  # Up to this coordinate a clip's points are shares of the picture's size; some lie outside
MAX_FRAMES, MAX_POINTS = 1_000_000, 500  # Most frames of a table, and most points of a part
Row = tuple[float, float, float]  # x, y and score of a point
# The remedy in messages on unreadable keypoints.
REMEDY = "give JSON of OpenPose or MediaPipe, or a CSV with the columns frame, person, point, x, y, score"
# Parts, as in ``PARTS``, by JSON key in lower case without underscores.
_PART_BY_KEY = {
    **dict.fromkeys(("posekeypoints2d", "poselandmarks", "landmarks", "landmark", "pose", "keypoints", "body"), "pose"),
    **dict.fromkeys(("handleftkeypoints2d", "lefthandlandmarks", "lefthand"), "left_hand"),
    **dict.fromkeys(("handrightkeypoints2d", "righthandlandmarks", "righthand"), "right_hand"),
    **dict.fromkeys(("facekeypoints2d", "facelandmarks", "face"), "face"),
}
_FRAME_KEYS = ("frame", "frame_index", "frame_number", "frame_id")  # JSON keys of a frame's number
# JSON keys of a picture's width and height in pixels.
_SIZE_KEYS = (("width", "height"), ("canvas_width", "canvas_height"), ("image_width", "image_height"))
# Accepted headings of the columns of a CSV table, by the column's name in this module.
_COLUMNS = {
    "frame": ("frame", "frame_index", "frame_number", "frame_id"),
    "person": ("person", "person_id", "pose_id", "id", "track"),
    "part": ("part", "type"),
    "point": ("point", "landmark", "keypoint", "joint", "index"),
    "x": ("x",),
    "y": ("y",),
    "score": ("score", "visibility", "confidence", "c"),
}
MAX_TRACK_STEP = 0.6  # Largest step of a person between frames, in body heights; a person further away is another one
MIN_STAGE_DEPTH = 0.08  # Least depth of the stage (range of the ankles' y) in body heights; less is steps on the spot
MAX_EXTRAPOLATION = 0.25  # Distance behind and in front of the stage, as a share of its depth, where scales change
STAGE_END_SHARE = 0.1  # Share of the stage's depth, at its back and front, in which the performer's height is measured
MAX_PEOPLE = 32  # Most tracks of people in a clip
# Limbs as pairs of indices of points: OpenPose's COCO body, then the feet.
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (10, 21), (21, 22), (10, 23), (13, 18), (18, 19), (13, 20)),
)
# Fingers as pairs of indices of points of a hand.
FINGERS = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)
# Lines of the face: indices of the first and last point, and whether the line is closed.
FACE_LINES = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)
LIMB_WIDTH, HAND_WIDTH, FACE_WIDTH = 1 / 70, 1 / 240, 1 / 300  # Line widths as shares of the picture's short side
SUBPIXEL_BITS = 4  # Fractional bits of OpenCV's drawing coordinates
MAX_DRAWN_DISTANCE = 4.0  # Largest distance of a drawn point from the centre, in units of the picture's long side
POSE_GUIDE = "keypoints"  # Name of the guide of the pairing ``pose``; a # and the text of a ``PoseView`` follow
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")  # Matches WIDTHxHEIGHT in pixels: 1280x720
_DEFAULT_SIDE_PX = 512  # Side of drawn pictures if the keypoints are normalised and no size is known


def detector_indices(part: str, count: int) -> np.ndarray:
    """Return the index of each of the ``NUM_POINTS`` points in a detector's list of a part, (NUM_POINTS,) int.

    −1 where the list lacks the point. ``part``: a key of ``PARTS``; ``count``: the number of points in the list. Raises
    ValueError for an unknown number.
    """
    indices = np.full(NUM_POINTS, -1)
    if part == "pose" and count == _NUM_WHOLE_BODY:
        indices[:NUM_BODY] = _BODY_LAYOUTS[23]
        indices[FACE:] = range(23, 91)
        indices[LEFT_HAND:RIGHT_HAND] = range(91, 112)
        indices[RIGHT_HAND:FACE] = range(112, 133)
        return indices
    known = {"pose": _BODY_LAYOUTS, "face": _FACE_LAYOUTS}.get(part, {NUM_HAND: tuple(range(NUM_HAND))})
    if count not in known:
        listed = ", ".join(map(str, known)) + (f" or {_NUM_WHOLE_BODY}" if part == "pose" else "")
        raise ValueError(f"{count} points of '{part}', where {listed} are known")
    first, length = PARTS[part]
    indices[first : first + length] = known[count]
    return indices


def smallest_num_points(part: str, at_least: int) -> int:
    """Return the number of points of a detector's smallest known list of a part with ``at_least`` points or more.

    If no list is large enough, return ``at_least``.
    """
    known = {"pose": (17, 18, 25, 33, _NUM_WHOLE_BODY), "face": tuple(_FACE_LAYOUTS)}.get(part, (NUM_HAND,))
    return next((count for count in known if count >= at_least), at_least)


@dataclass
class Keypoints:
    """The people of each frame, by frame number; a person is (NUM_POINTS, 3) float64: x, y, score, NaN if missing.

    ``size``: the (width, height) of the picture, if the file states it. ``is_normalised``: coordinates are shares of
    that size.
    """

    frames: dict[int, list[np.ndarray]] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    is_normalised: bool = False


def is_keypoints(path: Path) -> bool:
    """Return whether a path is a file of keypoints, by its suffix, or a folder of OpenPose's files."""
    if path.is_dir():
        return any(name.name.endswith(FRAME_FILE_ENDING) for name in path.iterdir())
    return path.suffix.lower() in FILE_SUFFIXES


def keypoint_files(path: Path) -> list[Path]:
    """Return the files of a source of keypoints: the file itself, or those of a folder, ordered by their numbers."""
    if not path.is_dir():
        return [path]
    return [file for _, file in _numbered_files(path)]


def read_keypoints(path: Path) -> Keypoints:
    """Read the keypoints of a file or folder. Raises MediaError if it is damaged or has none."""
    found = Keypoints()
    for number, file in _numbered_files(path) if path.is_dir() else [(None, path)]:
        try:
            _read_file(file, found, number)
        except (OSError, ValueError, OverflowError) as error:
            raise MediaError(str(file), f"no keypoints can be read from it: {first_line(error)}", REMEDY) from None
    people = [person for frame in found.frames.values() for person in frame]
    if not people:
        raise MediaError(str(path), "nobody is in it", REMEDY)
    found.is_normalised = bool(np.nanmax(np.abs(np.stack(people)[..., :2])) <= MAX_NORMALISED)
    return found


def _numbered_files(folder: Path) -> list[tuple[int, Path]]:
    """Return (frame number, file) of OpenPose's files in a folder, in order of the numbers.

    The frame number is the last number in the file name, or else the position of the name.
    """
    files = sorted(p for p in folder.iterdir() if p.name.endswith(FRAME_FILE_ENDING) and not p.name.startswith("."))
    names = signed_names(p.name.removesuffix(FRAME_FILE_ENDING) for p in files)
    matches = [NUMBER_IN_NAME.findall(name) for name in names]
    numbers = [value_of(texts[-1]) if texts else position for position, texts in enumerate(matches)]
    return sorted(zip(numbers, files, strict=True))


def _read_file(file: Path, found: Keypoints, number: int | None) -> None:
    """Add the frames of a file to ``found``. Raises OSError, ValueError.

    ``number``: the frame number of a file with a single frame; None: the file states its frames' numbers.
    """
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
        found.frames[named] = _read_people(row)


def _find_size(table: dict[str, Any], found: Keypoints) -> None:
    """Set the picture's size in ``found`` from a JSON object, unless it is already set. Raises ValueError."""
    for keys in _SIZE_KEYS:
        width, height = (table.get(key) for key in keys)
        if isinstance(width, int) and isinstance(height, int):
            found.size = found.size or check_size(width, height)


def check_size(width: int, height: int) -> tuple[int, int]:
    """Return the (width, height) of a picture. Raises ValueError if it has no pixels, or too many."""
    if not (width > 0 < height and width * height <= MAX_PIXELS):
        raise ValueError(f"{width}x{height} is no size of a picture")
    return width, height


def _read_people(row: dict[str, Any]) -> list[np.ndarray]:
    """Return the people of a frame from its JSON object. Raises ValueError."""
    people = row.get("people", row.get("persons", row.get("instances")))
    if people is None:
        lists = {part: _points_by_person(value) for key, value in row.items() if (part := _part_of_key(key)) and value}
        count = max(map(len, lists.values()), default=0)
        people = [{part: own[n] for part, own in lists.items() if n < len(own)} for n in range(count)]
    if not isinstance(people, list) or not all(isinstance(person, dict) for person in people):
        raise ValueError("its people are no list of objects")
    found = []
    for person in people:
        points = np.full((NUM_POINTS, 3), np.nan)
        for key, value in person.items():
            if (part := _part_of_key(key)) and value:
                rows = _read_points(value, person.get("keypoint_scores"))
                _assign_points(points, part, rows)
        found.append(_complete_person(points))
    return [person for person in found if not np.isnan(person[:, 0]).all()]


def _part_of_key(key: str) -> str:
    """Return the name of the part, as in ``PARTS``, for a JSON key or a cell of a table; '' for an unknown key."""
    return _PART_BY_KEY.get(key.replace("_", "").lower(), "")


def _points_by_person(value: Any) -> list[Any]:  # noqa: ANN401  (JSON)
    """Return a list of points for each person from JSON; MediaPipe writes lists for people, or for one person."""
    value = value.get("landmark", value.get("landmarks")) if isinstance(value, dict) else value
    if not isinstance(value, list):
        raise ValueError("its landmarks are no list")
    first = value[0] if value else None
    is_nested = isinstance(first, list) and first and isinstance(first[0], dict | list)
    return value if is_nested or (isinstance(first, dict) and "landmark" in first) else [value]


def _read_points(value: Any, scores: Any) -> np.ndarray:  # noqa: ANN401  (JSON)
    """Return JSON points as (N, 3) float64: x, y, score. Raises ValueError."""
    value = value.get("landmark", value.get("landmarks")) if isinstance(value, dict) else value
    if not isinstance(value, list):
        raise ValueError("its points are no list")
    if value and not isinstance(value[0], dict | list):  # OpenPose writes x, y and score of all points in one list
        if len(value) % 3:
            raise ValueError(f"{len(value)} numbers, which are no triples of x, y and score")
        value = [value[at : at + 3] for at in range(0, len(value), 3)]
    scores = scores if isinstance(scores, list) and len(scores) == len(value) else [None] * len(value)
    return np.array([_read_point(point, score) for point, score in zip(value, scores, strict=True)]).reshape(-1, 3)


def _read_point(point: Any, score: Any) -> Row:  # noqa: ANN401  (JSON)
    """Return x, y and score of a JSON point; ``score``: the score listed separately, or None. Raises ValueError."""
    if isinstance(point, dict):
        own = next((point[key] for key in ("visibility", "score", "confidence") if key in point), score)
        return _parse_number(point.get("x")), _parse_number(point.get("y")), 1.0 if own is None else _parse_number(own)
    if not isinstance(point, list) or len(point) < 2:
        raise ValueError("a point has no x and y")
    third = point[2] if len(point) > 2 and score is None else score
    return _parse_number(point[0]), _parse_number(point[1]), 1.0 if third is None else _parse_number(third)


def _parse_number(value: Any) -> float:  # noqa: ANN401  (JSON, or the text of a table)
    """Return a value as float; NaN if it is missing, infinite or 1e6 or more. Raises ValueError if it is no number."""
    if value is None or value == "":
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"'{str(value)[:20]}' is no number")
    number = parse_number(value) if isinstance(value, str) else float(value)
    return number if abs(number) < 1e6 else math.nan


def _assign_points(points: np.ndarray, part: str, rows: np.ndarray) -> None:
    """Copy a detector's list of a part, ``rows`` (N, 3), to a person's ``points`` (NUM_POINTS, 3), in place.

    Raises ValueError for an unknown N.
    """
    indices = detector_indices(part, len(rows))
    is_listed = indices >= 0
    points[is_listed] = rows[indices[is_listed]]


def _complete_person(points: np.ndarray) -> np.ndarray:
    """Set a person's undetected points to NaN, and a missing neck to the middle of the shoulders, in place.

    ``points``: (NUM_POINTS, 3).
    """
    is_missing = np.isnan(points).any(axis=1) | (points[:, 2] <= 0)
    points[is_missing] = np.nan
    if is_missing[NECK] and not is_missing[list(SHOULDERS)].any():
        points[NECK] = points[list(SHOULDERS)].mean(axis=0)
        points[NECK, 2] = points[list(SHOULDERS), 2].min()
    return points


def _read_table(text: str, found: Keypoints) -> None:
    """Add the frames of a CSV table to ``found``; frames between them that have no rows have no people.

    Raises ValueError.
    """
    people: dict[tuple[int, str], dict[str, dict[int, Row]]] = {}
    num_points = dict.fromkeys(PARTS, 0)
    for cell in _table_rows(text):
        part = _part_of_key(cell.get("part") or "pose")
        frame, point = (int(parse_number(cell[name])) for name in ("frame", "point"))
        if not part or not 0 <= point < MAX_POINTS or abs(frame) >= MAX_FRAMES:
            raise ValueError(f"frame {frame}, point {point}: its part, point or frame is out of range")
        score = _parse_number(cell["score"]) if "score" in cell else 1.0
        row = _parse_number(cell["x"]), _parse_number(cell["y"]), score
        people.setdefault((frame, cell.get("person", "")), {}).setdefault(part, {})[point] = row
        num_points[part] = max(num_points[part], point + 1)
    numbers = [frame for frame, _ in people]
    found.frames = {n: [] for n in range(min(numbers), max(numbers) + 1)} if numbers else {}
    for (frame, _), parts in people.items():
        person = np.full((NUM_POINTS, 3), np.nan)
        for part, rows in parts.items():
            points = np.full((smallest_num_points(part, num_points[part]), 3), np.nan)
            points[list(rows)] = list(rows.values())
            _assign_points(person, part, points)
        person = _complete_person(person)
        if not np.isnan(person[:, 0]).all():
            found.frames[frame].append(person)


def _table_rows(text: str) -> Iterator[dict[str, str]]:
    """Yield the cells of each row of a CSV table, by the names in ``_COLUMNS``; absent columns are left out.

    A table of five or six numbers per row needs no header. Raises ValueError.
    """
    rows = (row.cells for row in read_rows(text))
    first = [cell.lower() for cell in next(rows, [])]
    columns = {name: next((first.index(a) for a in aliases if a in first), None) for name, aliases in _COLUMNS.items()}
    lines: Iterable[Sequence[str]] = rows
    if len(first) in (5, 6) and all(_is_number(cell) for cell in first):
        columns = dict(zip(("frame", "person", "point", "x", "y", "score"), range(len(first)), strict=False))
        lines = [first, *rows]
    if missing := [name for name in ("frame", "point", "x", "y") if columns.get(name) is None]:
        raise ValueError(f"it has no column {', '.join(missing)}")
    present = {name: column for name, column in columns.items() if column is not None}
    for line in lines:
        yield {name: line[column] if column < len(line) else "" for name, column in present.items()}


def _is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        parse_number(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class BodyPlace:
    """The position and size of a performer in the picture, in pixels, for the pose normalisation of ``fit_bodies``.

    ``x``: the middle of all positions; ``far``, ``near``: the y of the ankles at the back and at the front of the
    stage; ``far_tall``, ``near_tall``: the performer's height there.
    """

    x: float
    far: float
    near: float
    far_tall: float
    near_tall: float

    @classmethod
    def of(cls, person: np.ndarray) -> BodyPlace | None:
        """Measure a person's place by the track, (T, NUM_POINTS, 3); None if no frame shows the height of the body.

        If no frame has ankles, the lowest point of the body replaces them, and the highest one the nose.
        """
        body = person[:, :NUM_BODY]
        is_visible = ~np.isnan(body[..., 0]).all(axis=1)
        body = body[is_visible]
        feet = _lowest_y(body[:, ANKLES, 1])
        heads = body[:, NOSE, 1]
        if np.isnan(feet - heads).all():
            feet, heads = _lowest_y(body[..., 1]), -_lowest_y(-body[..., 1])
        tall = feet - heads
        usable = tall > 1
        if not usable.any():
            return None
        feet, tall, body = feet[usable], tall[usable], body[usable]
        far, near = (float(n) for n in np.percentile(feet, (5, 95)))
        if near - far < MIN_STAGE_DEPTH * float(np.median(tall)):
            far = near
        margin = STAGE_END_SHARE * (near - far) + 0.01 * float(np.median(tall))
        ends = (feet <= far + margin, feet >= near - margin)
        far_tall, near_tall = (float(np.percentile(tall[is_at_end], 90)) for is_at_end in ends)
        x = float(np.median(np.nanmean(body[..., 0], axis=1)))
        return cls(x, far, near, far_tall, near_tall)

    def __str__(self) -> str:
        """Return the values as text, joined by underscores."""
        return "_".join(f"{value:g}" for value in astuple(self))

    def rounded(self) -> BodyPlace:
        """Return the place rounded to tenths of a pixel, as stored in a model file."""
        return BodyPlace(*(round(value, 1) for value in astuple(self)))


def _lowest_y(values: np.ndarray) -> np.ndarray:
    """Return the largest values of the last axis: the lowest positions in a picture; NaN where all are NaN."""
    lowest = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    return np.where(np.isinf(lowest), np.nan, lowest)


def track_people(frames: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return the tracks of people, (people, T, NUM_POINTS, 3), longest first; NaN in frames without the person.

    Each person of a frame, (NUM_POINTS, 3), belongs to the track whose last points are nearest, because detectors list
    people in any order. After ``MAX_PEOPLE`` tracks, further people are left out.
    """
    tracks: list[dict[int, np.ndarray]] = []
    for number, people in enumerate(frames):
        pairs = sorted(
            (_distance(track[max(track)], person), t, p)
            for t, track in enumerate(tracks)
            for p, person in enumerate(people)
        )
        free_tracks, unassigned = set(range(len(tracks))), set(range(len(people)))
        for distance, t, p in pairs:
            if distance <= MAX_TRACK_STEP and t in free_tracks and p in unassigned:
                tracks[t][number] = people[p]
                free_tracks.discard(t)
                unassigned.discard(p)
        tracks += [{number: people[p]} for p in sorted(unassigned)][: MAX_PEOPLE - len(tracks)]
    tracks.sort(key=len, reverse=True)
    shape = next(person.shape for people in frames for person in people)
    result = np.full((len(tracks), len(frames), *shape), np.nan)
    for t, track in enumerate(tracks):
        for number, person in track.items():
            result[t, number] = person
    return result


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean distance of two people, in body heights, over the points that both have.

    ``a``, ``b``: (NUM_POINTS, 3). The distance is infinite if they have no common points.
    """
    is_common = ~np.isnan(a[:, 0]) & ~np.isnan(b[:, 0])
    if not is_common.any():
        return float("inf")
    total_height = float(np.ptp(a[is_common, :2], axis=0).max()) + float(np.ptp(b[is_common, :2], axis=0).max())
    return float(np.hypot(*(a - b)[is_common, :2].T).mean()) / max(total_height / 2, 1e-6)


def fill_gaps(person: np.ndarray, numbers: np.ndarray, longest: int) -> np.ndarray:
    """Return a person's track, (T, NUM_POINTS, 3), with points interpolated where they are missing for a few frames.

    ``numbers``: the frames' numbers, (T,); ``longest``: the longest gap in frames that is filled.
    """
    filled = person.copy()
    for point in range(person.shape[1]):
        present = np.flatnonzero(~np.isnan(person[:, point, 0]))
        for before, after in pairwise(present):
            if after - before > 1 and numbers[after] - numbers[before] <= longest + 1:
                inside = slice(before + 1, after)
                for c in range(3):
                    ends = person[[before, after], point, c]
                    filled[inside, point, c] = np.interp(numbers[inside], numbers[[before, after]], ends)
    return filled


def smooth_motion(person: np.ndarray, sigma: float) -> np.ndarray:
    """Return a person's track, (T, NUM_POINTS, 3), x and y smoothed over time by a Gaussian of ``sigma`` frames."""
    if sigma <= 0:
        return person
    radius = int(np.ceil(3 * sigma))
    is_present = ~np.isnan(person[..., :1])
    values = np.where(is_present, person[..., :2], 0)
    total, weights = np.zeros_like(values), np.zeros_like(is_present, float)
    for step in range(-radius, radius + 1):
        weight = float(np.exp(-0.5 * (step / sigma) ** 2))
        here = slice(max(0, -step), len(person) - max(0, step))
        there = slice(max(0, step), len(person) - max(0, -step))
        if here.start < len(person) and there.start < len(person):
            total[here] += weight * values[there]
            weights[here] += weight * is_present[there]
    smoothed = person.copy()
    smoothed[..., :2] = np.where(is_present, total / np.maximum(weights, 1e-9), np.nan)
    return smoothed


def fit_bodies(people: np.ndarray, source: BodyPlace, target: BodyPlace) -> np.ndarray:
    """Return tracks, (people, T, NUM_POINTS, 3), moved and scaled from the place of ``source`` to that of ``target``.

    This is the global pose normalisation of Chan et al., "Everybody Dance Now" (ICCV 2019), with one scale and one
    shift per frame. Both are interpolated between the back and the front of the stage by the ankles of the first
    person.
    """
    feet = _lowest_y(people[0][:, ANKLES, 1])
    is_present = ~np.isnan(feet)
    if source.near > source.far and is_present.any():
        feet = np.interp(np.arange(len(feet)), np.flatnonzero(is_present), feet[is_present])
        depth = np.clip((feet - source.far) / (source.near - source.far), -MAX_EXTRAPOLATION, 1 + MAX_EXTRAPOLATION)
    else:
        depth = np.full(len(feet), 0.5)
    scale = (1 - depth) * target.far_tall / source.far_tall + depth * target.near_tall / source.near_tall
    target_ground = target.far + depth * (target.near - target.far)
    source_ground = source.far + depth * (source.near - source.far)
    fitted = people.copy()
    fitted[..., 0] = target.x + (people[..., 0] - source.x) * scale[:, None]
    fitted[..., 1] = target_ground[:, None] + (people[..., 1] - source_ground[:, None]) * scale[:, None]
    return fitted


def _hue_wheel(count: int, value: int) -> list[tuple[int, int, int]]:
    """Return ``count`` RGB colours of evenly spaced hues; ``value``: their brightness, 0 to 255."""
    hsv = np.array([[[180 * n // count, 255, value] for n in range(count)]], np.uint8)
    return [(int(r), int(g), int(b)) for r, g, b in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]]


_LIMB_COLOURS, _FINGER_COLOURS = _hue_wheel(len(LIMBS), 220), _hue_wheel(5, 255)  # RGB colours by limb and finger


def draw_people(people: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Draw people, (N, NUM_POINTS, 3) in pixels, NaN where points are missing, as a picture (H, W, 3) uint8.

    ``size``: its (width, height). The first of ``people`` is drawn last, on top.
    """
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    side = min(size)
    for person in people[::-1]:
        points = person[:, :2].copy()
        points[(np.abs(points - np.array(size) / 2) > MAX_DRAWN_DISTANCE * max(size)).any(axis=1)] = np.nan
        pen = _Pen(picture, points)
        thick = max(2, round(side * LIMB_WIDTH))
        for (a, b), colour in zip(LIMBS, _LIMB_COLOURS, strict=True):
            pen.line(a, b, colour, thick)
        for joint in range(NUM_BODY):
            pen.dot(joint, (255, 255, 255), max(1, round(thick * 0.4)))
        for first in (LEFT_HAND, RIGHT_HAND):
            for number, (a, b) in enumerate(FINGERS):
                pen.line(first + a, first + b, _FINGER_COLOURS[number // 4], max(1, round(side * HAND_WIDTH)))
        for start, end, closed in FACE_LINES:
            for n in range(start, end):
                pen.line(FACE + n, FACE + n + 1, (255, 255, 255), max(1, round(side * FACE_WIDTH)))
            if closed:
                pen.line(FACE + end, FACE + start, (255, 255, 255), max(1, round(side * FACE_WIDTH)))
    return picture


class _Pen:
    """A pen that draws lines and dots between points, (N, 2), and skips missing points."""

    def __init__(self, picture: np.ndarray, points: np.ndarray) -> None:
        self._picture, self._is_present = picture, ~np.isnan(points[:, 0])
        self._coordinates = np.rint(np.nan_to_num(points) * (1 << SUBPIXEL_BITS)).astype(int).tolist()

    def line(self, a: int, b: int, colour: tuple[int, int, int], width: int) -> None:
        """Draw a line between the points with the indices ``a`` and ``b``; ``width``: in pixels."""
        if self._is_present[a] and self._is_present[b]:
            start, end = self._coordinates[a], self._coordinates[b]
            cv2.line(self._picture, start, end, colour, width, cv2.LINE_AA, SUBPIXEL_BITS)

    def dot(self, a: int, colour: tuple[int, int, int], radius: int) -> None:
        """Draw a dot at the point with the index ``a``; ``radius``: in pixels."""
        if self._is_present[a]:
            centre, subpixel_radius = self._coordinates[a], radius << SUBPIXEL_BITS
            cv2.circle(self._picture, centre, subpixel_radius, colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)


@dataclass(frozen=True)
class PoseView:
    """The settings by which keypoints are drawn; as text, 1280x720,score=0.3,gap=8,smooth=1.0,body=640_500_700_300_420.

    ``size``: (width, height); None: of the file, or else from its points. ``score``: points with a lower score are left
    out. ``gap``: the longest gap in frames in which a point is interpolated. ``smooth``: σ of the smoothing in frames.
    ``body``: the place and size to which people are fitted.
    """

    size: tuple[int, int] | None = None
    score: float = 0.3
    gap: int = 8
    smooth: float = 1.0
    body: BodyPlace | None = None

    @classmethod
    def parse(cls, text: str, path: Path) -> PoseView:
        """Parse the text of a ``PoseView``. Raises MediaError, which names ``path``."""
        values: dict[str, object] = {}
        for part in filter(None, text.split(",")):
            name, _, value = part.partition("=")
            try:
                if size := _SIZE.fullmatch(part):
                    values["size"] = check_size(int(size[1]), int(size[2]))
                elif name == "body":
                    values[name] = BodyPlace(*(float(number) for number in value.split("_")))
                else:
                    values[name] = {"score": float, "gap": int, "smooth": float}[name](value)
            except (KeyError, ValueError, TypeError):
                remedy = f"write the size of its picture, as in {path.name}#1280x720"
                raise MediaError(str(path), f"'{part}' says nothing about keypoints", remedy) from None
        return cls(**values)  # type: ignore[arg-type]

    def __str__(self) -> str:
        """Return the text that ``parse`` reads."""
        size = "x".join(map(str, self.size or ()))
        numbers = (f"{f.name}={getattr(self, f.name):g}" for f in fields(self) if f.name in ("score", "gap", "smooth"))
        return ",".join(filter(None, (size, *numbers, f"body={self.body}" if self.body else "")))


class PoseFrames:
    """The pictures of poses drawn from a source of keypoints. Raises MediaError if it cannot be read.

    ``source_size``: the (width, height) of the picture in which the keypoints were detected, if known.
    """

    is_timed = False

    def __init__(self, path: Path, view: PoseView, source_size: tuple[int, int] | None = None) -> None:
        self.path, self._view = path, view
        self._keypoints = read_keypoints(path)
        self._source_size = source_size or self._keypoints.size
        self._numbers = sorted(self._keypoints.frames)
        files = keypoint_files(path)
        self.names = tuple(f"{path.stem}_{n:06d}.png" for n in self._numbers)
        if path.is_dir() and len(files) == len(self._numbers):
            self.names = tuple(f.name for f in files)

    def read(self, number: int) -> tuple[Still, float]:
        """Return the drawn picture of a frame, and 0 for its duration."""
        return Still(draw_people(self.people[:, number], self.size)), 0.0

    def close(self) -> None:
        """Do nothing: no file stays open."""

    @cached_property
    def size(self) -> tuple[int, int]:
        """The (width, height) of the drawn pictures."""
        if size := self._view.size or self._source_size:
            return size
        if self._keypoints.is_normalised:
            return (_DEFAULT_SIDE_PX, _DEFAULT_SIDE_PX)
        points = np.concatenate([person[:, :2] for people in self._keypoints.frames.values() for person in people])
        width, height = (min(1 << 13, max(16, int(n) // 2 * 2 + 2)) for n in np.nanmax(points, axis=0))
        return (width, height)

    @cached_property
    def people(self) -> np.ndarray:
        """The people, (N, frames, NUM_POINTS, 3): x, y in pixels of the drawn pictures, and score."""
        tracks = self._clean_tracks
        place = BodyPlace.of(tracks[0]) if self._view.body else None
        if place is not None and self._view.body is not None:
            return fit_bodies(tracks, place.rounded(), self._view.body)
        tracks[..., :2] *= self.size[1] / (self._source_size or self.size)[1]
        return tracks

    @cached_property
    def body(self) -> BodyPlace | None:
        """The place of the person who is visible longest, in pixels of the drawn pictures; None if unknown."""
        place = BodyPlace.of(self.people[0])
        return None if place is None else place.rounded()

    @property
    def _clean_tracks(self) -> np.ndarray:
        """The tracks of people in pixels of the source: uncertain points removed, gaps filled, motion smoothed."""
        view, keypoints = self._view, self._keypoints
        frames = []
        for number in self._numbers:
            people = [person.copy() for person in keypoints.frames[number]]
            for person in people:
                person[person[:, 2] < view.score] = np.nan
                if keypoints.is_normalised:
                    person[:, :2] *= self._source_size or self.size
            frames.append([person for person in people if not np.isnan(person[:, 0]).all()])
        if not any(frames):
            why = f"no point has a score of {view.score:g} or more"
            raise MediaError(str(self.path), why, "lower --set pairing.score")
        numbers = np.array(self._numbers)
        tracks = [smooth_motion(fill_gaps(track, numbers, view.gap), view.smooth) for track in track_people(frames)]
        return np.stack(tracks)
