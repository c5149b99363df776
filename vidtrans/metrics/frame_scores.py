"""Frame-by-frame scores of one video, or of one against another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from vidtrans.flow.warping import warp
from vidtrans.metrics.clip_scores import Series, divide, mean
from vidtrans.metrics.motion import FlowPair
from vidtrans.metrics.picture_quality import PSNR_CAP, SSIM_WINDOW, psnr_of, squared_error, ssim

FEWEST = 0.01  # share of the picture in which the flow has to be reliable; from less nothing can be said
# What is finer than this share of the short side the eye does not see flicker (Kelly 1979: at 5 Hz and more, contrast
# along the motion is seen up to some 3 periods a degree; a picture seen from three times its height is 19° high).
FINEST = 1 / 256
INDEPENDENT = math.sqrt(2 / 3)  # makes frames that each lie s beside the truth, independently, read s

Summary = dict[str, float | None]


class ScoreSeries(Protocol):
    """A series of measurements, one for each frame of a video."""

    def summary(self) -> Summary:
        """Return a number for each measure, or None if undefined."""

    def series(self) -> dict[str, Series]:
        """Return a value per frame for each measure with data."""


class Steadiness:
    """The steadiness of a video along the motion of its source.

    The warping error is E of Lai et al. (ECCV 2018), ``Σ m (W(second) − first)² / (3 Σ m)`` in units of full scale
    squared, 0 to 1: m are the pixels where the source's flow is reliable. Sampling is bilinear, as in the published
    evaluator: it blurs all videos alike, and does not overshoot at edges as bicubic sampling does.
    """

    def __init__(self) -> None:
        self.errors: list[float | None] = []
        self.flickers: list[float | None] = []
        self._last = self._before = np.empty(0, np.float32)

    def add(self, picture: np.ndarray, motion: FlowPair | None, both: np.ndarray | None) -> None:
        """Add a frame, (H, W, 3) float32 in [0, 1], and the motion that leads to it; None at the start of a shot.

        ``both`` (H, W) bool: where the previous frame's flows to both of its neighbours are reliable.
        """
        self.errors.append(None)
        self.flickers.append(None)
        if motion is not None:
            after = warp(picture, motion.there)
            self.errors[-1] = masked_error(after, self._last, motion.reliable)
            if both is not None:
                self.flickers[-2] = stabilised_flicker(self._before, self._last, after, both)
            self._before = warp(self._last, motion.back)
        self._last = picture

    def summary(self) -> Summary:
        """Return the mean warping error (full scale squared) and flicker (8-bit levels); None if unknown."""
        return {"warping_error": mean(self.errors), "flicker": mean(self.flickers)}

    def series(self) -> dict[str, Series]:
        """Return the values of each frame."""
        return {"warping_error": tuple(self.errors), "flicker": tuple(self.flickers)} if self.errors else {}


def masked_error(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float | None:
    """Return the mean squared difference over a mask (H, W) bool; None if the mask is nearly empty."""
    return None if mask.mean() < FEWEST else float(_mean_square(a - b, mask))


def stabilised_flicker(before: np.ndarray, here: np.ndarray, after: np.ndarray, reliable: np.ndarray) -> float | None:
    """Return the visible flicker after motion compensation, in 8-bit levels.

    ``before`` and ``after`` are the neighbours of ``here`` (H, W, 3) float32 in [0, 1], warped to its pixels along the
    motion of the source; ``reliable`` (H, W) bool: where both flows are reliable. None if that is nearly nowhere. The
    second difference, here − (before + after) / 2, is 0 for a steady fade and largest for frame-to-frame alternation,
    like the eye's sensitivity at 24 to 30 frames a second. It is smoothed in space, since fine flicker is
    invisible; then its RMS over pixels and channels is taken. If each frame's brightness is independently off by s
    levels, the result is s.
    """
    if reliable.mean() < FEWEST:
        return None
    weight = reliable.astype(np.float32)
    jump = (here - (before + after) / 2) * weight[..., None]
    sigma = max(1.0, FINEST * min(here.shape[:2]))
    # Smoothed over the reliable pixels alone: each counts as much as it lies within.
    share = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-6)
    smooth = cv2.GaussianBlur(jump, (0, 0), sigma) / share[..., None]
    return 255 * INDEPENDENT * math.sqrt(_mean_square(smooth, reliable))


def _mean_square(difference: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean square over the pixels of a mask, and over channels."""
    squares = np.einsum("hwc,hwc->hw", difference, difference)
    return float(squares[mask].mean(dtype=np.float64)) / difference.shape[2]


