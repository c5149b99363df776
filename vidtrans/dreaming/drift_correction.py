"""The governor: a dream is kept within what its model saw in training, as far as it is asked to.

What is fed back drifts in mean, contrast and large-scale brightness long before it loses its content. A bank holds the
range of each over the training frames; what leaves it is brought back to its edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.errors import ModelError
from vidtrans.settings import Table

CELLS = 4  # a side
# Where the numbers of one picture begin: means and deviations of the channels, means of the cells, fine detail.
_PARTS = {"mean": slice(0, 3), "deviation": slice(3, 6), "cells": slice(6, 6 + 3 * CELLS**2)}
_DETAIL = 6 + 3 * CELLS**2
_COUNT = _DETAIL + 1
_DIGITS = 5
# As far below the least, or above the most, of what was seen in training there is nothing left to go on from.
COLLAPSED, EXPLODED = 0.4, 2.5
ROUNDING = 0.004  # half a level of 8 bits
PATIENCE = 12  # frames on end
STRETCHED = 2.0  # at most, in one frame: a flat picture has nothing but rounding to stretch


# A frame of a small model takes 4 ms, and each call of torch or NumPy its 10 µs: what can be derived is not measured.


@lru_cache(maxsize=8)
def _averaging(length: int, device: torch.device) -> Tensor:
    """(CELLS, length) float32: the mean of each cell along one side."""
    shares = torch.zeros(CELLS, length)
    shares[torch.arange(length) * CELLS // length, torch.arange(length)] = 1
    return (shares / shares.sum(1, keepdim=True).clamp_min(1)).to(device)


@lru_cache(maxsize=8)
def _spreading(length: int, device: torch.device) -> Tensor:
    """(length, CELLS) float32: a value for each cell, bicubically over one side."""
    cells = torch.eye(CELLS)[None, None]
    spread = F.interpolate(cells, (CELLS, length), mode="bicubic", align_corners=False)[0, 0]
    return spread.T.contiguous().to(device)


@lru_cache(maxsize=8)
def _areas(height: int, width: int) -> np.ndarray:
    """(16,) float32: each cell's share of the picture."""
    rows, columns = (np.bincount(np.arange(n) * CELLS // n, minlength=CELLS) / n for n in (height, width))
    return np.outer(rows, columns).astype(np.float32).ravel()


def measured(picture: Tensor) -> np.ndarray:
    """(3, H, W) float32 in [-1, 1] → (55,) float32: channel means, deviations, cells and fine detail, in its units.

    Fine detail is the root mean square of the second difference along one diagonal, in every fourth row.
    """
    height, width = picture.shape[1:]
    down, across = _averaging(height, picture.device), _averaging(width, picture.device)
    flat = picture.reshape(3, -1)
    bend = picture[:, :-2:4, :-2] + picture[:, 2::4, 2:]
    bend.sub_(picture[:, 1:-1:4, 1:-1], alpha=2)
    sums = [(down @ (picture @ across.T)).reshape(-1), torch.linalg.vecdot(flat, flat), bend.square_().mean()[None]]
    found = torch.cat(sums).cpu().numpy()
    cells, squares = found[: 3 * CELLS**2], found[3 * CELLS**2 : -1]
    mean = cells.reshape(3, -1) @ _areas(height, width)
    deviation = np.sqrt(np.maximum(squares / (height * width) - mean * mean, 0))
    return np.concatenate([mean, deviation, cells, np.sqrt(found[-1:])])


def frame_statistics(pictures: Iterable[np.ndarray]) -> Table:
    """(H, W, 3) uint8 each → the statistics that a model file keeps of its training frames, as plain numbers.

    Of each part: the ``low``est and the ``high``est that was seen, the ``mean``, and the ``spread``, a standard
    deviation. Raises ValueError where there are no pictures.
    """
    rows = [measured(torch.from_numpy(p).permute(2, 0, 1).to(torch.float32) / 127.5 - 1) for p in pictures]
    if not rows:
        raise ValueError("statistics need pictures")
    table = np.stack(rows).astype(np.float64)
    found = {"low": table.min(0), "high": table.max(0), "mean": table.mean(0), "spread": table.std(0)}
    places = _PARTS | {"detail": slice(_DETAIL, _COUNT)}
    return {
        part: {kind: [round(float(v), _DIGITS) for v in values[place]] for kind, values in found.items()}
        for part, place in places.items()
    }


@dataclass(frozen=True)
class FrameStatistics:
    """The band of each number of ``measured``, (55,) float32 each; ``typical`` is its mean in training."""

    low: np.ndarray
    high: np.ndarray
    typical: np.ndarray

    @classmethod
    def of(cls, table: Table) -> FrameStatistics:
        """Read the statistics of a model file. Raises ModelError where they are damaged."""
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
        # A clip shows less than its scene holds: just beyond what was seen is no drift yet.
        low, high = low - spread / 2 - ROUNDING, high + spread / 2 + ROUNDING
        for at in (_PARTS["deviation"], slice(_DETAIL, _COUNT)):
            low[at] = np.maximum(low[at], 0)
        return cls(low, high, typical)

    def loosened(self, *, places: bool, channels: bool) -> FrameStatistics:
        """Where a camera carries things to other ``places``, and turns their hues: bands that ignore either."""
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
        """Of the channels, (3,) each: what a picture is like that was seen in training."""
        return self.typical[_PARTS["mean"]], self.typical[_PARTS["deviation"]]


class DriftCorrector:
    """Pulls pictures into the bank's band. ``strength``: 0 leaves them, 1 brings them there wholly."""

    def __init__(self, bank: FrameStatistics, strength: float) -> None:
        self.bank, self.strength = bank, strength

    def __call__(self, picture: Tensor) -> tuple[Tensor, bool]:
        """(3, H, W) float32 in [-1, 1] → the same, governed, and whether it is far out of the band.

        What lies within comes back as it is. Means and deviations are brought to the edge of their bands by a gain and
        an offset of each channel, what the cells then still lack by smooth planes.
        """
        found, low, high = measured(picture), self.bank.low, self.bank.high
        strayed = self._strayed(found)
        wanted = np.minimum(np.maximum(found, low), high)
        if np.array_equal(wanted[:_DETAIL], found[:_DETAIL]):
            return picture, strayed
        gain = wanted[_PARTS["deviation"]] / np.maximum(found[_PARTS["deviation"]], 1e-6)
        gain = np.minimum(np.maximum(gain, 1 / STRETCHED), STRETCHED)
        offset = wanted[_PARTS["mean"]] - gain * found[_PARTS["mean"]]
        each = _PARTS["cells"]
        stretched = np.repeat(gain, CELLS**2) * found[each] + np.repeat(offset, CELLS**2)
        lacking = np.minimum(np.maximum(stretched, low[each]), high[each]) - stretched
        planes = _planes(self.strength * (lacking + np.repeat(offset, CELLS**2)), picture)
        gains = torch.from_numpy(1 + self.strength * (gain - 1)).to(picture)
        return planes.addcmul_(picture, gains[:, None, None]).clamp_(-1, 1), strayed

    def _strayed(self, found: np.ndarray) -> bool:
        """Whether there is too little, or too much, of contrast or of fine detail."""
        for part in (_PARTS["deviation"], slice(_DETAIL, _COUNT)):
            value, low, high = (float(numbers[part].mean()) for numbers in (found, self.bank.low, self.bank.high))
            if not low * COLLAPSED <= value <= high * EXPLODED:
                return True
        return False


def _planes(cells: np.ndarray, picture: Tensor) -> Tensor:
    """(3, 16) values of cells → smooth planes, (3, H, W) float32, of the picture's size."""
    small = torch.from_numpy(cells.reshape(3, CELLS, CELLS)).to(picture)
    down, across = (_spreading(side, picture.device) for side in picture.shape[1:])
    return down @ small @ across.T
