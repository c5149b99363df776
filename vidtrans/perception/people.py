"""Find people and faces in frames, and follow them: mattes and joints of people, boxes and landmarks of faces.

The networks are those of MediaPipe (Google, Apache 2.0; ``assets/LICENCES.md``): selfie segmentation, which is precise
for people who fill a good part of its picture; BlazePose (Bazarevsky et al., "BlazePose: On-device Real-time Body Pose
Tracking", 2020), which separates one whole figure from others and finds its joints; and BlazeFace (Bazarevsky et al.,
2019). They see squares cut out of the frame. A search runs the first over squares of several sizes; what it finds is
looked at by the second, which says whether it is a person, and that is followed from frame to frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar, NamedTuple

import cv2
import numpy as np

from vidtrans.core.files import PACKAGE, digest_file
from vidtrans.perception.layer_list import LayerList

NETWORKS = PACKAGE / "assets" / "networks"  # Folder of the networks' files
VERSION = 1  # Version of the search and of the following, for cache keys
SIDE_PX, FACE_SIDE_PX = 256, 128  # Sides of the networks' pictures
INSIDE = 0.5  # Value of a matte from which a pixel is inside
# Search
TILE_SHARES, TILE_STEP = (1.0, 0.6), 0.55  # Sides of the squares as shares of the frame's short side; step in sides
MIN_TILE_SHARE = 0.012  # Least area of a candidate as a share of a square
SAME_BOX, SAME_MATTE = 0.6, 0.5  # Overlap (IoU) from which two boxes, or two mattes, are the same
MAX_CANDIDATES = 10  # Largest number of candidates, from the largest on, that are looked at
POINT_SHARES = (0.35, 0.55, 0.8, 1.1)  # Sides of the squares around a chosen point, as shares of the short side
# Looks at a person
MARGIN, PORTRAIT_MARGIN = 1.3, 1.35  # Side of the square of a look, relative to the longer side of the person's box
NUM_JOINTS, SURE_JOINTS = 33, 12  # Joints of the network; the number of the best ones that give the confidence
PERSON, LOST = 0.85, 0.4  # Probability from which a candidate is a person; score below which a followed one is lost
LIKELY = 0.45  # Score from which a candidate is looked at again
# A person who is not upright: least score, least share of the frame, and largest number of candidates that are tried
TURNED, TURNED_SHARE, MAX_TURNED = 0.75, 0.04, 2
# Least number of frames in which a person or a face is seen, and least mean score of a person, or it is taken for a
# mistake
MIN_SEEN, CONFIRMED = 4, 0.62
NEAR_SHARE = 0.03  # Least share of the frame of somebody whom a glance shows
MAX_TAKEN = 0.4  # Share of a box that people who are known already may cover
# A logistic regression of "the candidate is a person" on ``Signs``, fitted to 190 candidates of 12 sequences of DAVIS
# 2016 (5 with people) and two films without people; it is right on those of 10 other clips (guides/masks.md)
SIGN_WEIGHTS, SIGN_BIAS = (20.9, 8.6, 11.7, 10.9, -2.7), -36.9
MAX_SOFTNESS = 1.5  # Largest ratio of unsure to sure pixels that counts
FACE_SOFTNESS = 0.8  # The same for a candidate with a face
SAME_PERSON = 0.7  # Share of a candidate inside another person from which both are the same
TURN_BELOW = 0.6  # Score below which the square is turned by quarters, because the person may be upside down
FACE_AGREEMENT = 0.5  # Overlap of both networks' mattes from which a candidate with a face is a person
PORTRAIT_HEIGHT, PORTRAIT_EDGE = 0.4, 0.03  # Height, and distance from the lower edge, of a half-length figure
MIN_AREA_RATIO = 0.3  # Area relative to the frame before, below which a followed person is lost
MIN_PART = 0.1  # Least area of a part of a person, relative to its largest part
SURE_JOINT = 0.5  # Score from which a joint counts for the box of a person
BODY = (0,), (11, 12), (23, 24), (25, 26), (27, 28)  # Joints of nose, shoulders, hips, knees and ankles
# Faces
ANCHORS_PER_CELL = ((16, 2), (8, 6))  # BlazeFace: cells of a side, and anchors in each
FACE_CANDIDATE, FACE, FACE_LOST = 0.6, 0.72, 0.5  # Score at first, at a second look, and below which a face is lost
SAME_FACE = 0.3  # Overlap (IoU) from which two boxes are the same face
FACE_MARGIN = 2.2  # Side of the square in which a face is followed, relative to its box
RIGHT_EYE, LEFT_EYE, NOSE, MOUTH, RIGHT_EAR, LEFT_EAR = range(6)  # BlazeFace's landmarks
# Oval of a face, in distances between the eyes' middle and the mouth: above the eyes, below the mouth; least width
ABOVE_EYES, BELOW_MOUTH, MIN_WIDTH, OVAL_BLUR = 1.0, 0.7, 0.72, 0.07


@cache
def network(name: str) -> LayerList:
    """Return one of the networks 'person', 'pose' and 'face', in eval mode."""
    return LayerList(NETWORKS / f"{name}.safetensors").eval()


@cache
def identity() -> str:
    """Return the version of the methods with the digests of the networks, for cache keys."""
    return " ".join([str(VERSION), *(digest_file(NETWORKS / f"{n}.safetensors") for n in ("person", "pose", "face"))])


class Signs(NamedTuple):
    """Signs that a candidate is a person, each from 0 to 1, but ``softness``.

    Attributes:
        score: Mean score of the surest joints.
        agreement: Overlap (IoU) of both networks' mattes.
        order: Share of the parts of the body, from head to feet, that follow one another downwards.
        sureness: Mean of the matte where it is inside.
        softness: Number of unsure pixels, relative to those inside.
    """

    score: float
    agreement: float
    order: float
    sureness: float
    softness: float

    @classmethod
    def of(cls, person: Found, near: np.ndarray) -> Signs:
        """Return the signs of a candidate; ``near``: the matte of selfie segmentation, (H, W)."""
        matte, inside = person.matte, person.matte > INSIDE
        down = np.array([(0, 1), (-1, 0), (0, -1), (1, 0)][person.turns % 4], np.float32)
        heights = person.points[:, :2] @ down
        parts = [heights[list(joints)].mean() for joints in BODY]
        unsure = int(((matte > 0.1) & (matte < 0.9)).sum())
        return cls(
            person.confidence,
            overlap(near, matte),
            float((np.diff(parts) > 0).mean()),
            float(matte[inside].mean()),
            min(unsure / max(1, int(inside.sum())), MAX_SOFTNESS),
        )

    @property
    def probability(self) -> float:
        """Return the probability that the candidate is a person."""
        return 1 / (1 + math.exp(-SIGN_BIAS - sum(w * sign for w, sign in zip(SIGN_WEIGHTS, self, strict=True))))


class Square(NamedTuple):
    """A square of a frame: its corner (x, y) and its side in pixels, and quarter turns that its picture is turned by.

    It may reach over the frame's borders.
    """

    x: float
    y: float
    side: float
    turns: int = 0

    @classmethod
    def around(cls, box: Sequence[float], margin: float, turns: int = 0) -> Square:
        """Return the square around a box (left, top, right, bottom): its longer side times ``margin``."""
        left, top, right, bottom = box
        side = max(right - left, bottom - top, 8.0) * margin
        return cls((left + right - side) / 2, (top + bottom - side) / 2, side, turns)

    def crop(self, frame: np.ndarray, size: int) -> np.ndarray:
        """Return the picture of the square in a frame (H, W, 3) uint8, (size, size, 3)."""
        shrunk, scale = frame, 1.0
        while self.side * scale > 2 * size and min(shrunk.shape[:2]) > 2:  # Against aliasing
            shrunk, scale = cv2.pyrDown(shrunk), scale / 2
        turned = cv2.warpAffine(
            shrunk,
            self._matrix(size, scale),
            (size, size),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.ascontiguousarray(np.rot90(turned, self.turns))

    def paste(self, picture: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
        """Return a matte (size, size) of the square at its place in a frame of a (width, height), 0 outside."""
        upright = np.ascontiguousarray(np.rot90(picture, -self.turns))
        return cv2.warpAffine(upright, self._matrix(len(picture), 1.0), frame, flags=cv2.INTER_LINEAR)

    def points(self, points: np.ndarray) -> np.ndarray:
        """Convert positions (n, 2) in the square's picture, x and y from 0 to 1, to pixels of the frame."""
        x, y = points[:, 0] - 0.5, points[:, 1] - 0.5
        for _ in range(self.turns % 4):
            x, y = -y, x
        return np.stack([self.x + (x + 0.5) * self.side, self.y + (y + 0.5) * self.side], axis=1)

    def _matrix(self, size: int, scale: float) -> np.ndarray:
        """Return the affine matrix, (2, 3), from pixels of the square's picture to those of a scaled frame."""
        step = self.side * scale / size
        return np.array([[step, 0, self.x * scale + (step - 1) / 2], [0, step, self.y * scale + (step - 1) / 2]])


