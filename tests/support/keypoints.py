"""Made keypoints: a person who waves, as the files of several detectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# BODY_25 of a person who stands, x and y in heights of the body around the middle of the feet.
STANDING = np.array(
    (
        *((0, -0.92), (0, -0.8), (-0.1, -0.8), (-0.2, -0.65), (-0.25, -0.5), (0.1, -0.8), (0.2, -0.65), (0.25, -0.5)),
        *((0, -0.5), (-0.06, -0.5), (-0.07, -0.25), (-0.07, 0), (0.06, -0.5), (0.07, -0.25), (0.07, 0)),
        *((-0.02, -0.95), (0.02, -0.95), (-0.04, -0.93), (0.04, -0.93), (0.1, 0.03), (0.12, 0.03), (0.05, 0.02)),
        *((-0.1, 0.03), (-0.12, 0.03), (-0.05, 0.02)),
    )
)
# Of MediaPipe's 33 points, the one of BODY_25 that stands there; of the rest, one nearby.
MEDIAPIPE = (
    0,
    16,
    16,
    16,
    15,
    15,
    15,
    18,
    17,
    0,
    0,
    5,
    2,
    6,
    3,
    7,
    4,
    7,
    4,
    7,
    4,
    7,
    4,
    12,
    9,
    13,
    10,
    14,
    11,
    21,
    24,
    19,
    22,
)


def waving(number: int, tall: float = 80.0, x: float = 60.0, ground: float = 100.0) -> np.ndarray:
    """Points of BODY_25, (25, 2), in pixels; an arm moves with ``number``."""
    body = STANDING.copy()
    body[4] += (0.05 * np.sin(0.7 * number), -0.4 - 0.05 * np.cos(0.7 * number))
    return np.array((x, ground)) + tall * body


def openpose_person(points: np.ndarray, score: float = 0.9) -> dict[str, object]:
    """A person of OpenPose's JSON, of (25, 2) points."""
    triples = np.column_stack([points, np.full(len(points), score)]).round(4)
    return {"pose_keypoints_2d": triples.ravel().tolist(), "face_keypoints_2d": [], "hand_left_keypoints_2d": []}


def write_openpose(folder: Path, bodies: dict[int, Sequence[np.ndarray]]) -> Path:
    """Write OpenPose's folder: for each number the bodies of that frame."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, people in bodies.items():
        whole = {"version": 1.3, "people": [openpose_person(points) for points in people]}
        (folder / f"take_{number:012d}_keypoints.json").write_text(json.dumps(whole))
    return folder


def write_mediapipe(path: Path, bodies: Sequence[np.ndarray], size: tuple[int, int]) -> Path:
    """Write MediaPipe's normalised landmarks, a list of a frame each."""
    frames = [
        {"poseLandmarks": [{"x": x, "y": y, "z": -0.1, "visibility": 0.9} for x, y in points[list(MEDIAPIPE)] / size]}
        for points in bodies
    ]
    path.write_text(json.dumps(frames))
    return path


def write_table(path: Path, bodies: dict[int, Sequence[np.ndarray]]) -> Path:
    """Write a table: frame, person, point, x, y, score."""
    rows = [
        f"{number},{p},{k},{x:.4f},{y:.4f},0.9"
        for number, people in bodies.items()
        for p, points in enumerate(people)
        for k, (x, y) in enumerate(points)
    ]
    path.write_text("\n".join(["frame,person,point,x,y,score", *rows]))
    return path
