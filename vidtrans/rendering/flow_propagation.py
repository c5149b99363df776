"""Drafts: every n-th frame is painted, those between are carried there from both sides along the source's motion."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.reliability import agreement
from vidtrans.flow.warp import resize_flow, warp
from vidtrans.temporal.stream import Sample

CARRIED_VERSION = "1"
FLOW, SHORT_SIDE = "dis-fast", 540
CHECKED = 16  # of every so many groups, the middle frame is painted too, to say what carrying loses
LEAST = 0.02  # trust where nothing can be followed: the picture in time's middle is what is left


@dataclass(frozen=True)
class Draft:
    """Which frames are painted, of shots that are cut into groups of ``every``."""

    every: int

    def is_key(self, frame: int, shot_first: int, shot_stop: int) -> bool:
        """Of every group the first, and of every shot the last: they are painted."""
        return (frame - shot_first) % self.every == 0 or frame == shot_stop - 1

    def is_checked(self, frame: int, shot_first: int, shot_stop: int) -> bool:
        """Painted only to be compared: it is carried like its neighbours."""
        if self.is_key(frame, shot_first, shot_stop):
            return False
        group, place = divmod(frame - shot_first, self.every)
        return group % CHECKED == 0 and place == self.every // 2

    def reach(self, lo: int, hi: int, shot_first: int, shot_stop: int) -> tuple[int, int]:
        """The frames [lo, hi) of a shot, with those around that they are carried from."""
        last = shot_first + -(-(hi - 1 - shot_first) // self.every) * self.every
        return lo - (lo - shot_first) % self.every, max(hi, min(shot_stop, last + 1))


@dataclass(frozen=True)
class _Key:
    """A sample, and its guide as the flow method takes it."""

    sample: Sample
    seen: np.ndarray


@dataclass
class Carrier:
    """Fills in what was not painted. ``losses``: mean squared differences of those that were compared, in [0, 1]²."""

    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._flow = FlowEstimator(FLOW, SHORT_SIDE)

    def __call__(self, samples: Iterable[Sample]) -> Generator[Sample, None, None]:
        """Yield all samples in order. ``extras`` says which are painted, to be carried from ("key"), and which are to
        be carried ("carried"); it holds, of those that are compared, what was painted ("painted").
        """
        before: _Key | None = None
        waiting: list[Sample] = []
        for sample in samples:
            waiting.append(sample)
            if not sample.extras.pop("key", False):
                continue
            after = _Key(sample, self._flow.prepare(sample.guide))
            for held in waiting:
                if held.extras.pop("carried", False):
                    assert before is not None
                    self._carry(held, before, after)
                yield held
            before, waiting = after, []
        yield from waiting  # made earlier, and asked for again

    def _carry(self, sample: Sample, before: _Key, after: _Key) -> None:
        first, last, to = before.sample.index, after.sample.index, _Key(sample, self._flow.prepare(sample.guide))
        total, dtype = last - first, before.sample.output.dtype
        made, weights = [], []
        for key, share in ((before, last - sample.index), (after, sample.index - first)):
            picture, trust = self._brought(key, to)
            made.append(picture)
            weights.append(cv2.merge([share / total * (trust + LEAST)] * 3))
        mixed = (made[0] * weights[0] + made[1] * weights[1]) / (weights[0] + weights[1])
        full = np.iinfo(dtype).max
        sample.output = np.clip(np.rint(mixed), 0, full).astype(dtype)
        painted = sample.extras.pop("painted", None)
        if painted is not None:
            self.losses.append(float(np.mean(np.square((painted.astype(np.float32) - sample.output) / full))))

    def _brought(self, key: _Key, to: _Key) -> tuple[np.ndarray, np.ndarray]:
        """What was painted at ``key``, brought to another frame: (H, W, 3) float32, and trust in it, (H, W)."""
        there, back = self._flow.both(to.seen, key.seen)
        height, width = to.sample.guide.shape[:2]
        trust = cv2.resize(agreement(there, back), (width, height), interpolation=cv2.INTER_LINEAR)
        picture = warp(key.sample.output.astype(np.float32), resize_flow(there, width, height), bicubic=True)
        return picture, trust

    @property
    def psnr(self) -> float | None:
        """Of carried frames against painted ones, in dB; None where none were compared."""
        if not self.losses:
            return None
        return float(-10 * np.log10(max(float(np.mean(self.losses)), 1e-10)))
