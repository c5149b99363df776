"""The window filter: each frame is averaged with its neighbours along the motion. It has no state.

Three measures prevent blur.

*Long windows in few steps.* Averaging (1, 2, 1)/4 with the adjacent frames, then these averages 2 frames away, 4, 8
(the à trous scheme: Holschneider et al. 1989; Starck and Murtagh 1994) weights 31 frames by a triangle at the cost of
8. Fine detail uses 2 or 3 of these steps, at full size with sharp resampling; low frequencies use all of them, on
a grid. Where no neighbour can be followed, low frequencies get the correction of the surroundings.

*Changes that the source explains are not flicker.* Where the output's detail changes as the source's does (a shadow
passes, a texture turns), the change is kept: a slope, fitted locally to the changes of both, predicts it.
The part that the slope does not explain is flicker, or boil.

*Contrast is restored.* A mean of textures that do not align is pale: its energy is raised to that of the
frames.

A frame depends only on ``radius`` neighbours on each side, so a clip may be cut into chunks anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from vidtrans.flow.warping import (
    PICTURE,
    Average,
    blur,
    enlarged,
    from_16bit,
    grid_size,
    grow,
    shrink,
    squared_length,
    strips,
    to_16bit,
)
from vidtrans.temporal.along_motion import (
    LOW,
    REACH,
    DetailCorrection,
    FineDetail,
    FlowTracker,
    frame_on_grid,
    pack_channels,
)
from vidtrans.temporal.settings import DeflickerSettings, WindowSettings
from vidtrans.temporal.stream import Sample, Window

FULL_LEVELS = 3  # steps at full size; those beyond are for low frequencies only
STORED_LEVELS = 2  # … whose averages are stored: the third is computed where it is used
SURE = 0.5  # share of all frames that could be averaged that suffices to be sure of low frequencies
AROUND = 8  # grid pixels over which the correction is taken from around
CALM = 0.002  # squared corrections, summed over RGB: much smaller ones are no boil


class WindowFilter:
    """The filter of ``--temporal window``."""

    version = 8
    needs_no_past_pictures = True
    Settings = WindowSettings

    def __init__(self, settings: WindowSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._levels = (settings.radius + 1).bit_length() - 1
        self.radius = 2**self._levels - 1
        self._full_levels = min(FULL_LEVELS, self._levels)
        self._stored = min(STORED_LEVELS, self._levels)
        self._tracker = FlowTracker(settings, device, inverts=True)
        self._detail = FineDetail(self._tracker, settings)
        self._stale = self._find_stale()

    def expect(self, before: Sample, after: Sample) -> None:
        """Start to estimate the flow between two neighbours in the background."""
        if self.radius and self.settings.strength:
            self._tracker.expect(before, after)

    def __call__(self, window: Window) -> np.ndarray:
        """Return the window's centre without flicker."""
        sample = window.samples[window.centre]
        if len(window.samples) == 1 or not self.settings.strength:
            return sample.output
        self._average_ahead(window)
        correction = self._fine(window)
        picture = apply_correction(sample.output, self._low(window, correction.slope), correction, self.settings)
        self._drop_stale(window)
        return picture

    # Averages, level by level: 2^level − 1 frames each way

    def _lead(self, level: int) -> int:
        """Return the number of frames after the centre for which averages of a level are needed on the grid."""
        return self.radius - (2**level - 1)

    def _full_lead(self, level: int) -> int:
        """Return the number of frames after the centre for which averages of a level are needed at full size."""
        return 2**self._full_levels - 2**level

    def _average_ahead(self, window: Window) -> None:
        """Compute, level by level, the averages of the frames around the centre that the centre's result needs."""
        soon = window.centre + REACH + 1
        if soon < len(window.samples):
            self._detail.expect(window.samples[soon])
        for level in range(1, self._levels):
            for at in self._new(window, level, self._lead(level), "done"):
                self._coarse(window, at, level)
                self._share(window, at, level)
        for level in range(1, self._stored + 1):
            for at in self._new(window, level, self._full_lead(level), "done at full size"):
                self._level(window, at, level)

    @staticmethod
    def _new(window: Window, level: int, lead: int, key: str) -> Iterator[int]:
        """Yield the frames up to ``lead`` around the centre that had none of a level; ``key`` remembers which had."""
        for at in range(max(0, window.centre - lead), min(len(window.samples), window.centre + lead + 1)):
            derived = window.samples[at].derived
            if derived.get(key, 0) < level:
                yield at
                derived[key] = level

    def _drop_stale(self, window: Window) -> None:
        samples, centre = window.samples, window.centre
        for key, ahead in self._stale:
            for at in range(min(centre + ahead, len(samples) - 1), -1, -1):
                if samples[at].derived.pop(key, None) is None:
                    break  # those of earlier frames were deleted before

    def _find_stale(self) -> list[tuple[Any, int]]:
        """Return (key, offset) of derived values to delete when a frame is done: those of frames up to frame + offset.

        A step of averaging at level n uses frames 2^(n − 1) away; statistics use frames up to 2 away.
        """
        top, levels = self._full_levels, self._levels
        leads = [self._lead(n) for n in range(levels + 1)]
        stale: list[tuple[Any, int]] = [("bands", -REACH), ("guide", -(2 ** (levels - 1)))]
        stale += [("pair", min(-1, leads[2] - 2) if levels > 1 else -1)]
        for n in range(self._stored + 1):
            stale += [(("level", n), self._full_lead(n + 1) - 2**n if n < top else 0)]
        for n in range(1, levels + 1):
            step = 2 ** (n - 1)
            used = 0 if n <= top else leads[n]
            for way in (step, -step):
                stale += [(("trust", way), used), (("path", way), min(used, leads[n + 1] - step if n < levels else 0))]
        for n in range(levels + 1):
            used = leads[n + 1] - 2**n if n < levels else 0
            stale += [(("share", n), used), (("low", n), used if n else min(used, 0))]
        return stale

    def _average(self, window: Window, at: int, level: int, *, is_full: bool) -> Average:
        """Average a frame and its neighbours, (1, 2, 1)/4, along the motion: the output's RGB and the guide's luma."""
        lower, step = (self._level if is_full else self._coarse), 2 ** (level - 1)
        here = lower(window, at, level - 1)
        height, width = here.shape[:2]
        others = []
        for place, path, trust in self._tracker.neighbours(window, at, (step, -step)):
            trust = trust * path.evenness() if is_full else trust
            others.append((lower(window, place, level - 1), path.in_pixels(width, height), trust))
        return Average(here, others, is_sharp=is_full)

    def _level(self, window: Window, at: int, level: int) -> np.ndarray:
        """Return the stored average at full size, (H, W, 4) in 16 bits; the frame itself in the output's bits."""
        sample = window.samples[at]
        known: np.ndarray | None = sample.derived.get(("level", level))
        if known is None and level:
            known = self._average(window, at, level, is_full=True).whole()
        elif known is None:  # as averages take it: 8 bits as they are, 16 in those of ``PICTURE``
            known = pack_channels(sample.output, sample.guide)
            known = known if known.dtype == np.uint8 else to_16bit(known, PICTURE)
        sample.derived["level", level] = known
        return known

    def _fine(self, window: Window) -> DetailCorrection:
        """Return the correction of fine detail of the centre."""
        at, top = window.centre, self._full_levels
        longer = self._average(window, at, top, is_full=True) if top > self._stored else None
        return self._detail(window, at, self._level(window, at, self._stored), longer)

    def _coarse(self, window: Window, at: int, level: int) -> np.ndarray:
        """Return the average on the grid: (h, w, 4) in 16 bits of ``PICTURE``."""
        sample = window.samples[at]
        if level == 0:
            return frame_on_grid(sample)
        known: np.ndarray | None = sample.derived.get(("low", level))
        if known is None:
            known = sample.derived["low", level] = self._average(window, at, level, is_full=False).whole()
        return known

    def _share(self, window: Window, at: int, level: int) -> np.ndarray:
        """Return the fraction of a full window that an average contains: (h, w) float32 in [2^−level, 1]."""
        sample = window.samples[at]
        if level == 0:
            width, height = grid_size(*sample.guide.shape[:2])
            return np.ones((height, width), np.float32)
        known: np.ndarray | None = sample.derived.get(("share", level))
        if known is None:
            total, step = 2 * self._share(window, at, level - 1), 2 ** (level - 1)
            for place, path, trust in self._tracker.neighbours(window, at, (step, -step)):
                total += trust * path.sample(self._share(window, place, level - 1))
            known = sample.derived["share", level] = total / 4
        return known

    def _low(self, window: Window, slope: np.ndarray) -> np.ndarray:
        """Return the correction of the low frequencies, on the grid: (h, w, 3) float32."""
        at = window.centre
        after, before = [from_16bit(self._coarse(window, at, level), PICTURE) for level in (self._levels, 0)]
        alone = 2.0**-self._levels
        others = (self._share(window, at, self._levels) - alone) / (1 - alone)
        return low_correction(after - before, others, slope)


