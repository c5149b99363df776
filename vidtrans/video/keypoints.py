"""Keypoints of people: read, followed over time, and drawn as the pictures of a clip.

They are read from JSON of OpenPose or MediaPipe, a file for each frame or for all, and tables (CSV). All detectors are
brought to one list, so that a model trained on the poses of one takes those of another: 24 points of the body
(OpenPose's COCO-18 and six of the feet), 21 of the left and of the right hand, 68 of the face. People are followed from
frame to frame, gaps filled, jitter smoothed, bodies fitted to another performer's.

They are drawn with a colour for each limb and finger, the face in white lines, on black. Where these pictures change,
raise ``pairing.pose.Pose.version``. ``pictures.PictureFiles`` has the interface of a clip's pictures.
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

BODY, HAND, FACE = 24, 21, 68
LEFT, RIGHT, HEAD = BODY, BODY + HAND, BODY + 2 * HAND  # the first point of each hand and of the face
POINTS = HEAD + FACE
NOSE, NECK, SHOULDERS, ANKLES = 0, 1, (2, 5), (10, 13)
_COCO_17 = (0, -1, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_NO_FEET = (-1,) * 6
# Of the list of a body with so many points, the place of each of our points; −1 where it has none.
_BODIES: dict[int, tuple[int, ...]] = {
    17: _COCO_17 + _NO_FEET,  # COCO: YOLO, MMPose, Detectron2
    18: (*range(18), *_NO_FEET),  # OpenPose COCO
    23: (*_COCO_17, *range(17, 23)),
    25: (*range(8), *range(9, 25)),  # OpenPose BODY_25, whose point 8 is between the hips
    33: (0, -1, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7, 31, -1, 29, 32, -1, 30),  # MediaPipe
}
# The 68 points of the iBUG layout among MediaPipe's: jaw, brows, nose, eyes, lips; from the person's right to the left.
_MESH = (
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301),
    *(168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
_WHOLE = 133  # COCO-WholeBody: 23 of body and feet, 68 of the face, both hands
_FACES = {68: tuple(range(68)), 70: tuple(range(68)), 468: _MESH, 478: _MESH}
PARTS = {"pose": (0, BODY), "left_hand": (LEFT, HAND), "right_hand": (RIGHT, HAND), "face": (HEAD, FACE)}
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
FARTHEST = 0.6  # of a body's height: what has moved further since the frame before is another person
STAGE = 0.08  # of a body's height: ankles that move less up and down the picture are of one who stays, or lifts a foot
BEYOND = 0.25  # share of the way by which one may stand further away, or nearer
EDGE = 0.1  # share of the way from the farthest to the nearest place within which a height is measured
MAX_PEOPLE = 32
# Limbs by their ends, as in OpenPose's COCO body, then the feet.
LIMBS = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (10, 21), (21, 22), (10, 23), (13, 18), (18, 19), (13, 20)),
)
FINGERS = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)
# Lines of the face: first and last point, and whether they close.
FEATURES = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)
LIMB_WIDTH, HAND_WIDTH, FACE_WIDTH = 1 / 70, 1 / 240, 1 / 300  # of the picture's short side
SUBPIXEL = 4
FARTHEST_DRAWN = 4.0  # sides of the picture: points further out are not drawn
POSE_GUIDE = "keypoints"  # the guide of the pairing ``pose``: this, #, and the text of a ``PoseView``
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_UNKNOWN_SIDE = 512  # pixels, of a picture of normalised keypoints whose size nothing says


def layout(part: str, count: int) -> np.ndarray:
    """Return for each of the ``POINTS`` its place in a detector's list of ``count`` points of a part, (POINTS,) int.

    −1 where the list has no such point. ``part``: a key of ``PARTS``. Raises ValueError for unknown numbers of points.
    """
    places = np.full(POINTS, -1)
    if part == "pose" and count == _WHOLE:
        places[:BODY] = _BODIES[23]
        places[HEAD:], places[LEFT:RIGHT], places[RIGHT:HEAD] = range(23, 91), range(91, 112), range(112, 133)
        return places
    known = {"pose": _BODIES, "face": _FACES}.get(part, {HAND: tuple(range(HAND))})
    if count not in known:
        listed = ", ".join(map(str, known)) + (f" or {_WHOLE}" if part == "pose" else "")
        raise ValueError(f"{count} points of '{part}', where {listed} are known")
    first, length = PARTS[part]
    places[first : first + length] = known[count]
    return places


def smallest_layout(part: str, at_least: int) -> int:
    """Return the number of points of the smallest known list of a part with room for ``at_least`` points; or that."""
    known = {"pose": (17, 18, 25, 33, _WHOLE), "face": tuple(_FACES)}.get(part, (HAND,))
    return next((count for count in known if count >= at_least), at_least)


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
    found = [NUMBER_IN_NAME.findall(name) for name in signed_names(p.name.removesuffix(FRAME_FILE) for p in files)]
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


@dataclass(frozen=True)
class BodyPlace:
    """The place and size of a performer in the picture, in pixels, for the pose normalisation of ``fit``.

    ``x``: the middle of all places; ``far``, ``near``: the height in the picture of the ankles at the back and at the
    front of the stage; ``far_tall``, ``near_tall``: how tall the performer is there.
    """

    x: float
    far: float
    near: float
    far_tall: float
    near_tall: float

    @classmethod
    def of(cls, person: np.ndarray) -> BodyPlace | None:
        """Measure a person's track, (T, POINTS, 3); None where no frame shows two heights of a body.

        Without ankles in any frame, the lowest points of the body stand for them, and the highest ones for the nose.
        """
        body = person[:, :BODY]
        seen = ~np.isnan(body[..., 0]).all(axis=1)
        body = body[seen]
        feet = _lowest(body[:, ANKLES, 1])
        heads = body[:, NOSE, 1]
        if np.isnan(feet - heads).all():
            feet, heads = _lowest(body[..., 1]), -_lowest(-body[..., 1])
        tall = feet - heads
        usable = tall > 1
        if not usable.any():
            return None
        feet, tall, body = feet[usable], tall[usable], body[usable]
        far, near = (float(n) for n in np.percentile(feet, (5, 95)))
        if near - far < STAGE * float(np.median(tall)):
            far = near
        reach = EDGE * (near - far) + 0.01 * float(np.median(tall))
        far_tall, near_tall = (float(np.percentile(tall[at], 90)) for at in (feet <= far + reach, feet >= near - reach))
        x = float(np.median(np.nanmean(body[..., 0], axis=1)))
        return cls(x, far, near, far_tall, near_tall)

    def __str__(self) -> str:
        return "_".join(f"{value:g}" for value in astuple(self))

    def rounded(self) -> BodyPlace:
        """Return the place in tenths of a pixel, as a model file keeps it."""
        return BodyPlace(*(round(value, 1) for value in astuple(self)))


def _lowest(values: np.ndarray) -> np.ndarray:
    """Return the highest values over the last axis, the lowest places in a picture; NaN where all are NaN."""
    found = np.where(np.isnan(values), -np.inf, values).max(axis=-1)
    return np.where(np.isinf(found), np.nan, found)


def follow(frames: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return the tracks of people, (people, T, POINTS, 3), NaN where one is not seen, those seen longest first.

    Each person of a frame, (POINTS, 3), belongs to the track whose last points are nearest; lists of detectors have no
    order. After ``MAX_PEOPLE`` tracks, further people are left out.
    """
    tracks: list[dict[int, np.ndarray]] = []
    for number, people in enumerate(frames):
        pairs = sorted(
            (_distance(track[max(track)], person), t, p)
            for t, track in enumerate(tracks)
            for p, person in enumerate(people)
        )
        open_tracks, waiting = set(range(len(tracks))), set(range(len(people)))
        for distance, t, p in pairs:
            if distance <= FARTHEST and t in open_tracks and p in waiting:
                tracks[t][number] = people[p]
                open_tracks.discard(t)
                waiting.discard(p)
        tracks += [{number: people[p]} for p in sorted(waiting)][: MAX_PEOPLE - len(tracks)]
    tracks.sort(key=len, reverse=True)
    shape = next(person.shape for people in frames for person in people)
    found = np.full((len(tracks), len(frames), *shape), np.nan)
    for t, track in enumerate(tracks):
        for number, person in track.items():
            found[t, number] = person
    return found


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean distance of the points that both people have, in heights of a body; infinite for none."""
    both = ~np.isnan(a[:, 0]) & ~np.isnan(b[:, 0])
    if not both.any():
        return float("inf")
    tall = float(np.ptp(a[both, :2], axis=0).max()) + float(np.ptp(b[both, :2], axis=0).max())
    return float(np.hypot(*(a - b)[both, :2].T).mean()) / max(tall / 2, 1e-6)


def fill_gaps(person: np.ndarray, numbers: np.ndarray, longest: int) -> np.ndarray:
    """Return a track, (T, POINTS, 3), in which points are interpolated where they are missing for a few frames.

    ``numbers``: the frames' numbers, (T,); ``longest``: how many frames a point may be missing.
    """
    filled = person.copy()
    for point in range(person.shape[1]):
        known = np.flatnonzero(~np.isnan(person[:, point, 0]))
        for before, after in pairwise(known):
            if after - before > 1 and numbers[after] - numbers[before] <= longest + 1:
                inside = slice(before + 1, after)
                for c in range(3):
                    ends = person[[before, after], point, c]
                    filled[inside, point, c] = np.interp(numbers[inside], numbers[[before, after]], ends)
    return filled


def smooth_motion(person: np.ndarray, sigma: float) -> np.ndarray:
    """Return a track, (T, POINTS, 3), with x and y smoothed over time by a Gaussian of ``sigma`` frames."""
    if sigma <= 0:
        return person
    reach = int(np.ceil(3 * sigma))
    known = ~np.isnan(person[..., :1])
    values = np.where(known, person[..., :2], 0)
    total, weights = np.zeros_like(values), np.zeros_like(known, float)
    for step in range(-reach, reach + 1):
        weight = float(np.exp(-0.5 * (step / sigma) ** 2))
        here = slice(max(0, -step), len(person) - max(0, step))
        there = slice(max(0, step), len(person) - max(0, -step))
        if here.start < len(person) and there.start < len(person):
            total[here] += weight * values[there]
            weights[here] += weight * known[there]
    smoothed = person.copy()
    smoothed[..., :2] = np.where(known, total / np.maximum(weights, 1e-9), np.nan)
    return smoothed


def fit(people: np.ndarray, own: BodyPlace, other: BodyPlace) -> np.ndarray:
    """Return tracks, (people, T, POINTS, 3), with a performer's place and size brought to another's.

    The global pose normalisation of Chan et al., "Everybody Dance Now" (ICCV 2019), with one scale and one shift for
    each frame: both are interpolated between the back and the front of the stage by the ankles of the first person.
    """
    feet = _lowest(people[0][:, ANKLES, 1])
    known = ~np.isnan(feet)
    if own.near > own.far and known.any():
        feet = np.interp(np.arange(len(feet)), np.flatnonzero(known), feet[known])
        depth = np.clip((feet - own.far) / (own.near - own.far), -BEYOND, 1 + BEYOND)
    else:
        depth = np.full(len(feet), 0.5)
    scale = (1 - depth) * other.far_tall / own.far_tall + depth * other.near_tall / own.near_tall
    ground = other.far + depth * (other.near - other.far)
    standing = own.far + depth * (own.near - own.far)
    moved = people.copy()
    moved[..., 0] = other.x + (people[..., 0] - own.x) * scale[:, None]
    moved[..., 1] = ground[:, None] + (people[..., 1] - standing[:, None]) * scale[:, None]
    return moved


def _hues(count: int, value: int) -> list[tuple[int, int, int]]:
    """Return ``count`` colours around the wheel, RGB."""
    hsv = np.array([[[180 * n // count, 255, value] for n in range(count)]], np.uint8)
    return [(int(r), int(g), int(b)) for r, g, b in cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]]


_LIMB_COLOURS, _FINGER_COLOURS = _hues(len(LIMBS), 220), _hues(5, 255)


def draw_people(people: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture, (H, W, 3) uint8, of people (N, POINTS, 3) in pixels, NaN where points are missing.

    ``size``: its (width, height). The first of ``people`` is drawn last, on top.
    """
    width, height = size
    picture = np.zeros((height, width, 3), np.uint8)
    side = min(size)
    for person in people[::-1]:
        points = person[:, :2].copy()
        points[(np.abs(points - np.array(size) / 2) > FARTHEST_DRAWN * max(size)).any(axis=1)] = np.nan
        pen = _Pen(picture, points)
        thick = max(2, round(side * LIMB_WIDTH))
        for (a, b), colour in zip(LIMBS, _LIMB_COLOURS, strict=True):
            pen.line(a, b, colour, thick)
        for joint in range(BODY):
            pen.dot(joint, (255, 255, 255), max(1, round(thick * 0.4)))
        for first in (LEFT, RIGHT):
            for number, (a, b) in enumerate(FINGERS):
                pen.line(first + a, first + b, _FINGER_COLOURS[number // 4], max(1, round(side * HAND_WIDTH)))
        for start, end, closed in FEATURES:
            for n in range(start, end):
                pen.line(HEAD + n, HEAD + n + 1, (255, 255, 255), max(1, round(side * FACE_WIDTH)))
            if closed:
                pen.line(HEAD + end, HEAD + start, (255, 255, 255), max(1, round(side * FACE_WIDTH)))
    return picture


class _Pen:
    """Draws lines and dots between points, (N, 2); those with a missing end are left out."""

    def __init__(self, picture: np.ndarray, points: np.ndarray) -> None:
        self._picture, self._known = picture, ~np.isnan(points[:, 0])
        self._at = np.rint(np.nan_to_num(points) * (1 << SUBPIXEL)).astype(int).tolist()

    def line(self, a: int, b: int, colour: tuple[int, int, int], width: int) -> None:
        if self._known[a] and self._known[b]:
            cv2.line(self._picture, self._at[a], self._at[b], colour, width, cv2.LINE_AA, SUBPIXEL)

    def dot(self, a: int, colour: tuple[int, int, int], radius: int) -> None:
        if self._known[a]:
            cv2.circle(self._picture, self._at[a], radius << SUBPIXEL, colour, -1, cv2.LINE_AA, SUBPIXEL)


@dataclass(frozen=True)
class PoseView:
    """How keypoints are drawn; as text, ``1280x720,score=0.3,gap=8,smooth=1.0,body=640_500_700_300_420``.

    ``size``: (width, height); None: of the file, or else of its points. ``score``: points below it are left out.
    ``gap``: how many frames a point may be missing and is interpolated. ``smooth``: σ in frames. ``body``: whose place
    and size people are brought to.
    """

    size: tuple[int, int] | None = None
    score: float = 0.3
    gap: int = 8
    smooth: float = 1.0
    body: BodyPlace | None = None

    @classmethod
    def parse(cls, text: str, path: Path) -> PoseView:
        """Parse a text. Raises MediaError, which names ``path``."""
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
        size = "x".join(map(str, self.size or ()))
        own = (f"{f.name}={getattr(self, f.name):g}" for f in fields(self) if f.name in ("score", "gap", "smooth"))
        return ",".join(filter(None, (size, *own, f"body={self.body}" if self.body else "")))


class PoseFrames:
    """The drawn poses of a source of keypoints. Raises MediaError where it cannot be read.

    ``source_size``: the (width, height) of the picture that the keypoints were found in, where it is known.
    """

    is_timed = False

    def __init__(self, path: Path, view: PoseView, source_size: tuple[int, int] | None = None) -> None:
        self.path, self._view = path, view
        self._found = read_keypoints(path)
        self._source_size = source_size or self._found.size
        self._numbers = sorted(self._found.frames)
        files = keypoint_files(path)
        one_each = path.is_dir() and len(files) == len(self._numbers)
        self.names = (
            tuple(f.name for f in files) if one_each else tuple(f"{path.stem}_{n:06d}.png" for n in self._numbers)
        )

    def read(self, number: int) -> tuple[Still, float]:
        """Return a picture; it has no duration."""
        return Still(draw_people(self.people[:, number], self.size)), 0.0

    def close(self) -> None:
        """Do nothing: no file stays open."""

    @cached_property
    def size(self) -> tuple[int, int]:
        """The (width, height) of the pictures."""
        if size := self._view.size or self._source_size:
            return size
        if self._found.is_normalised:
            return (_UNKNOWN_SIDE, _UNKNOWN_SIDE)
        points = np.concatenate([person[:, :2] for people in self._found.frames.values() for person in people])
        width, height = (min(1 << 13, max(16, int(n) // 2 * 2 + 2)) for n in np.nanmax(points, axis=0))
        return (width, height)

    @cached_property
    def people(self) -> np.ndarray:
        """The people, (N, frames, POINTS, 3), in pixels of the drawn pictures."""
        own = self._tracks
        place = BodyPlace.of(own[0]) if self._view.body else None
        if place is not None and self._view.body is not None:
            return fit(own, place.rounded(), self._view.body)
        own[..., :2] *= self.size[1] / (self._source_size or self.size)[1]
        return own

    @cached_property
    def body(self) -> BodyPlace | None:
        """The place of the person that is seen longest, in pixels of the drawn pictures; None if unknown."""
        place = BodyPlace.of(self.people[0])
        return None if place is None else place.rounded()

    @property
    def _tracks(self) -> np.ndarray:
        """Return the people's tracks in pixels of the source, without what is uncertain, filled and smoothed."""
        view, found = self._view, self._found
        frames = []
        for number in self._numbers:
            people = [person.copy() for person in found.frames[number]]
            for person in people:
                person[person[:, 2] < view.score] = np.nan
                if found.is_normalised:
                    person[:, :2] *= self._source_size or self.size
            frames.append([person for person in people if not np.isnan(person[:, 0]).all()])
        if not any(frames):
            why = f"no point has a score of {view.score:g} or more"
            raise MediaError(str(self.path), why, "lower --set pairing.score")
        numbers = np.array(self._numbers)
        tracks = [smooth_motion(fill_gaps(track, numbers, view.gap), view.smooth) for track in follow(frames)]
        return np.stack(tracks)
