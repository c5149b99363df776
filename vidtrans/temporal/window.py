"""The bounded window: a frame is averaged with its neighbours along the motion; nothing is handed on.

Three things keep it from being a blur.

*Long windows of few steps.* Averaging (1, 2, 1)/4 with the frames next to it, then those averages 2 frames away, 4, 8
(the à trous scheme: Holschneider et al. 1989; Starck and Murtagh 1994) weighs 31 frames by a triangle at the cost of
8. Fine structure takes 2 or 3 of these steps, at full size and resampled sharply, low frequencies all of them, on
a grid. Where no neighbour can be followed low frequencies take the correction around.

*What the source explains is no flicker.* Where the look's detail changes as the source's does (a shadow passes, a
texture turns), the change is kept: it is predicted by a slope that is fitted around each place to the changes of both.
What the slope leaves unexplained is what flickers, or boils.

*Contrast is given back.* A mean of textures that do not fit onto each other is pale: its energy is brought back to
what the frames have.

A frame depends on ``radius`` neighbours on each side and on no more: a clip may be cut into chunks anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vidtrans.flow.warping import grid, sample_sharp, warp
from vidtrans.settings import setting
from vidtrans.temporal.fine_detail import FineDetail
from vidtrans.temporal.shared import (
    DeflickerSettings,
    FlowTracker,
    apply_correction,
    compute_once,
    enlarge_flow,
    grid_size,
    grow,
    low_correction,
    pack_channels,
    shrink,
)
from vidtrans.temporal.stream import Sample, Window

FULL_LEVELS = 3  # steps at full size; those beyond are for low frequencies only


@dataclass(frozen=True)
class WindowSettings(DeflickerSettings):
    """How far the window reaches and how much it may change."""

    radius: int = setting(
        15, "frames taken from each side: 1, 3, 7, 15 or 31, between them the lower; 0: no filter", low=0, high=31
    )


class WindowFilter:
    """The filter of ``--temporal window``."""

    version = 3
    Settings = WindowSettings

    def __init__(self, settings: WindowSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._levels = (settings.radius + 1).bit_length() - 1
        self.radius = 2**self._levels - 1
        self._full_levels = min(FULL_LEVELS, self._levels)
        self._tracker = FlowTracker(settings.flow, settings.flow_size, settings.colour_sigma, device)
        self._detail = FineDetail(self._tracker, settings.keep_source_changes, settings.texture_gain)
        self._stale = self._find_stale()

    def expect(self, before: Sample, after: Sample) -> None:
        """The flow between neighbours is begun beside the filter."""
        if self.radius and self.settings.strength:
            self._tracker.expect(before, after)

    def __call__(self, window: Window) -> np.ndarray:
        sample = window.samples[window.centre]
        if len(window.samples) == 1 or not self.settings.strength:
            return sample.output
        self._look_ahead(window)
        fine, slope = sample.extras.pop("fine")
        made = apply_correction(sample.output, self._low(window, slope), fine, self.settings)
        self._let_go(window)
        return made

    # Averages, level by level: 2^level − 1 frames each way

    def _lead(self, level: int) -> int:
        """How far ahead of the centre averages of a level are needed, in frames."""
        return self.radius - (2**level - 1)

    def _look_ahead(self, window: Window) -> None:
        """Make what is needed of the frames ahead, in their order."""
        for level in range(self._full_levels, max(self._levels, self._full_levels + 1)):
            first, last = window.centre - self._lead(level), window.centre + self._lead(level)
            for at in range(max(0, first), min(len(window.samples), last + 1)):
                made = window.samples[at].extras
                if made.get("made", 0) < level:
                    self._coarse(window, at, level)
                    self._share(window, at, level)
                    made["made"] = level

    def _let_go(self, window: Window) -> None:
        for key, ahead in self._stale:
            for sample in window.samples[: max(0, window.centre + ahead + 1)]:
                sample.extras.pop(key, None)

    def _find_stale(self) -> list[tuple[Any, int]]:
        """What is not needed any more when a frame is done, and how far ahead of that frame; behind, where negative.

        A step of averaging at level n takes frames 2^(n − 1) away; statistics are of frames up to 2 away.
        """
        top, levels = self._full_levels, self._levels
        leads = [self._lead(n) for n in range(levels + 1)] + [0]
        stale: list[tuple[Any, int]] = [(("level", n), leads[n + 1] - 2**n) for n in range(top)]
        stale += [("pair", leads[top] - 3), ("bands", leads[top] - 2), ("energy", leads[top] - 2)]
        for n in range(1, levels + 1):
            step = 2 ** (n - 1)
            used = min(leads[n], leads[top]) if n <= 2 else leads[n]
            for way in (step, -step):
                stale += [(("trust", way), used), (("way", way), min(used, leads[n + 1] - step if n < levels else 0))]
            stale += [(("share", n), leads[n + 1] - 2**n if n < levels else 0)]
            stale += [(("low", n), leads[n + 1] - 2**n)] if top <= n < levels else []
        reach = 2 ** (levels - 1)
        return [*stale, (("low", levels), 0), (("low", 0), 0), ("guide", -reach)]

    def _level(self, window: Window, at: int, level: int) -> np.ndarray:
        """The average at full size: (H, W, 4) float32 in [0, 1], the look's RGB and the guide's luma."""
        sample = window.samples[at]
        if level == 0:
            return compute_once(sample, ("level", 0), lambda: pack_channels(sample))

        def average() -> np.ndarray:
            total = 2 * self._level(window, at, level - 1)
            height, width = total.shape[:2]
            weight = np.full((height, width), 2, np.float32)
            for step in (2 ** (level - 1), -(2 ** (level - 1))):
                way = self._tracker.way(window, at, step)
                if way is None:
                    continue
                trust = grow(self._tracker.trust(window, at, step), (width, height))
                weight += trust
                places = grid(height, width) + enlarge_flow(way.flow, width, height)
                there = sample_sharp(self._level(window, at + step, level - 1), places)
                cv2.accumulateProduct(cv2.merge([trust] * 4), there, total)
            return cv2.divide(total, cv2.merge([weight] * 4), dst=total)

        return compute_once(sample, ("level", level), average)

    def _fine(self, window: Window, at: int) -> None:
        """Put down the correction of fine structure, (H, W, 3), with the slope of coarser detail, (h, w): "fine".

        The longest average at full size goes on from here on the grid only, for low frequencies.
        """
        sample, top = window.samples[at], self._full_levels
        levels = [pack_channels(sample), *(self._level(window, at, n) for n in sorted({min(2, top), top}))]
        size = grid_size(*levels[0].shape[:2])
        sample.extras["low", 0] = shrink(levels[0], size)
        sample.extras["low", top] = shrink(levels[-1], size)
        sample.extras["fine"] = self._detail(window, at, levels)
        del sample.extras["level", top]

    def _coarse(self, window: Window, at: int, level: int) -> np.ndarray:
        """The average on the grid: (h, w, 4) float32."""
        sample = window.samples[at]
        if level == self._full_levels and ("low", level) not in sample.extras:
            self._fine(window, at)

        def average() -> np.ndarray:
            total = 2 * self._coarse(window, at, level - 1)
            weight = np.full(total.shape[:2], 2, np.float32)
            for step in (2 ** (level - 1), -(2 ** (level - 1))):
                way = self._tracker.way(window, at, step)
                if way is None:
                    continue
                trust = self._tracker.trust(window, at, step)
                weight += trust
                places = grid(*weight.shape) + way.flow
                there = sample_sharp(self._coarse(window, at + step, level - 1), places)
                cv2.accumulateProduct(cv2.merge([trust] * 4), there, total)
            return cv2.divide(total, cv2.merge([weight] * 4), dst=total)

        return compute_once(sample, ("low", level), average)

    def _share(self, window: Window, at: int, level: int) -> np.ndarray:
        """How much of a full window an average is made of: (h, w) float32 in [2^−level, 1]."""
        if level == 0:
            width, height = grid_size(*window.samples[at].guide.shape[:2])
            return np.ones((height, width), np.float32)

        def count() -> np.ndarray:
            total = 2 * self._share(window, at, level - 1)
            for step in (2 ** (level - 1), -(2 ** (level - 1))):
                way = self._tracker.way(window, at, step)
                if way is not None:
                    there = warp(self._share(window, at + step, level - 1), way.flow)
                    total += self._tracker.trust(window, at, step) * there
            return total / 4

        return compute_once(window.samples[at], ("share", level), count)

    def _low(self, window: Window, slope: np.ndarray) -> np.ndarray:
        """The correction on the grid, of which low frequencies are taken: (h, w, 3) float32."""
        at = window.centre
        change = self._coarse(window, at, self._levels) - window.samples[at].extras["low", 0]
        alone = 2.0**-self._levels
        others = (self._share(window, at, self._levels) - alone) / (1 - alone)
        return low_correction(change, others, slope)
