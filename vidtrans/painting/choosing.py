"""Which frames of a shot to paint: those that the other frames can be made of best.

Paint will be carried along the motion, as the source can be. So each choice of key frames is tried on the source: its
other frames are blended from the key frames, and compared with what they are.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.flow.warping import warp
from vidtrans.metrics.picture_quality import psnr_of
from vidtrans.painting.blending import shares, weigh
from vidtrans.painting.carrying import Guide, Step, carry_along

SHORT_SIDE = 135  # pixels, of the frames that are tried
CANDIDATES, SAMPLES = 13, 25  # of a shot, at least; more for more key frames
REACH = 24  # samples to either side that a candidate is carried to
EXHAUSTIVE = 2  # key frames, up to which all choices are tried
ROUNDS = 4  # of exchanges of one key frame for another, at most
BEST_DB = 60.0  # where nothing is missing


@dataclass(frozen=True)
class Choice:
    """Key frames of a shot, in order, and the mean PSNR of its other frames made of them, in dB."""

    keys: tuple[int, ...]
    psnr: float


def sample_numbers(first: int, stop: int, count: int) -> list[int]:
    """Return which frames of the shot [first, stop) ``count`` key frames are tried on."""
    return [first + n for n in segment_centres(stop - first, min(stop - first, max(SAMPLES, 4 * count)))]


class ShotChooser:
    """Tries key frames of one shot.

    Args:
        numbers: of the frames that are tried, in order.
        frames: (H, W, 3) uint8 each, small.
    """

    def __init__(self, numbers: Sequence[int], frames: Sequence[np.ndarray], count: int = EXHAUSTIVE) -> None:
        self._numbers = list(numbers)
        self._guides = [Guide.of(frame) for frame in frames]
        places = min(len(numbers), max(CANDIDATES, 2 * count))
        self._candidates = segment_centres(len(numbers), places)
        self._choices: dict[int, Choice] = {}

    @property
    def candidates(self) -> list[int]:
        """Return the numbers of the frames of which some are chosen."""
        return [self._numbers[place] for place in self._candidates]

    @property
    def most(self) -> int:
        """Return how many key frames can be told apart."""
        return len(self._candidates)

    def best(self, count: int) -> Choice:
        """Return the best choice of so many key frames, at most ``most``."""
        count = min(count, self.most)
        if count not in self._choices:
            self._choices[count] = self._search(count)
        return self._choices[count]

    def _search(self, count: int) -> Choice:
        if count <= EXHAUSTIVE:
            return self._choice(max(itertools.combinations(self._candidates, count), key=self._psnr))
        before = [self._numbers.index(key) for key in self.best(count - 1).keys]
        keys = max((tuple(sorted([*before, new])) for new in self._candidates if new not in before), key=self._psnr)
        for _ in range(ROUNDS):
            better = max(self._exchanges(keys), key=self._psnr, default=keys)
            if self._psnr(better) <= self._psnr(keys):
                break
            keys = better
        return self._choice(keys)

    def _exchanges(self, keys: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        """Yield the choices in which one key frame is a neighbouring candidate."""
        for at, key in enumerate(keys):
            place = self._candidates.index(key)
            for near in (place - 1, place + 1):
                if 0 <= near < len(self._candidates) and self._candidates[near] not in keys:
                    yield tuple(sorted((*keys[:at], self._candidates[near], *keys[at + 1 :])))

    def _choice(self, keys: tuple[int, ...]) -> Choice:
        return Choice(tuple(self._numbers[key] for key in keys), self._psnr(keys))

    def _psnr(self, keys: tuple[int, ...]) -> float:
        """The mean over samples that are no key frames.

        Of their squared errors those of a few frames, which no choice helps, would decide.
        """
        found = [self._frame_psnr(at, keys) for at in range(len(self._guides)) if at not in keys]
        return float(np.mean(found)) if found else BEST_DB

    def _frame_psnr(self, at: int, keys: tuple[int, ...]) -> float:
        near = [key for key in keys if at in self._carried[key]] or [min(keys, key=lambda key: abs(key - at))]
        total: np.ndarray | None = None
        weights: np.ndarray | None = None
        for key, share in zip(near, shares(self._numbers[at], [self._numbers[key] for key in near]), strict=True):
            picture, trust = self._carried[key].get(at) or (self._guides[key].rgb, np.float32(0))
            weight = weigh(trust, share)[..., None]
            total = picture * weight if total is None else total + picture * weight
            weights = weight if weights is None else weights + weight
        assert total is not None
        assert weights is not None
        return min(BEST_DB, psnr_of(float(np.square(total / weights - self._guides[at].rgb).mean())))

    @cached_property
    def _carried(self) -> dict[int, dict[int, tuple[np.ndarray, np.ndarray]]]:
        """What each candidate brings to the samples around it: the source, (H, W, 3) uint8, and trust in it, (H, W)."""
        return {key: dict(self._from(key)) for key in self._candidates}

    def _from(self, key: int) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
        for at, carried in carry_along(key, self._guides, self._steps, REACH):
            yield at, (warp(self._guides[key].rgb, carried.flow, bicubic=True), carried.trust)

    @cached_property
    def _steps(self) -> list[Step]:
        return [Step.between(*both) for both in itertools.pairwise(self._guides)]


def allot(choosers: Sequence[ShotChooser], lengths: Sequence[int], count: int) -> list[Choice]:
    """Return choices for shots of so many frames that come to ``count`` key frames: one each, more where it helps most.

    Fewer where the shots have no more frames to tell apart.
    """
    found = [chooser.best(1) for chooser in choosers]
    while sum(len(choice.keys) for choice in found) < count:
        open_shots = [n for n, chooser in enumerate(choosers) if len(found[n].keys) < chooser.most]
        if not open_shots:
            break

        def gain(shot: int) -> float:
            return (choosers[shot].best(len(found[shot].keys) + 1).psnr - found[shot].psnr) * lengths[shot]

        helped = max(open_shots, key=gain)
        found[helped] = choosers[helped].best(len(found[helped].keys) + 1)
    return found


def overall(choices: Sequence[Choice], lengths: Sequence[int]) -> float:
    """Return the mean PSNR of a clip's frames made of key frames, in dB."""
    return sum(c.psnr * n for c, n in zip(choices, lengths, strict=True)) / sum(lengths)
