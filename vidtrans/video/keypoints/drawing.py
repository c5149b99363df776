"""People drawn from their keypoints: a colour for each limb and finger, the face in white lines, on black.

Where the pictures change, raise ``pairing.pose.Pose.version``.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.video.keypoints.layouts import BODY, HEAD, LEFT, RIGHT

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