@dataclass(frozen=True)
class Found:
    """A person or a face in a frame.

    Attributes:
        matte: The matte, (H, W) float32 from 0 to 1.
        box: The bounding box (left, top, right, bottom) in pixels.
        confidence: From 0 to 1.
        points: The joints or landmarks, (n, 3): x and y in pixels, and a score from 0 to 1.
        turns: The quarter turns of the square in which a person was seen.
        is_portrait: Whether a person reaches over the lower edge of the frame.
        has_face: Whether a face was found in a person when the frame was searched.
    """

    matte: np.ndarray
    box: tuple[float, float, float, float]
    confidence: float
    points: np.ndarray
    turns: int = 0
    is_portrait: bool = False
    has_face: bool = False

    @property
    def area(self) -> float:
        """Return the area of the matte in pixels."""
        return float(self.matte.sum())


class PersonFinder:
    """Finds the people in frames (H, W, 3) uint8, and follows them from frame to frame."""

    kind: ClassVar[str] = "person"

    def search(self, frame: np.ndarray) -> list[Found]:
        """Return the people in a frame, the surest first."""
        found = self._identify(frame, self._candidates(frame)[:MAX_CANDIDATES])
        kept: list[Found] = []
        for person in sorted(found, key=lambda one: (one.is_portrait, one.confidence), reverse=True):
            if not any(_is_same(person, other) for other in kept):
                kept.append(person)
        return kept

    def may_show_more(self, frame: np.ndarray, known: np.ndarray) -> bool:
        """Return whether a glance at a frame shows something as large as a near person outside of a matte (H, W)."""
        whole = next(_tiles(frame.shape[1], frame.shape[0]))
        matte = network("person").run([whole.crop(frame, SIDE_PX)])[0][0, 0]
        free = whole.paste(matte, (frame.shape[1], frame.shape[0])) * (1 - known) > INSIDE
        inner = cv2.erode(free.astype(np.uint8), np.ones((5, 5), np.uint8))
        areas = cv2.connectedComponentsWithStats(inner)[2][1:, cv2.CC_STAT_AREA]
        return bool(len(areas) and areas.max() >= NEAR_SHARE * known.size)

    def is_confirmed(self, seen: Sequence[Found], num_frames: int) -> bool:
        """Return whether what was found in one frame, and followed through others, is a person.

        ``seen``: the frames in which it was seen; ``num_frames``: those through which it could be followed.
        """
        scores = [one.confidence for one in seen]
        is_lasting = len(seen) >= min(MIN_SEEN, num_frames)
        return is_lasting and (seen[0].is_portrait or seen[0].has_face or sum(scores) / len(scores) >= CONFIRMED)

    def new_ones(self, found: Sequence[Found], known: Sequence[Found]) -> list[Found]:
        """Return the people of ``found`` that none of the ``known`` ones, of the same frame, covers."""
        if not known:
            return list(found)
        taken = np.maximum.reduce([one.matte for one in known])
        free = [one for one in found if taken[_rows(one.box, taken), _columns(one.box, taken)].mean() <= MAX_TAKEN]
        return [one for one in free if not any(_is_same(one, other) for other in known)]

    def advance(self, frame: np.ndarray, last: Found) -> Found | None:
        """Return a person of the frame before in the next frame; None if the person is lost."""
        if last.is_portrait:
            person = _look_at_portrait(frame, last.box, last.confidence)
        else:
            person = _look(frame, last.box, last.turns)
            if person is None or person.confidence < TURN_BELOW:
                turned = _looks(frame, [(last.box, (last.turns + k) % 4) for k in (1, 3)])
                seen = [one for one in (person, *turned) if one is not None]
                person = max(seen, key=lambda one: one.confidence, default=None)
        is_lost = person is None or person.confidence < LOST or person.area < MIN_AREA_RATIO * last.area
        return None if is_lost else person

    def look_at(self, frame: np.ndarray, x: float, y: float) -> Found | None:
        """Return the person at a point of a frame who is surest, even one that a search does not find; None for nobody.

        ``x`` and ``y``: in pixels.
        """
        short = min(frame.shape[:2])
        halves = [share * short / 2 / MARGIN for share in POINT_SHARES]
        places = [((x - half, y - half, x + half, y + half), turns) for half in halves for turns in range(4)]
        seen = [one for one in _looks(frame, places) if one is not None and _covers(one, x, y)]
        again = _looks(frame, [(one.box, one.turns) for one in sorted(seen, key=lambda one: -one.confidence)[:3]])
        sure = [one for one in (*seen, *again) if one is not None and one.confidence >= LIKELY and _covers(one, x, y)]
        return max(sure, key=lambda one: one.confidence, default=None)

    def look_in(self, frame: np.ndarray, box: Sequence[float]) -> Found | None:
        """Return the person in a box (left, top, right, bottom) of a frame, the matte clipped to it, or None."""
        seen = [one for one in _looks(frame, [(box, turns) for turns in range(4)]) if one is not None]
        sure = [one for one in seen if one.confidence >= LIKELY and box_overlap(one.box, box) >= SAME_FACE]
        best = max(sure, key=lambda one: one.confidence * box_overlap(one.box, box), default=None)
        if best is None:
            return None
        matte = np.zeros_like(best.matte)
        inside = _rows(box, frame), _columns(box, frame)
        matte[inside] = best.matte[inside]
        return replace(best, matte=matte)

    def recognise(self, frame: np.ndarray, matte: np.ndarray) -> Found | None:
        """Return the person in a frame whose matte (H, W) float32 is known, as ``advance`` needs it; None if empty."""
        kept, box = _main_parts(matte)
        if box is None:
            return None
        seen = [one for one in _looks(frame, [(box, turns) for turns in range(4)]) if one is not None]
        best = max(seen, key=lambda one: overlap(one.matte, kept) * one.confidence, default=None)
        near, height = _segments(frame, [(box, 0)])[0], len(frame)
        is_low = box[3] >= height * (1 - PORTRAIT_EDGE) and box[3] - box[1] >= PORTRAIT_HEIGHT * height
        if is_low and (best is None or overlap(near, kept) > overlap(best.matte, kept)):
            return Found(kept, box, 1.0, np.empty((0, 3)), is_portrait=True)
        return None if best is None else replace(best, matte=kept, box=_with_joints(box, best.points))

    def _candidates(self, frame: np.ndarray) -> list[tuple[float, float, float, float]]:
        """Return the boxes that may show a person, the largest first."""
        squares = list(_tiles(frame.shape[1], frame.shape[0]))
        mattes = network("person").run([square.crop(frame, SIDE_PX) for square in squares])[0][:, 0]
        sized: list[tuple[float, tuple[float, float, float, float]]] = []
        for square, matte in zip(squares, mattes, strict=True):
            count, _, figures, _ = cv2.connectedComponentsWithStats((matte > INSIDE).astype(np.uint8))
            for left, top, across, down, area in figures[1:count]:
                if area >= MIN_TILE_SHARE * matte.size:
                    scale = square.side / SIDE_PX
                    x, y = square.x + left * scale, square.y + top * scale
                    sized.append((float(area) * scale**2, (x, y, x + across * scale, y + down * scale)))
        kept: list[tuple[float, float, float, float]] = []
        for _, box in sorted(sized, reverse=True):
            if all(box_overlap(box, other) < SAME_BOX for other in kept):
                kept.append(box)
        return kept

    def _identify(self, frame: np.ndarray, boxes: Sequence[Sequence[float]]) -> list[Found]:
        """Return the people in those of the boxes that show one, the largest box first."""
        height, width = frame.shape[:2]
        first = _looks(frame, [(box, 0) for box in boxes])
        likely = [one for one in first if one is not None and one.confidence >= LIKELY]
        people = []
        for person, near in _look_twice(frame, likely):
            signs = Signs.of(person, near)
            agrees = signs.agreement >= FACE_AGREEMENT
            has_face = agrees and signs.softness < FACE_SOFTNESS and _has_face(frame, near, person.box)
            if signs.probability < PERSON and not has_face:
                continue
            is_low = person.box[3] >= height * (1 - PORTRAIT_EDGE)
            is_portrait = agrees and is_low and person.box[3] - person.box[1] >= PORTRAIT_HEIGHT * height
            person = replace(person, has_face=has_face)
            people.append(replace(person, matte=near, is_portrait=True) if is_portrait else person)
        large = [box for box in boxes if (box[2] - box[0]) * (box[3] - box[1]) >= TURNED_SHARE * width * height]
        shown = np.maximum.reduce([one.matte for one in people]) if people else None
        rest = [
            box
            for box in large
            if shown is None or shown[_rows(box, frame), _columns(box, frame)].mean() < MAX_TAKEN / 4
        ]
        turned = _looks(frame, [(box, turns) for box in rest[:MAX_TURNED] for turns in (1, 2, 3)])
        likely = [one for one in turned if one is not None and one.confidence >= TURNED]
        people += [one for one, near in _look_twice(frame, likely) if Signs.of(one, near).probability >= PERSON]
        return people


