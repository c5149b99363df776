"""The points of a person, and where they stand in the lists of each detector.

All detectors are brought to one list, so that a model trained on the poses of one takes those of another: 24 points of
the body (OpenPose's COCO-18 and six of the feet), 21 of the left and of the right hand, 68 of the face.
"""

from __future__ import annotations

import numpy as np

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