def low_correction(change: np.ndarray, others: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return the correction of the low frequencies, on the grid: (h, w, 3) float32 in [−1, 1].

    ``change``: (h, w, 4), the average of the output (RGB) and of the guide (luma) minus the frame; ``slope`` (h, w) of
    the output over the guide; ``others`` (h, w): the share, 0 to 1, of other frames in the average. Where that is
    small, the correction of the surroundings is used: lighting also flickers at places that were hidden a moment ago.
    Where the surroundings' corrections differ, a style's colours boil; there the average of few frames counts, unless
    it is further from the surroundings than they are from each other, as along a wrong motion.
    """
    wanted = change[..., :3] - slope[..., None] * change[..., 3:]
    others = np.clip(others, 0, 1)
    height, width = others.shape
    size = (max(1, width // AROUND), max(1, height // AROUND))
    parts = (wanted * others[..., None], squared_length(wanted) * others, others)
    near, energy, weight = [blur(shrink(part, size), 1) for part in parts]
    weight += 0.002
    around = near / weight[..., None]
    energy /= weight
    spread = np.maximum(energy - squared_length(around), 0)
    differ = 1 - (1 - spread / (energy + CALM)) ** 2
    around, spread, differ = [grow(part, (width, height)) for part in (around, spread, differ)]
    apart = wanted - around
    boils = np.minimum(2 * spread / (squared_length(apart) + CALM), 1) * differ
    lacking = (1 - np.clip(others / SURE, 0, 1)) * (1 - boils)
    return wanted - lacking[..., None] * apart


def apply_correction(
    output: np.ndarray, low: np.ndarray, correction: DetailCorrection, settings: DeflickerSettings
) -> np.ndarray:
    """Return a frame, of its dtype, with its corrections: ``low`` (h, w, 3) on the grid, and that of fine detail."""
    height, width = output.shape[:2]
    low = blur(low - np.float32(settings.texture_strength) * correction.low_change, LOW)
    total = enlarged(low, height, width)
    corrected = np.empty(output.shape, output.dtype)
    full = np.iinfo(output.dtype).max
    depth = cv2.CV_8U if output.dtype == np.uint8 else cv2.CV_16U
    for rows in strips(height, width):
        change = cv2.scaleAdd(correction.fine(rows), settings.texture_strength, total[rows])
        original = output[rows].astype(np.float32)
        cv2.addWeighted(change, full * settings.strength, original, 1, 0, dst=corrected[rows], dtype=depth)
    return corrected