def _look_twice(frame: np.ndarray, people: Sequence[Found]) -> list[tuple[Found, np.ndarray]]:
    """Look at people again, in the squares around what was seen; return each with its matte by selfie segmentation."""
    again = _looks(frame, [(one.box, one.turns) for one in people])
    seen = [new or old for new, old in zip(again, people, strict=True)]
    return list(zip(seen, _segments(frame, [(one.box, one.turns) for one in seen]), strict=True))


def _rows(box: Sequence[float], frame: np.ndarray) -> slice:
    """Return the rows of a box that lie in a frame, at least one."""
    top = min(max(0, int(box[1])), len(frame) - 1)
    return slice(top, max(top, min(int(box[3]), len(frame) - 1)) + 1)


def _columns(box: Sequence[float], frame: np.ndarray) -> slice:
    """Return the columns of a box that lie in a frame, at least one."""
    left = min(max(0, int(box[0])), frame.shape[1] - 1)
    return slice(left, max(left, min(int(box[2]), frame.shape[1] - 1)) + 1)


def _covers(person: Found, x: float, y: float) -> bool:
    """Return whether a person's matte is inside at a point, in pixels."""
    height, width = person.matte.shape
    return bool(person.matte[min(max(0, int(y)), height - 1), min(max(0, int(x)), width - 1)] > INSIDE)


