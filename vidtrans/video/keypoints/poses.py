"""Keypoints as the pictures of a clip, one for each frame; see ``pictures.PictureFiles`` for the interface.

People are drawn from their keypoints: a colour for each limb and finger, the face in white lines, on black. Where these
pictures change, raise ``pairing.pose.Pose.version``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.video.images.still import Still
from vidtrans.video.keypoints.layouts import BODY, HEAD, LEFT, RIGHT
from vidtrans.video.keypoints.parsing import check_size, keypoint_files, read_keypoints
from vidtrans.video.keypoints.people import BodyPlace, fill_gaps, fit, follow, smooth_motion

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
FARTHEST = 4.0  # sides of the picture: points further out are not drawn


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
        points[(np.abs(points - np.array(size) / 2) > FARTHEST * max(size)).any(axis=1)] = np.nan
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


POSE_GUIDE = "keypoints"  # the guide of the pairing ``pose``: this, #, and the text of a ``PoseView``
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_UNKNOWN_SIDE = 512  # pixels, of a picture of normalised keypoints whose size nothing says


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
