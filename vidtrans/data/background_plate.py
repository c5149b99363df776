"""The background plate of a still camera, a test for pictures of its scene, and L1 weights for moving objects.

A plate is a median over frames, (H, W, 3) uint8, valid only for footage of this scene. A moving object is small and
counts little in a mean over the picture, so pixels are weighted by their difference from their shot's plate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.settings import Table
from vidtrans.data.augment import Geometry
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.video.images.picture import picture_size, read_picture, resize

MAX_PICTURES = 61  # The most pictures of a median, an odd number, so that it is one of the values.
MIN_PICTURES = 5  # The median of fewer pictures is no background.
SIDE = 128  # The short side in pixels at which pictures are compared.
BLOCKS = 12  # The number of blocks along the short side.
CONTRAST = 3.0  # The RMS contrast in grey levels from which on a block can be recognised.
CORRELATION = 0.7  # The least correlation of two blocks that match.
# The share of blocks with contrast below which colours decide, and the most grey levels between matching ones.
FLAT, ALIKE = 0.02, 24.0

# Chosen on 25 shots of 18 clips: the share of a frame's blocks that are found again in the median of its own shot,
# where that is lowest (a tenth of the frames have less). Of 13 shots with a camera at rest (a walk, a juggler, a flower
# that opens, the inside of a car) it is at least 0.60; of 11 with one that moves, or a picture filled by what moves, at
# most 0.37. (A hand-held shot of a table has 0.62: its plate fits.)
STILL = 0.5
# The same shots: in the medians of the other 24 no frame has more than 0.24; in its own plate half of a still clip's
# frames have at least 0.68, and on four of them from 0.28 to 0.53 once the camera is shifted by four of 128 pixels.
SAME_SCENE = 0.4

FULL_MOTION = 40.0  # The difference from the plate, in levels of 255, at which a pixel counts as moving.
BLUR = 1 / 64  # The σ of a blur as a share of the short side: the surroundings of motion count too.
MAX_PICTURES_OF_SHOTS = 1200  # The most pictures of the medians of all shots together.


@dataclass(frozen=True)
class BackgroundPlate:
    """The medians of a dataset's targets (``picture``) and of its source frames (``scene``), as a render reads them.

    ``still``: the share of the scene that is visible in a frame, 0 to 1, as the 10 % quantile of frames (``STILL``).
    """

    picture: np.ndarray
    scene: np.ndarray
    still: float

    @property
    def is_still(self) -> bool:
        """Return whether the camera is still."""
        return self.still >= STILL

    def for_record(self) -> Table:
        """Return the plate's size and ``still``, for the model file."""
        return {"size": [self.picture.shape[1], self.picture.shape[0]], "still": self.still}


def find_background_plate(pairs: Sequence[Pair]) -> BackgroundPlate | None:
    """Return the background plate of pairs; None if pictures differ in size, or are fewer than MIN_PICTURES."""
    if len(pairs) < MIN_PICTURES or len({picture_size(p.target) for p in pairs}) > 1:
        return None
    chosen = [pairs[i] for i in segment_centres(len(pairs), min(len(pairs), MAX_PICTURES))]
    targets = [read_picture(p.target) for p in chosen]
    frames = targets
    if any(p.inputs[0] != p.target for p in chosen):
        frames = [read_picture(p.inputs[0]) for p in chosen]
        if len({f.shape for f in frames}) > 1:
            return None
    scene = median(frames)
    return BackgroundPlate(scene if frames is targets else median(targets), scene, stillness(frames, scene))


def stillness(frames: Sequence[np.ndarray], plate: np.ndarray) -> float:
    """Return the share of ``plate`` that is visible in a frame, 0 to 1, as the 10 % quantile of ``frames``."""
    return round(float(np.quantile([agreement(f, plate) for f in frames], 0.1)), 3)