def _is_same(person: Found, other: Found) -> bool:
    """Return whether two mattes show the same person: they agree, or the first lies within the other."""
    inside = person.matte > INSIDE
    within = float((inside & (other.matte > INSIDE)).sum()) / max(1, int(inside.sum()))
    return within >= SAME_PERSON or overlap(person.matte, other.matte) >= SAME_MATTE


Place = tuple[Sequence[float], int]  # A box, and the quarter turns of the square around it


def _look(frame: np.ndarray, box: Sequence[float], turns: int) -> Found | None:
    """Return the person that BlazePose sees in the square around a box; None if it is empty."""
    return _looks(frame, [(box, turns)])[0]


def _looks(frame: np.ndarray, places: Sequence[Place]) -> list[Found | None]:
    """Return what BlazePose sees at each place of a frame; None where it is empty."""
    if not places:
        return []
    squares, size = [Square.around(box, MARGIN, turns) for box, turns in places], (frame.shape[1], frame.shape[0])
    masks, heat = network("pose").run([square.crop(frame, SIDE_PX) for square in squares])
    found: list[Found | None] = []
    for square, mask, maps in zip(squares, masks, heat, strict=True):
        matte = square.paste(1 / (1 + np.exp(-np.clip(mask[0], -30, 30))), size)
        kept, bounds = _main_parts(matte)
        points = _joints(maps[:NUM_JOINTS], square)
        score = float(np.sort(points[:, 2])[-SURE_JOINTS:].mean())
        whole = None if bounds is None else _with_joints(bounds, points)
        found.append(None if whole is None else Found(kept, whole, score, points, square.turns))
    return found


