"""Background plates of a still camera: a test for pictures of one scene, and L1 weights for moving objects.

A plate is a median over frames, (H, W, 3) uint8, valid only for footage of the same scene and camera position. A moving
object is small and counts little in a mean over the picture, so pixels are weighted by their difference from their
shot's plate.
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

MAX_PICTURES = 61  # Maximum number of pictures in a median; odd, so that the median is one of the values.
MIN_PICTURES = 5  # Minimum number of pictures in a median; with fewer, moving objects stay visible.
SHORT_SIDE_PX = 128  # Short side in pixels to which pictures are reduced for the comparison with a plate.
NUM_BLOCKS = 12  # Number of compared blocks along the short side of a picture.
MIN_CONTRAST = 3.0  # Minimum RMS contrast of a block that can be recognised, in grey levels.
MIN_CORRELATION = 0.7  # Minimum correlation of two blocks that match.
MIN_STRUCTURED_SHARE = 0.02  # Minimum share of blocks with contrast; with fewer, only the brightness is compared.
MAX_GREY_DIFFERENCE = 24.0  # Maximum difference between the means of two blocks that match, in grey levels.

# Chosen on 25 shots of 18 clips: 13 shots with a camera at rest (a walk, a juggler …) have a stillness ≥ 0.60.
# 11 shots with a moving camera, or filled by a moving object, have a stillness ≤ 0.37.
# A hand-held shot of a table has a stillness of 0.62, and its plate fits.
# Minimum ``stillness`` of a shot with a still camera, 0 to 1.
STILL = 0.5
# On the same shots, the visible share with the plate of another shot is at most 0.24.
# With the plate of their own scene, half of the frames of a still clip have a visible share of at least 0.68.
# Once the camera is shifted by four of 128 pixels, frames of four clips have a visible share from 0.28 to 0.53.
# Minimum ``visible_share`` of a frame with the plate of its own scene, 0 to 1.
SAME_SCENE = 0.4

FULL_MOTION = 40.0  # Difference from the plate, in levels of 255, from which a pixel has the full motion weight.
# Blur σ of the motion map, as a share of the short side, so that the surroundings of motion get weight too.
BLUR_SIGMA = 1 / 64
MAX_PICTURES_OF_SHOTS = 1200  # Maximum number of pictures that are read for the plates of all shots together.


@dataclass(frozen=True)
class BackgroundPlate:
    """The background plate of a dataset: the median of the targets (``picture``) and of the source frames (``scene``).

    ``still``: the ``stillness`` of the source frames, 0 to 1.
    """

    picture: np.ndarray
    scene: np.ndarray
    still: float

    @property
    def is_still(self) -> bool:
        """Return whether the camera of the source frames is still."""
        return self.still >= STILL

    def for_record(self) -> Table:
        """Return the plate's size and stillness, for the record in the model file."""
        return {"size": [self.picture.shape[1], self.picture.shape[0]], "still": self.still}


def find_background_plate(pairs: Sequence[Pair]) -> BackgroundPlate | None:
    """Return the background plate of pairs; None for mixed picture sizes, or fewer than ``MIN_PICTURES`` pairs."""
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
    """Return the share of ``plate``, 0 to 1, that is visible in a frame, as the 10 % quantile over ``frames``."""
    return round(float(np.quantile([visible_share(f, plate) for f in frames], 0.1)), 3)


def median(pictures: Iterable[np.ndarray]) -> np.ndarray:
    """Return the median of pictures (H, W, 3) uint8, per pixel and channel.

    Of an even number, the lower middle value.
    """
    stack = np.stack(list(pictures))
    middle = (len(stack) - 1) // 2
    return np.ascontiguousarray(np.partition(stack, middle, axis=0)[middle])


