"""The bounded window: neighbours brought to the frame along composed flows, and averaged where they agree.

No recursion: nothing drifts, and a frame depends on ``radius`` neighbours each way, no more. The neighbours
correct low frequencies only, each frame keeps its own detail (the split of a picture into what history
supplies and what the frame supplies). The correction is gathered on a half grid: its low band needs no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.flow import FLOWS
from vidtrans.flow.dis import grey
from vidtrans.flow.reliability import forward_backward, squared_length
from vidtrans.flow.warp import compose, resize_flow, warp
from vidtrans.settings import setting
from vidtrans.temporal.stream import Sample, Window


@dataclass(frozen=True)
class WindowSettings:
    """How far the window reaches and how much it may change."""

    radius: int = setting(4, "frames taken from each side", low=0, high=32)
    strength: float = setting(1.0, "share of the correction that is applied", low=0.0, high=1.0)
    detail: float = setting(2.0, "σ in pixels: finer structure than this stays the frame's own", low=0.0, high=16.0)
    tolerance: float = setting(
        0.1, "σ of the colour difference, 0 to 1, that still counts as the same", low=0.01, high=1.0
    )
    flow: str = setting("dis", "flow method", choices=tuple(FLOWS))


@dataclass(frozen=True)
class _Step:
    """Flow between neighbours on the half grid, in its pixels, with what of it is reliable (0 or 1)."""

    flow: np.ndarray
    reliable: np.ndarray


class WindowFilter:
    """The filter of ``--temporal window``."""

    version = 1
    Settings = WindowSettings

    def __init__(self, settings: WindowSettings) -> None:
        self.settings = settings
        self.radius = settings.radius
        self._flow = FLOWS.load(settings.flow)()

    def __call__(self, window: Window) -> np.ndarray:
        centre = window.samples[window.centre]
        guide, output = self._half(centre)
        total, weight = output.copy(), np.ones(output.shape[:2], np.float32)
        for direction in (1, -1):
            for picture, confidence in self._gather(window, direction, guide):
                total += picture * confidence[..., None]
                weight += confidence
        correction = total / weight[..., None] - output
        sigma = self.settings.detail / 2
        if sigma > 0:
            correction = cv2.GaussianBlur(correction, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        height, width = centre.output.shape[:2]
        correction = cv2.resize(correction, (width, height), interpolation=cv2.INTER_LINEAR)
        full = np.iinfo(centre.output.dtype).max
        result = centre.output + (full * self.settings.strength) * correction
        return np.clip(np.rint(result), 0, full).astype(centre.output.dtype)

    def _gather(self, window: Window, direction: int, guide: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Each neighbour on one side: its output at the centre's pixels, and how far to trust it there."""
        found: list[tuple[np.ndarray, np.ndarray]] = []
        path: np.ndarray | None = None
        reliable = np.ones(guide.shape[:2], np.float32)
        here = window.centre
        while 0 <= here + direction < len(window.samples):
            near, far = window.samples[here], window.samples[here + direction]
            step = self._pair(near, far)[0] if direction > 0 else self._pair(far, near)[1]
            if path is None:
                path, reliable = step.flow, step.reliable
            else:
                reliable = reliable * (warp(step.reliable, path) > 0.99)
                path = compose(path, step.flow)
            far_guide, far_output = self._half(far)
            difference = squared_length(warp(far_guide, path) - guide)
            confidence = reliable * np.exp(difference * (-0.5 / self.settings.tolerance**2))
            found.append((warp(far_output, path), confidence))
            here += direction
        return found

    def _half(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """Guide and output on the half grid, float32 in [0, 1]."""
        if "half" not in sample.extras:
            height, width = sample.guide.shape[:2]
            size = (max(1, (width + 1) // 2), max(1, (height + 1) // 2))
            sample.extras["half"] = tuple(
                cv2.resize(p, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.iinfo(p.dtype).max
                for p in (sample.guide, sample.output)
            )
        halves: tuple[np.ndarray, np.ndarray] = sample.extras["half"]
        return halves

    def _pair(self, first: Sample, second: Sample) -> tuple[_Step, _Step]:
        """From ``first`` to ``second`` and back; computed once a pair and kept with the first."""
        if "steps" not in first.extras:
            a, b = grey(first.guide), grey(second.guide)
            there, back = self._flow(a, b), self._flow(b, a)
            first.extras["steps"] = self._halve(first, there, back), self._halve(first, back, there)
        pair: tuple[_Step, _Step] = first.extras["steps"]
        return pair

    def _halve(self, sample: Sample, flow: np.ndarray, back: np.ndarray) -> _Step:
        height, width = self._half(sample)[0].shape[:2]
        share = cv2.resize(
            forward_backward(flow, back).astype(np.float32), (width, height), interpolation=cv2.INTER_AREA
        )
        # A half-grid pixel counts only where all four of its pixels do.
        return _Step(resize_flow(flow, width, height), (share > 0.99).astype(np.float32))