def _with_joints(box: tuple[float, float, float, float], points: np.ndarray) -> tuple[float, float, float, float]:
    """Return a box that contains the sure joints (n, 3), too, as a matte may miss a limb that they show."""
    sure = points[points[:, 2] >= SURE_JOINT]
    if not len(sure):
        return box
    (left, top), (right, bottom) = sure[:, :2].min(0), sure[:, :2].max(0)
    return min(box[0], float(left)), min(box[1], float(top)), max(box[2], float(right)), max(box[3], float(bottom))


def _look_at_portrait(frame: np.ndarray, box: Sequence[float], confidence: float) -> Found | None:
    """Return the half-length figure around a box by selfie segmentation; None if it is empty."""
    kept, bounds = _main_parts(_segments(frame, [(box, 0)])[0])
    return None if bounds is None else Found(kept, bounds, confidence, np.empty((0, 3)), is_portrait=True)


def _segments(frame: np.ndarray, places: Sequence[Place]) -> list[np.ndarray]:
    """Return the matte of selfie segmentation at each place of a frame, (H, W)."""
    if not places:
        return []
    squares = [Square.around(box, PORTRAIT_MARGIN, turns) for box, turns in places]
    mattes = network("person").run([square.crop(frame, SIDE_PX) for square in squares])[0][:, 0]
    size = frame.shape[1], frame.shape[0]
    return [square.paste(matte, size) for square, matte in zip(squares, mattes, strict=True)]


