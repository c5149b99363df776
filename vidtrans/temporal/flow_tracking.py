"""Paths of pixels through several frames, and what is computed once of each sample."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2
import numpy as np

from vidtrans.flow.estimator import FlowEstimator, FlowPath
from vidtrans.flow.scaling import grid_factor, grid_size, shrink
from vidtrans.flow.warping import (
    agreement,
    resize_flow,
)
from vidtrans.temporal.settings import DeflickerSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.video.colour.conversion import unit

SLACK = 8.0  # pixels² of the frame between a path there and back

T = TypeVar("T")


def compute_once(sample: Sample, key: Hashable, compute: Callable[[], T]) -> T:
    """Return what ``compute`` returns, called once for a sample."""
    if key not in sample.derived:
        sample.derived[key] = compute()
    value: T = sample.derived[key]
    return value


class FlowTracker:
    """Flow between the frames of a window, on the grid, and how far it can be trusted."""

    def __init__(self, settings: DeflickerSettings, device: str) -> None:
        self._estimator = FlowEstimator(settings.flow, settings.flow_size or None, device)
        self._tolerance = settings.colour_sigma
        self._worker = ThreadPoolExecutor(1, "flow")  # beside the filter: OpenCV lets go of the interpreter

    def expect(self, before: Sample, after: Sample) -> None:
        """Begin the flow between neighbours in the background."""
        if "pair" not in before.derived:
            before.derived["pair"] = self._worker.submit(self._estimate, before, after)

    def neighbours(self, window: Window, at: int, steps: Iterable[int]) -> Iterator[tuple[int, FlowPath, np.ndarray]]:
        """Yield, for each step from frame ``at`` that stays in the window, a position, the path there and its trust.

        Steps are powers of 2, either way. The trust, (h, w) float32 from 0 to 1 on the grid, says how far that frame
        shows the same thing at each place.
        """
        for step in steps:
            if 0 <= at + step < len(window.samples):
                path = self._path(window, at, step)
                yield at + step, path, self._trust(window, at, step, path)

    def _path(self, window: Window, at: int, step: int) -> FlowPath:
        if abs(step) == 1:
            before, after = window.samples[min(at, at + step)], window.samples[max(at, at + step)]
            self.expect(before, after)
            pair: Future[tuple[FlowPath, FlowPath]] = before.derived["pair"]
            return pair.result()[0 if step > 0 else 1]

        def join() -> FlowPath:
            return self._path(window, at, step // 2).join(self._path(window, at + step // 2, step // 2))

        return compute_once(window.samples[at], ("path", step), join)

    def _trust(self, window: Window, at: int, step: int, path: FlowPath) -> np.ndarray:
        def compare() -> np.ndarray:
            here, there = (self._guide(window.samples[i]) for i in (at, at + step))
            difference = cv2.subtract(path.sample(there), here)
            difference *= difference
            distance = (difference.reshape(-1, 4) @ np.ones(4, np.float32)).reshape(path.u.shape)
            return path.reliable * cv2.exp(distance * np.float32(-0.5 / self._tolerance**2))

        return compute_once(window.samples[at], ("trust", step), compare)

    def _estimate(self, before: Sample, after: Sample) -> tuple[FlowPath, FlowPath]:
        first, second = (self._prepare(sample) for sample in (before, after))
        before.derived.pop("prepared")  # each frame is the second of a pair, and then the first of one
        height, width = before.guide.shape[:2]
        size, slack = grid_size(height, width), SLACK / grid_factor(height, width) ** 2
        there, back = (resize_flow(f, *size) for f in self._estimator.estimate_both(first, second))
        forward = FlowPath(there[..., 0].copy(), there[..., 1].copy(), agreement(there, back, slack))
        return forward, FlowPath(back[..., 0].copy(), back[..., 1].copy(), agreement(back, there, slack))

    def _prepare(self, sample: Sample) -> np.ndarray:
        return compute_once(sample, "prepared", lambda: self._estimator.prepare(sample.guide))

    @staticmethod
    def _guide(sample: Sample) -> np.ndarray:
        """Return the input on the grid: (h, w, 4) float32 in [0, 1], the last channel 1."""

        def pack() -> np.ndarray:
            return cv2.cvtColor(unit(shrink(sample.guide, grid_size(*sample.guide.shape[:2]))), cv2.COLOR_RGB2RGBA)

        return compute_once(sample, "guide", pack)
