"""Scores of an unpaired translation, whose outputs have no reference pictures.

Pictures are (H, W, 3) uint8. ``distributions`` compares the set of outputs with the other domain; the scores here
judge single outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

import cv2
import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.warping import warp
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.clip_scores import NOTICEABLE, mean
from vidtrans.metrics.distributions import evenly
from vidtrans.metrics.frame_scores import masked_error
from vidtrans.metrics.motion import FlowPair
from vidtrans.metrics.picture_quality import l1
from vidtrans.video.images.picture import resize

COARSE_SIDE = 32  # pixels of the short side at which pictures are told apart: finer, noise would count as diversity
AREAS_SIDE = 16  # likewise at which light and dark are compared
MAX_PICTURES = 24  # that are compared with each other
REVERSED = -0.25  # the correlation of light below which light and dark have changed places, as nothing holds them

Pictures = Sequence[np.ndarray]
FramePair = tuple[np.ndarray, np.ndarray]  # a frame and the one after it


def pairwise_distance(pictures: Pictures) -> float | None:
    """Return the mean pairwise L1 distance of pictures at a coarse size, 0 to 1; None for fewer than two."""
    small = [_scaled(p, COARSE_SIDE) for p in evenly(pictures, MAX_PICTURES)]
    size = small[0].shape[1::-1] if small else (0, 0)
    return mean([l1(a, resize(b, *size)) for a, b in combinations([resize(p, *size) for p in small], 2)])


def diversity(outputs: Pictures, targets: Pictures) -> float | None:
    """Return the diversity of outputs, relative to that of the target's pictures.

    Near 0, all outputs are the same picture. None for fewer than two of either, and if all targets are alike.
    """
    own, wanted = pairwise_distance(outputs), pairwise_distance(targets)
    return None if own is None or wanted is None or wanted < 1 / 255 else own / wanted


def cycle_error(inputs: Pictures, returned: Pictures) -> float | None:
    """Return the mean L1 distance, 0 to 1, of inputs from their reconstructions by the cycle; None without inputs."""
    return mean([l1(a, b) for a, b in zip(inputs, returned, strict=True)])


def temporal_error(sources: Iterable[FramePair], outputs: Iterable[FramePair]) -> float | None:
    """Return the warping error of outputs along the source's flow, relative to the source's own.

    Each item is a frame and the next one of its shot. The source's error counts as at least one level of 255, since
    drawings have nearly none. None if no flow is reliable.
    """
    method = FLOWS.load(SCORING_FLOW)()
    own, given = [], []
    for (first, second), painted in zip(sources, outputs, strict=True):
        motion = FlowPair.between(grey(first), grey(second), method)
        errors = [_warping_error(pair, motion) for pair in ((first, second), painted)]
        if None not in errors:
            given.append(errors[0])
            own.append(errors[1])
    error, floor = mean(own), mean(given)
    return None if error is None or floor is None else error / max(floor, NOTICEABLE)


def light_correlation(sources: Pictures, outputs: Pictures) -> float | None:
    """Return the correlation of lightness between source and output, −1 to 1, by areas of a coarse picture.

    Over all pictures together, less the mean lightness of each; None if either side is flat.
    """
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for pair in zip(sources, outputs, strict=True):
        first = _scaled(pair[0], AREAS_SIDE)
        for side, picture in zip(sides, (first, resize(pair[1], *first.shape[1::-1])), strict=True):
            light = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64)
            side.append((light - light.mean()).ravel())
    if not sides[0]:
        return None
    first, second = (np.concatenate(side) for side in sides)
    size = np.sqrt(np.mean(first * first) * np.mean(second * second))
    return float(np.mean(first * second) / size) if size > 1 else None


def _warping_error(pair: FramePair, motion: FlowPair) -> float | None:
    first, second = (p.astype(np.float32) / 255 for p in pair)
    return masked_error(warp(second, motion.there), first, motion.reliable)


def _scaled(picture: np.ndarray, side: int) -> np.ndarray:
    """Return a picture resized to a short side of ``side`` pixels."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    return resize(picture, max(1, round(width * scale)), max(1, round(height * scale)))