class Nearness:
    """The similarity of a video to its reference."""

    def __init__(self) -> None:
        self._errors: list[float | None] = []
        self._similar: list[float | None] = []
        self._sharp: list[tuple[float, float]] = []

    def add(self, picture: np.ndarray, wanted: np.ndarray, sharp: float, wanted_sharp: float) -> None:
        """Add a frame of the video and its reference, (H, W, 3) uint8, and the sharpness of each, in grey levels."""
        self._errors.append(squared_error(picture, wanted))
        self._similar.append(ssim(picture, wanted) if min(picture.shape[:2]) >= SSIM_WINDOW else None)
        self._sharp.append((sharp, wanted_sharp))

    def skip(self) -> None:
        """Add a frame without scores."""
        self._errors.append(None)
        self._similar.append(None)
        self._sharp.append((0.0, 0.0))

    def summary(self) -> Summary:
        """Return the scores of the clip; PSNR comes from the mean error, so that identical frames do not raise it."""
        error = mean(self._errors)
        own, wanted = (sum(column) for column in zip(*self._sharp or [(0.0, 0.0)], strict=True))
        return {
            "psnr": None if error is None else _capped(error),
            "ssim": mean(self._similar),
            "sharpness": divide(own, wanted),
        }

    def series(self) -> dict[str, Series]:
        """Return the scores of each frame."""
        if not self._errors:
            return {}
        return {
            "psnr": tuple(None if e is None else _capped(e) for e in self._errors),
            "ssim": tuple(self._similar),
            "sharpness": tuple(divide(own, wanted) for own, wanted in self._sharp),
        }


def _capped(error: float) -> float:
    """Return the PSNR in dB of a squared error, capped because JSON has no infinity."""
    return min(PSNR_CAP, psnr_of(error))


@dataclass(frozen=True)
class Ghost:
    """Mean differences of a frame, in 8-bit levels, in its newly uncovered ``pixels`` and in all others."""

    uncovered: float
    elsewhere: float
    pixels: int

    @property
    def excess(self) -> float:
        """The additional error of the newly uncovered pixels."""
        return self.uncovered - self.elsewhere


class Ghosting:
    """Ghosting in a video: old content that shines through where something was uncovered."""

    def __init__(self) -> None:
        self._ghosts: list[Ghost | None] = []

    def add(self, ghost: Ghost | None) -> None:
        """Add the next frame's ghost; None if it was not measured."""
        self._ghosts.append(ghost)

    def summary(self) -> Summary:
        """Return the mean errors of newly uncovered pixels and of all others, and the difference, the ghosting.

        In 8-bit levels; None if the clip has no newly uncovered pixels.
        """
        found = combine_ghosts([g for g in self._ghosts if g])
        return {
            "ghosting": found.excess if found else None,
            "error_uncovered": found.uncovered if found else None,
            "error_elsewhere": found.elsewhere if found else None,
        }

    def series(self) -> dict[str, Series]:
        """Return the ghosting of each frame."""
        return {"ghosting": tuple(g.excess if g else None for g in self._ghosts)} if any(self._ghosts) else {}


def measure_ghost(output: np.ndarray, wanted: np.ndarray, uncovered: np.ndarray) -> Ghost | None:
    """Measure the error of a frame against the wanted one, in newly uncovered pixels and in all others.

    ``output`` and ``wanted`` (the per-frame picture, or a reference) are (H, W, 3) uint8, ``uncovered`` (H, W) bool. A
    filter that averages over time changes the whole picture; in uncovered areas it averages unrelated content and
    changes it more, so an old picture shines through. None if no pixel is new, or all are.
    """
    pixels = int(np.count_nonzero(uncovered))
    if not 0 < pixels < uncovered.size:
        return None
    off = cv2.absdiff(output, wanted).mean(axis=2, dtype=np.float32)
    total, new = off.sum(dtype=np.float64), off[uncovered].sum(dtype=np.float64)
    return Ghost(float(new / pixels), float((total - new) / (uncovered.size - pixels)), pixels)


def combine_ghosts(ghosts: list[Ghost]) -> Ghost | None:
    """Return the mean of a clip's ghosts, weighted by their numbers of new pixels; None without any."""
    pixels = sum(g.pixels for g in ghosts)
    if not pixels:
        return None
    uncovered, elsewhere = (sum(getattr(g, k) * g.pixels for g in ghosts) / pixels for k in ("uncovered", "elsewhere"))
    return Ghost(uncovered, elsewhere, pixels)
