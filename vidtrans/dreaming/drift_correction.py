"""Drift correction: keep the statistics of a rollout's frames within the range of the training frames.

Fed-back frames drift in mean, contrast and large-scale brightness long before they lose their content. The model file
has the range of each statistic over the training frames; values outside are clamped to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.core.errors import ModelError
from vidtrans.core.settings import Table

CELLS = 4  # Number of cells along each side of the picture whose mean colours are measured
# Slices of a statistics vector by name: channel means and deviations, cell means; the last value is fine detail.
_PARTS = {"mean": slice(0, 3), "deviation": slice(3, 6), "cells": slice(6, 6 + 3 * CELLS**2)}
_DETAIL = 6 + 3 * CELLS**2  # Index of the fine detail in a statistics vector
_COUNT = _DETAIL + 1  # Length of a statistics vector
_DIGITS = 5  # Decimal digits of the statistics in a model file
# Factors on the training minimum and maximum of contrast and detail, beyond which a rollout cannot recover
COLLAPSED, EXPLODED = 0.4, 2.5
ROUNDING_ERROR = 0.004  # Error by rounding to 8 bits: half a level, in the range [-1, 1]
PATIENCE = 12  # Number of consecutive drifted frames after which a rollout restarts from its seed
MAX_GAIN = 2.0  # Largest contrast gain per frame; in a flat picture a larger gain would only amplify rounding errors

# A small model predicts a frame in 4 ms and a call of torch or NumPy takes 10 µs, so this module makes few calls.


@lru_cache(maxsize=8)
def _averaging_matrix(length: int, device: torch.device) -> Tensor:
    """Return the matrix that averages pixels over each cell along one side, (CELLS, length) float32."""
    shares = torch.zeros(CELLS, length)
    shares[torch.arange(length) * CELLS // length, torch.arange(length)] = 1
    return (shares / shares.sum(1, keepdim=True).clamp_min(1)).to(device)


@lru_cache(maxsize=8)
def _interpolation_matrix(length: int, device: torch.device) -> Tensor:
    """Return the matrix that interpolates cells bicubically along one side, (length, CELLS) float32."""
    cells = torch.eye(CELLS)[None, None]
    spread = F.interpolate(cells, (CELLS, length), mode="bicubic", align_corners=False)[0, 0]
    return spread.T.contiguous().to(device)


@lru_cache(maxsize=8)
def _cell_areas(height: int, width: int) -> np.ndarray:
    """Return each cell's share of the picture's area, (16,) float32."""
    rows, columns = (np.bincount(np.arange(n) * CELLS // n, minlength=CELLS) / n for n in (height, width))
    return np.outer(rows, columns).astype(np.float32).ravel()


def measure_statistics(picture: Tensor) -> np.ndarray:
    """Return a picture's channel means and deviations, cell means and fine detail, (55,) float32.

    ``picture``: (3, H, W) float32 in [-1, 1]. Fine detail is the root mean square of the second difference along one
    diagonal, in every fourth row.
    """
    height, width = picture.shape[1:]
    down, across = _averaging_matrix(height, picture.device), _averaging_matrix(width, picture.device)
    flat = picture.reshape(3, -1)
    bend = picture[:, :-2:4, :-2] + picture[:, 2::4, 2:]
    bend.sub_(picture[:, 1:-1:4, 1:-1], alpha=2)
    sums = [(down @ (picture @ across.T)).reshape(-1), torch.linalg.vecdot(flat, flat), bend.square_().mean()[None]]
    statistics = torch.cat(sums).cpu().numpy()
    cells, squares = statistics[: 3 * CELLS**2], statistics[3 * CELLS**2 : -1]
    mean = cells.reshape(3, -1) @ _cell_areas(height, width)
    deviation = np.sqrt(np.maximum(squares / (height * width) - mean * mean, 0))
    return np.concatenate([mean, deviation, cells, np.sqrt(statistics[-1:])])


def frame_statistics(pictures: Iterable[np.ndarray]) -> Table:
    """Return the statistics of training frames, each (H, W, 3) uint8, as a table for the model file.

    For each kind: the ``low``est and ``high``est value, the ``mean``, and the ``spread``, a standard deviation.
    """
    rows = [measure_statistics(torch.from_numpy(p).permute(2, 0, 1).to(torch.float32) / 127.5 - 1) for p in pictures]
    table = np.stack(rows).astype(np.float64)
    statistics = {"low": table.min(0), "high": table.max(0), "mean": table.mean(0), "spread": table.std(0)}
    places = _PARTS | {"detail": slice(_DETAIL, _COUNT)}
    return {
        part: {kind: [round(float(v), _DIGITS) for v in values[place]] for kind, values in statistics.items()}
        for part, place in places.items()
    }


@dataclass(frozen=True)
class FrameStatistics:
    """Statistics of a clip's training frames, see ``measure_statistics``.

    ``low``, ``high`` and ``typical``: the smallest, the largest and the mean value of each statistic, (55,) float32.
    ``low`` and ``high`` have a margin.
    """

    low: np.ndarray
    high: np.ndarray
    typical: np.ndarray

    @classmethod
    def of(cls, table: Table) -> FrameStatistics:
        """Return the statistics from a model file's table. Raises ModelError if it is damaged."""
        try:
            parts = [table[name] for name in (*_PARTS, "detail")]
            low, high, typical, spread = (
                np.concatenate([np.asarray(part[kind], np.float32) for part in parts])
                for kind in ("low", "high", "mean", "spread")
            )
            whole = np.stack([low, high, typical, spread])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError("the model's frame statistics", f"damaged ({error})", "train or copy it again") from None
        if whole.shape != (4, _COUNT) or not np.isfinite(whole).all() or (low > high).any():
            raise ModelError("the model's frame statistics", "damaged", "train or copy it again")
        # The training clip shows only a part of its scene, so values slightly outside the range are not drift.
        low, high = low - spread / 2 - ROUNDING_ERROR, high + spread / 2 + ROUNDING_ERROR
        for at in (_PARTS["deviation"], slice(_DETAIL, _COUNT)):
            low[at] = np.maximum(low[at], 0)
        return cls(low, high, typical)

    def widened(self, *, places: bool, channels: bool) -> FrameStatistics:
        """Return the statistics with wider ranges, from ``low`` to ``high``.

        ``places``: all cells get the same range. ``channels``: all channels get the same range.
        """
        low, high = self.low.copy(), self.high.copy()
        of_cells = _PARTS["cells"]
        if places:
            cells = low[of_cells].reshape(3, -1), high[of_cells].reshape(3, -1)
            low[of_cells] = np.repeat(cells[0].min(1), CELLS**2)
            high[of_cells] = np.repeat(cells[1].max(1), CELLS**2)
        if channels:
            for part in _PARTS.values():
                rows = low[part].reshape(3, -1), high[part].reshape(3, -1)
                low[part] = np.tile(rows[0].min(0), 3)
                high[part] = np.tile(rows[1].max(0), 3)
        return replace(self, low=low, high=high)

    def mean_and_deviation(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the typical mean and standard deviation of the channels, (3,) each."""
        return self.typical[_PARTS["mean"]], self.typical[_PARTS["deviation"]]


class DriftCorrector:
    """Moves the statistics of pictures into a training range, by a ``strength`` from 0 (unchanged) to 1."""

    def __init__(self, statistics: FrameStatistics, strength: float) -> None:
        self.statistics, self.strength = statistics, strength

    def __call__(self, picture: Tensor) -> tuple[Tensor, bool]:
        """Correct a picture, (3, H, W) float32 in [-1, 1]; also return whether it drifted too far to recover.

        A picture within the range is returned unchanged. Per-channel gain and offset move means and deviations to the
        limit of their range; remaining differences of the cells are added as smooth planes.
        """
        statistics, low, high = measure_statistics(picture), self.statistics.low, self.statistics.high
        is_lost = self._is_lost(statistics)
        target = np.minimum(np.maximum(statistics, low), high)
        if np.array_equal(target[:_DETAIL], statistics[:_DETAIL]):
            return picture, is_lost
        gain = target[_PARTS["deviation"]] / np.maximum(statistics[_PARTS["deviation"]], 1e-6)
        gain = np.minimum(np.maximum(gain, 1 / MAX_GAIN), MAX_GAIN)
        offset = target[_PARTS["mean"]] - gain * statistics[_PARTS["mean"]]
        cells = _PARTS["cells"]
        stretched = np.repeat(gain, CELLS**2) * statistics[cells] + np.repeat(offset, CELLS**2)
        missing = np.minimum(np.maximum(stretched, low[cells]), high[cells]) - stretched
        planes = _interpolate_cells(self.strength * (missing + np.repeat(offset, CELLS**2)), picture)
        gains = torch.from_numpy(1 + self.strength * (gain - 1)).to(picture)
        return planes.addcmul_(picture, gains[:, None, None]).clamp_(-1, 1), is_lost

    def _is_lost(self, statistics: np.ndarray) -> bool:
        """Return whether contrast or fine detail is too far from the training range to recover."""
        for part in (_PARTS["deviation"], slice(_DETAIL, _COUNT)):
            value, low, high = (
                float(numbers[part].mean()) for numbers in (statistics, self.statistics.low, self.statistics.high)
            )
            if not low * COLLAPSED <= value <= high * EXPLODED:
                return True
        return False


def _interpolate_cells(cells: np.ndarray, picture: Tensor) -> Tensor:
    """Interpolate values of the cells, (3, 16), to smooth planes of a picture's size, (3, H, W) float32."""
    small = torch.from_numpy(cells.reshape(3, CELLS, CELLS)).to(picture)
    down, across = (_interpolation_matrix(side, picture.device) for side in picture.shape[1:])
    return down @ small @ across.T
