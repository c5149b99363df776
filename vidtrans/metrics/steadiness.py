"""How much a video changes along the motion of its source. Pictures are (H, W, 3) float32 RGB in [0, 1]."""

from __future__ import annotations

import math

import cv2
import numpy as np

from vidtrans.flow.warping import warp

FEWEST = 0.01  # share of the picture that has to be followed; from less nothing can be said
# What is finer than this share of the short side the eye does not see flicker (Kelly 1979: at 5 Hz and more, contrast
# along the motion is seen up to some 3 periods a degree; a picture seen from three times its height is 19° high).
FINEST = 1 / 256
INDEPENDENT = math.sqrt(2 / 3)  # makes frames that each lie s beside the truth, independently, read s


def warping_error(first: np.ndarray, second: np.ndarray, flow: np.ndarray, followed: np.ndarray) -> float | None:
    """E of Lai et al. (ECCV 2018) for two frames of a video: the mean squared difference along the motion.

    ``Σ m (W(second) − first)² / (3 Σ m)`` in units of full scale squared, 0 to 1. ``flow`` (H, W, 2) float32 leads from
    the first to the second frame of the *source*, ``followed`` (H, W) bool says where it can be relied on. None where
    that is nearly nowhere. Sampling is bilinear, as in the published evaluator: what it blurs it blurs in all videos
    alike, and without the overshoot that bicubic sampling adds to edges.
    """
    return masked_error(warp(second, flow), first, followed)


def masked_error(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float | None:
    """Mean squared difference over the pixels of a mask (H, W) bool; None where it holds hardly any."""
    return None if mask.mean() < FEWEST else float(_mean_square(a - b, mask))


def stabilised_flicker(before: np.ndarray, here: np.ndarray, after: np.ndarray, followed: np.ndarray) -> float | None:
    """What the eye sees flicker once motion is taken out, in 8-bit levels; None where hardly anything is followed.

    ``before`` and ``after`` are the neighbours of ``here``, brought to its pixels along the motion of the source;
    ``followed`` (H, W) bool says where both can be relied on. The second difference, here − (before + after) / 2, is
    nothing for a steady fade and largest for what goes to and fro from frame to frame, as the eye has it at 24 to 30
    frames a second. It is smoothed in space, since fine flicker is not seen; then its RMS over pixels and channels
    is taken. Frames whose brightness lies s levels beside the truth, each independently, read s.
    """
    if followed.mean() < FEWEST:
        return None
    weight = followed.astype(np.float32)
    jump = (here - (before + after) / 2) * weight[..., None]
    sigma = max(1.0, FINEST * min(here.shape[:2]))
    # Smoothed over the pixels that are followed alone: each counts as much as it lies within.
    share = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-6)
    smooth = cv2.GaussianBlur(jump, (0, 0), sigma) / share[..., None]
    return 255 * INDEPENDENT * math.sqrt(_mean_square(smooth, followed))


def _mean_square(difference: np.ndarray, mask: np.ndarray) -> float:
    """Over the pixels of a mask, and over channels."""
    squares = np.einsum("hwc,hwc->hw", difference, difference)
    return float(squares[mask].mean(dtype=np.float64)) / difference.shape[2]