def median(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Return the median of pictures (H, W, 3) uint8, pixel by pixel; of an even number, the lower middle one."""
    stack = np.stack(list(pictures))
    middle = (len(stack) - 1) // 2
    return np.ascontiguousarray(np.partition(stack, middle, axis=0)[middle])


def agreement(picture: np.ndarray, plate: np.ndarray) -> float:
    """Return the share of a picture's blocks, 0 to 1, that match the plate. Both are (H, W, 3) uint8, of any size.

    Light and contrast may differ; blocks without structure in both are ignored. Pictures without structure are compared
    by colour.
    """
    scale = SIDE / min(plate.shape[:2])
    size = (max(1, round(plate.shape[1] * scale)), max(1, round(plate.shape[0] * scale)))
    a, b = (_blocks(_grey(p, size)) for p in (picture, plate))
    means = np.abs(a.mean(1) - b.mean(1))
    a, b = (blocks - blocks.mean(1, keepdims=True) for blocks in (a, b))
    rms = [np.sqrt(np.square(blocks).mean(1)) for blocks in (a, b)]
    has_structure = np.maximum(*rms) >= CONTRAST
    if has_structure.mean() < FLAT:
        return float((means <= ALIKE).mean())
    correlation = (a * b).mean(1) / np.maximum(rms[0] * rms[1], 1e-6)
    return float((correlation[has_structure] >= CORRELATION).mean())


def _grey(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    grey = cv2.cvtColor(resize(picture, *size), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), 1.0)


def _blocks(grey: np.ndarray) -> np.ndarray:
    side = min(grey.shape) // BLOCKS
    rows, columns = (s // side for s in grey.shape)
    cut = grey[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.transpose(0, 2, 1, 3).reshape(rows * columns, side * side)


class MotionWeights:
    """The weights of pixels in the L1 loss, ``PixelWeights`` of a dataset; ``weight``: the most that motion adds to 1.

    ``plates``: for each target in a shot with a still camera, the shot's plate and mean weight.
    """

    def __init__(self, weight: float, plates: Mapping[Path, tuple[np.ndarray, float]]) -> None:
        self.weight, self.plates = weight, plates

    def __call__(self, pair: Pair, geometry: Geometry, target: np.ndarray) -> np.ndarray:
        """Return weights (1, H, W) float32 for a pair's transformed ``target`` (H, W, 3) uint8, with mean 1 in a shot.

        All are 1 if the camera moves.
        """
        if pair.target not in self.plates:
            return np.ones((1, *target.shape[:2]), np.float32)
        plate, mean = self.plates[pair.target]
        sigma = BLUR * min(geometry.scaled)
        return (_weights(target, geometry.apply(plate), sigma, self.weight) / np.float32(mean))[None]


def find_motion_weights(dataset: Dataset, pairs: Sequence[Pair], weight: float) -> MotionWeights:
    """Return the weights of ``pairs``, with a plate for each shot of one picture size and a still camera."""
    shots_of = {dataset.path(r.target or r.file): (r.source, r.shot) for r in dataset.records}
    targets_of: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for pair in pairs:
        targets_of[shots_of[pair.target]].append(pair.target)
    most = min(MAX_PICTURES, max(MIN_PICTURES, MAX_PICTURES_OF_SHOTS // max(1, len(targets_of))))
    plates: dict[Path, tuple[np.ndarray, float]] = {}
    for targets in targets_of.values():
        if len(targets) < MIN_PICTURES or len({picture_size(t) for t in targets}) > 1:
            continue
        frames = [read_picture(targets[i]) for i in segment_centres(len(targets), min(len(targets), most))]
        plate = median(frames)
        if stillness(frames, plate) < STILL:
            continue
        sigma = BLUR * min(plate.shape[:2])
        mean = float(np.mean([_weights(f, plate, sigma, weight).mean() for f in frames]))
        plates |= dict.fromkeys(targets, (plate, mean))
    return MotionWeights(weight, plates)


def _weights(picture: np.ndarray, plate: np.ndarray, sigma: float, weight: float) -> np.ndarray:
    """Return weights from 1, on the plate, to 1 + ``weight``, far from it, (H, W) float32; ``sigma``: of the blur."""
    difference = cv2.absdiff(picture, plate).mean(axis=2, dtype=np.float32)
    moving = cv2.GaussianBlur(difference, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) / FULL_MOTION
    weights: np.ndarray = 1 + np.float32(weight) * np.minimum(moving, 1)
    return weights