def joints_of(frame: np.ndarray, person: Found) -> np.ndarray:
    """Return the joints of a person in a frame, (33, 3), also of a half-length figure; all 0 if they are not seen."""
    if len(person.points):
        return person.points
    seen = _look(frame, person.box, 0)
    return np.zeros((NUM_JOINTS, 3)) if seen is None else seen.points


def _joints(heat: np.ndarray, square: Square) -> np.ndarray:
    """Return the joints of heat maps (n, h, w): (n, 3), x and y in pixels of the frame, and the score."""
    count, height, width = heat.shape
    scores = 1 / (1 + np.exp(-np.clip(heat, -30, 30)))
    best = scores.reshape(count, -1).argmax(1)
    rows, columns = best // width, best % width
    places = np.stack([(columns + 0.5) / width, (rows + 0.5) / height], axis=1)
    return np.concatenate([square.points(places), scores.reshape(count, -1).max(1)[:, None]], axis=1)


def _main_parts(matte: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float, float] | None]:
    """Return a matte without its small separate parts, and the box of the rest; None for an empty one."""
    count, labels, figures, _ = cv2.connectedComponentsWithStats((matte > INSIDE).astype(np.uint8))
    areas = figures[1:, cv2.CC_STAT_AREA]
    if not len(areas) or areas.max() < 24:
        return matte, None
    large = [k + 1 for k, area in enumerate(areas) if area >= MIN_PART * areas.max()]
    if len(large) < count - 1:
        small = ~np.isin(labels, [0, *large])
        matte = np.where(cv2.dilate(small.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0, np.minimum(matte, 0), matte)
    left, top = (min(figures[k][edge] for k in large) for edge in (cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP))
    right = max(figures[k][cv2.CC_STAT_LEFT] + figures[k][cv2.CC_STAT_WIDTH] for k in large)
    bottom = max(figures[k][cv2.CC_STAT_TOP] + figures[k][cv2.CC_STAT_HEIGHT] for k in large)
    return matte, (float(left), float(top), float(right), float(bottom))


def _has_face(frame: np.ndarray, matte: np.ndarray, box: Sequence[float]) -> bool:
    """Return whether a face is found in a box, and lies inside a matte (H, W)."""
    height, width = matte.shape
    for face in _sure_faces(frame, [Square.around(box, 1.1), Square.around(box, 1.8)]):
        x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
        if 0 <= x < width and 0 <= y < height and matte[int(y), int(x)] > INSIDE:
            return True
    return False


class FaceFinder:
    """Finds the faces in frames (H, W, 3) uint8, and follows them from frame to frame."""

    kind: ClassVar[str] = "face"

    def search(self, frame: np.ndarray) -> list[Found]:
        """Return the faces in a frame, the surest first."""
        return _sure_faces(frame, list(_tiles(frame.shape[1], frame.shape[0], (*TILE_SHARES, 0.36))))

    def new_ones(self, found: Sequence[Found], known: Sequence[Found]) -> list[Found]:
        """Return the faces of ``found`` that are none of the ``known`` ones of the same frame."""
        return [one for one in found if all(box_overlap(one.box, other.box) < SAME_FACE for other in known)]

    def may_show_more(self, frame: np.ndarray, known: np.ndarray) -> bool:
        """Return whether a glance at a frame shows a near face outside of a matte (H, W)."""
        whole = next(_tiles(frame.shape[1], frame.shape[0]))
        return any(float((one.matte * (1 - known)).sum()) > 0.5 * one.area for one in _faces_in(frame, [whole], FACE))

    def is_confirmed(self, seen: Sequence[Found], num_frames: int) -> bool:
        """Return whether what was found in one frame, and followed through others, is a face."""
        return len(seen) >= min(MIN_SEEN, num_frames)

    def advance(self, frame: np.ndarray, last: Found) -> Found | None:
        """Return a face of the frame before in the next frame; None if it is lost."""
        near = _faces_in(frame, [Square.around(last.box, FACE_MARGIN)], FACE_LOST)
        return max(near, key=lambda one: box_overlap(one.box, last.box), default=None)


def _sure_faces(frame: np.ndarray, squares: Sequence[Square]) -> list[Found]:
    """Return the faces in squares of a frame that a second, nearer look confirms, the surest first."""
    found: list[Found] = []
    for face in _faces_in(frame, squares, FACE_CANDIDATE):
        near = _faces_in(frame, [Square.around(face.box, FACE_MARGIN)], FACE)
        again = max(near, key=lambda one: box_overlap(one.box, face.box), default=None)
        if again is not None and all(box_overlap(again.box, other.box) < SAME_FACE for other in found):
            found.append(again)
    return sorted(found, key=lambda one: -one.confidence)


def _faces_in(frame: np.ndarray, squares: Sequence[Square], least: float) -> list[Found]:
    """Return the faces in squares of a frame whose score is at least ``least``, the surest first."""
    pictures = [square.crop(frame, FACE_SIDE_PX) for square in squares]
    values, logits = network("face").run(pictures, signed=True)
    scores = 1 / (1 + np.exp(-np.clip(logits[..., 0], -30, 30)))
    anchors, seen = _anchors(), []
    for square, own, score in zip(squares, values, scores, strict=True):
        for number in np.flatnonzero(score >= least):
            places = own[number].reshape(8, 2) / FACE_SIDE_PX
            centre, size = places[0] + anchors[number], places[1]
            corners = square.points(np.stack([centre - size / 2, centre + size / 2]))
            landmarks = square.points(places[2:] + anchors[number])
            seen.append((float(score[number]), (*corners[0], *corners[1]), landmarks))
    kept: list[tuple[float, tuple[float, float, float, float], np.ndarray]] = []
    for one in sorted(seen, key=lambda one: -one[0]):
        if all(box_overlap(one[1], other[1]) < SAME_FACE for other in kept):
            kept.append(one)
    size = frame.shape[1], frame.shape[0]
    return [
        Found(face_oval(points, size), box, score, np.column_stack([points, np.full(len(points), score)]))
        for score, box, points in kept
    ]


@cache
def _anchors() -> np.ndarray:
    """Return the centres of BlazeFace's anchors, (896, 2), from 0 to 1."""
    found = []
    for cells, repeats in ANCHORS_PER_CELL:
        y, x = (np.mgrid[0:cells, 0:cells] + 0.5) / cells
        found.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), repeats, axis=0))
    return np.concatenate(found).astype(np.float32)


