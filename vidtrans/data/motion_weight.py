"""Where something moves before a camera at rest: there the L1 counts more than in the background.

What moves is small, and what is small counts little in a mean over the picture: the network learns the wall before the
dancer. The background is a plate of the shot (``plate``); pixels weigh by how far they are from it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.data.augment import Geometry
from vidtrans.data.background_plate import FEWEST, MOST, STILL, median, stillness
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.video.images.picture import picture_size, read_picture

FULL = 40.0  # levels of 255 from the plate at which a pixel counts as moving
BLUR = 1 / 64  # σ, of the short side: what lies around something that moves counts too
MOST_READ = 1200  # pictures, of all shots together


class MotionWeights:
    """The weights of a dataset's pairs.

    ``plates``: a plate, and what its shot's weights are divided by, for each target in a shot with a camera at rest.
    """

    def __init__(self, weight: float, plates: Mapping[Path, tuple[np.ndarray, float]]) -> None:
        self.weight, self.plates = weight, plates

    def __call__(self, pair: Pair, geometry: Geometry, target: np.ndarray) -> np.ndarray:
        """(1, H, W) float32 for the pair's ``target`` (H, W, 3) uint8, cut out by ``geometry``: 1 on average of a shot.

        All 1 where the camera moves: there everything does.
        """
        if pair.target not in self.plates:
            return np.ones((1, *target.shape[:2]), np.float32)
        plate, mean = self.plates[pair.target]
        sigma = BLUR * min(geometry.scaled)
        return (_weights(target, geometry.apply(plate), sigma, self.weight) / np.float32(mean))[None]


def find_motion_weights(dataset: Dataset, pairs: Sequence[Pair], weight: float) -> MotionWeights:
    """Compute a plate for each shot that has one picture size and a still camera."""
    shots = _by_shot(dataset, pairs)
    most = min(MOST, max(FEWEST, MOST_READ // max(1, len(shots))))
    plates: dict[Path, tuple[np.ndarray, float]] = {}
    for targets in shots:
        if len(targets) < FEWEST or len({picture_size(t) for t in targets}) > 1:
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
    """(H, W) float32, 1 to 1 + ``weight``."""
    apart = cv2.absdiff(picture, plate).mean(axis=2, dtype=np.float32)
    moving = cv2.GaussianBlur(apart, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101) / FULL
    weights: np.ndarray = 1 + np.float32(weight) * np.minimum(moving, 1)
    return weights


def _by_shot(dataset: Dataset, pairs: Sequence[Pair]) -> list[list[Path]]:
    """Return the targets of the pairs, for each shot of each source."""
    places = {dataset.folder / (r.target or r.file): (r.source, r.shot) for r in dataset.records}
    shots: dict[tuple[int, int], list[Path]] = defaultdict(list)
    for pair in pairs:
        shots[places[pair.target]].append(pair.target)
    return list(shots.values())