def visible_share(picture: np.ndarray, plate: np.ndarray) -> float:
    """Return the share of a picture's blocks that match the plate, 0 to 1. Both are (H, W, 3) uint8, of any size.

    Light and contrast may differ; blocks without structure in both are ignored. Pictures without structure are compared
    by brightness.
    """
    scale = SHORT_SIDE_PX / min(plate.shape[:2])
    size = (max(1, round(plate.shape[1] * scale)), max(1, round(plate.shape[0] * scale)))
    a, b = (_blocks(_grey(p, size)) for p in (picture, plate))
    means = np.abs(a.mean(1) - b.mean(1))
    a, b = (blocks - blocks.mean(1, keepdims=True) for blocks in (a, b))
    rms = [np.sqrt(np.square(blocks).mean(1)) for blocks in (a, b)]
    has_structure = np.maximum(*rms) >= MIN_CONTRAST
    if has_structure.mean() < MIN_STRUCTURED_SHARE:
        return float((means <= MAX_GREY_DIFFERENCE).mean())
    correlation = (a * b).mean(1) / np.maximum(rms[0] * rms[1], 1e-6)
    return float((correlation[has_structure] >= MIN_CORRELATION).mean())


def _grey(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a picture in grey at ``size`` (width, height), slightly blurred, (H, W) float32 in levels of 255."""
    grey = cv2.cvtColor(resize(picture, *size), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), 1.0)


def _blocks(grey: np.ndarray) -> np.ndarray:
    """Split a grey picture, (H, W) float32, into square blocks, (blocks, pixels)."""
    side = min(grey.shape) // NUM_BLOCKS
    rows, columns = (s // side for s in grey.shape)
    cut = grey[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return cut.transpose(0, 2, 1, 3).reshape(rows * columns, side * side)


class MotionWeights:
    """A ``PixelWeights`` function for the L1 loss: pixels that differ from their shot's plate count more.

    ``weight``: the maximum that motion adds to a pixel's weight of 1. ``plates``: the plate and the mean weight of the
    shot, by target, for shots with a still camera.
    """

    def __init__(self, weight: float, plates: Mapping[Path, tuple[np.ndarray, float]]) -> None:
        self.weight, self.plates = weight, plates

    def __call__(self, pair: Pair, geometry: Geometry, target: np.ndarray) -> np.ndarray:
        """Return pixel weights, (1, H, W) float32, for a pair's transformed ``target``, (H, W, 3) uint8.

        The weights' mean over a shot is 1. All weights are 1 if the camera moves.
        """
        if pair.target not in self.plates:
            return np.ones((1, *target.shape[:2]), np.float32)
        plate, mean = self.plates[pair.target]
        sigma = BLUR_SIGMA * min(geometry.scaled)
        return (_weights(target, geometry.apply(plate), sigma, self.weight) / np.float32(mean))[None]


def find_motion_weights(dataset: Dataset, pairs: Sequence[Pair], weight: float) -> MotionWeights:
    """Return the motion weights for ``pairs``; only shots with a still camera and one picture size have a plate."""
    shots_of = {dataset.path(r.target or r.file): (r.source, r.shot) for r in dataset.records}
    targets_of: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for pair in pairs:
        targets_of[shots_of[pair.target]].append(pair.target)
    max_pictures = min(MAX_PICTURES, max(MIN_PICTURES, MAX_PICTURES_OF_SHOTS // max(1, len(targets_of))))
    plates: dict[Path, tuple[np.ndarray, float]] = {}
    for targets in targets_of.values():
        if len(targets) < MIN_PICTURES or len({picture_size(t) for t in targets}) > 1:
            continue
        frames = [read_picture(targets[i]) for i in segment_centres(len(targets), min(len(targets), max_pictures))]
        plate = median(frames)
        if stillness(frames, plate) < STILL:
            continue
        sigma = BLUR_SIGMA * min(plate.shape[:2])
        mean = float(np.mean([_weights(f, plate, sigma, weight).mean() for f in frames]))
        plates |= dict.fromkeys(targets, (plate, mean))
    return MotionWeights(weight, plates)


def _weights(picture: np.ndarray, plate: np.ndarray, sigma: float, weight: float) -> np.ndarray:
    """Return pixel weights, (H, W) float32: 1 where a picture equals the plate, up to 1 + ``weight`` where it differs.

    ``sigma``: the blur of the difference, in pixels.
    """
    difference = cv2.absdiff(picture, plate).mean(axis=2, dtype=np.float32)
    moving = cv2.GaussianBlur(difference, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) / FULL_MOTION
    weights: np.ndarray = 1 + np.float32(weight) * np.minimum(moving, 1)
    return weights