def face_oval(landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the matte, (H, W) float32, of the oval of a face with BlazeFace's landmarks (6, 2), in pixels.

    ``size``: the (width, height) of the frame.
    """
    eyes, ears = (landmarks[RIGHT_EYE] + landmarks[LEFT_EYE]) / 2, (landmarks[RIGHT_EAR] + landmarks[LEFT_EAR]) / 2
    up = eyes - landmarks[MOUTH]
    length = max(float(np.hypot(*up)), 1.0)
    up = up / length
    top, bottom = eyes + ABOVE_EYES * length * up, landmarks[MOUTH] - BELOW_MOUTH * length * up
    half_height = float(np.hypot(*(top - bottom))) / 2
    across = np.array([-up[1], up[0]])
    centre = (top + bottom) / 2 + 0.5 * float((ears - eyes) @ across) * across  # A face that is turned lies behind
    half_width = max(float(np.hypot(*(landmarks[LEFT_EAR] - landmarks[RIGHT_EAR]))) / 2, MIN_WIDTH * half_height)
    matte = np.zeros((size[1], size[0]), np.float32)
    axes, angle = (half_width, half_height), math.degrees(math.atan2(across[1], across[0]))
    ellipse = cv2.RotatedRect(tuple(map(float, centre)), tuple(2 * float(axis) for axis in axes), angle)
    cv2.ellipse(matte, ellipse, 1.0, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(matte, (0, 0), max(0.5, OVAL_BLUR * half_height))


def _tiles(width: int, height: int, shares: Sequence[float] = TILE_SHARES) -> Iterator[Square]:
    """Yield the squares that a search looks at: one around the whole frame, and rows of squares of each share."""
    longer, shorter = max(width, height), min(width, height)
    yield Square((width - longer) / 2, (height - longer) / 2, longer)
    for share in shares:
        side = share * shorter
        starts = []
        for length in (width, height):
            count = max(1, math.ceil((length - side) / (side * TILE_STEP) - 1e-6) + 1)
            starts.append(np.linspace(0, max(0.0, length - side), count))
        yield from (Square(float(x), float(y), side) for y in starts[1] for x in starts[0])


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two mattes (H, W), from 0 to 1; 0 if both are empty."""
    one, other = first > INSIDE, second > INSIDE
    return float((one & other).sum() / max(1, (one | other).sum()))


def box_overlap(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the intersection over union of two boxes (left, top, right, bottom)."""
    across = max(0.0, min(first[2], second[2]) - max(first[0], second[0]))
    down = max(0.0, min(first[3], second[3]) - max(first[1], second[1]))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return across * down / max(1e-6, sum(areas) - across * down)


FINDERS = {finder.kind: finder for finder in (PersonFinder, FaceFinder)}  # Finders by what they find
