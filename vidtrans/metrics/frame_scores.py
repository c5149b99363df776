"""The scores of one video, or of one against another, frame by frame."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from vidtrans.flow.warping import warp
from vidtrans.metrics.clip_scores import Series, divide, mean
from vidtrans.metrics.ghosts import Ghost, combine_ghosts
from vidtrans.metrics.motion import FlowPair
from vidtrans.metrics.picture_quality import PSNR_CAP, SSIM_WINDOW, psnr_of, squared_error, ssim
from vidtrans.metrics.steadiness import masked_error, stabilised_flicker

Summary = dict[str, float | None]


class ScoreSeries(Protocol):
    """Holds what was measured of each frame."""

    def summary(self) -> Summary:
        """A number for each measure, None where there is none."""

    def series(self) -> dict[str, Series]:
        """A value for each frame, of the measures that there are."""


class Steadiness:
    """A video along the motion of its source."""

    def __init__(self) -> None:
        self.errors: list[float | None] = []
        self.flickers: list[float | None] = []
        self._last = self._before = np.empty(0, np.float32)

    def add(self, picture: np.ndarray, motion: FlowPair | None, both: np.ndarray | None) -> None:
        """The next frame, (H, W, 3) float32 in [0, 1], and the motion that leads to it; None at the start of a shot.

        ``both`` (H, W) bool: what of the frame before it is followed to either side.
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
        return {"warping_error": mean(self.errors), "flicker": mean(self.flickers)}

    def series(self) -> dict[str, Series]:
        return {"warping_error": tuple(self.errors), "flicker": tuple(self.flickers)} if self.errors else {}


class Nearness:
    """A video against the one that it should be."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._similar: list[float | None] = []
        self._sharp: list[tuple[float, float]] = []

    def add(self, picture: np.ndarray, wanted: np.ndarray, sharp: float, wanted_sharp: float) -> None:
        """A frame of each, (H, W, 3) uint8, and how sharp each is."""
        self._errors.append(squared_error(picture, wanted))
        self._similar.append(ssim(picture, wanted) if min(picture.shape[:2]) >= SSIM_WINDOW else None)
        self._sharp.append((sharp, wanted_sharp))

    def summary(self) -> Summary:
        """PSNR is that of the whole clip's error: a frame that is equal does not lift it."""
        error = mean(self._errors)
        own, wanted = (sum(column) for column in zip(*self._sharp or [(0.0, 0.0)], strict=True))
        return {
            "psnr": None if error is None else _capped(error),
            "ssim": mean(self._similar),
            "sharpness": divide(own, wanted),
        }

    def series(self) -> dict[str, Series]:
        if not self._errors:
            return {}
        return {
            "psnr": tuple(_capped(e) for e in self._errors),
            "ssim": tuple(self._similar),
            "sharpness": tuple(divide(own, wanted) for own, wanted in self._sharp),
        }


class Ghosting:
    """What shines through in a video."""

    def __init__(self) -> None:
        self._ghosts: list[Ghost | None] = []

    def add(self, ghost: Ghost | None) -> None:
        self._ghosts.append(ghost)

    def summary(self) -> Summary:
        found = combine_ghosts([g for g in self._ghosts if g])
        return {
            "ghosting": found.excess if found else None,
            "error_uncovered": found.uncovered if found else None,
            "error_elsewhere": found.elsewhere if found else None,
        }

    def series(self) -> dict[str, Series]:
        return {"ghosting": tuple(g.excess if g else None for g in self._ghosts)} if any(self._ghosts) else {}


def _capped(error: float) -> float:
    """In dB; JSON knows no infinity."""
    return min(PSNR_CAP, psnr_of(error))
