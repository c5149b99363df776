"""The window filter, which has no state: each frame is averaged with its neighbours along the motion.

Three measures prevent blur.

*Long windows in few steps.* Averaging (1, 2, 1)/4 with the adjacent frames, then with these averages 2, 4 and 8 frames
away (the à trous scheme: Holschneider et al. 1989; Starck and Murtagh 1994) weights 31 frames by a triangle in the time
of 8. Fine detail uses 2 or 3 of these steps, at full size with sharp resampling; low frequencies use all of them, on a
grid. Where no path is reliable, low frequencies get the correction of the surroundings.

*Changes that the source explains are not flicker.* Where the output's detail changes as the source's does (a shadow
passes, a texture turns), the change is preserved: a slope, fitted locally to the changes of both, predicts it. The rest
of the change is flicker, or boil.

*Contrast is restored.* A mean of textures that do not align is pale, so its energy is raised to the energy of the
frames.

A frame depends only on ``radius`` neighbours on each side, so that a clip may be cut into chunks anywhere.
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
    LOW_SIGMA,
    STATISTICS_RADIUS,
    DetailCorrection,
    FineDetail,
    FlowTracker,
    frame_on_grid,
    pack_channels,
)
from vidtrans.temporal.settings import DeflickerSettings, WindowSettings
from vidtrans.temporal.stream import Sample, Window

FULL_LEVELS = 3  # Number of averaging steps at full size; further steps average only low frequencies, on a coarse grid
# Number of averaging steps whose results at full size are stored; results of the third step are computed when used
STORED_LEVELS = 2
SURE_SHARE = 0.5  # Least weight, 0 to 1, of other frames in an average at which the low-frequency correction is trusted
SURROUNDINGS_SIZE = 8  # Side of the square around a point whose corrections count as its surroundings, in grid pixels
BOIL_EPSILON = 0.002  # Squared correction, summed over RGB in [0, 1]; much smaller corrections are not boil


class WindowFilter:
    """The filter of ``--temporal window``, on the CPU."""

    version = 8
    needs_no_past_pictures = True
    Settings = WindowSettings

    def __init__(self, settings: WindowSettings, device: str = "cpu") -> None:
        self.settings = settings
        self._levels = (settings.radius + 1).bit_length() - 1
        self.radius = 2**self._levels - 1
        self._full_levels = min(FULL_LEVELS, self._levels)
        self._num_stored_levels = min(STORED_LEVELS, self._levels)
        self._tracker = FlowTracker(settings, device, inverts=True)
        self._detail = FineDetail(self._tracker, settings)
        self._stale = self._find_stale()

    def expect(self, before: Sample, after: Sample) -> None:
        """Start to estimate the flow between two neighbouring frames in the background."""
        if self.radius and self.settings.strength:
            self._tracker.expect(before, after)

    def __call__(self, window: Window) -> np.ndarray:
        sample = window.samples[window.centre]
        if len(window.samples) == 1 or not self.settings.strength:
            return sample.output
        self._average_ahead(window)
        correction = self._fine_correction(window)
        picture = apply_correction(
            sample.output, self._low_correction(window, correction.slope), correction, self.settings
        )
        self._drop_stale(window)
        return picture

    # Level n is the result of n averaging steps: the average of a frame and 2^n − 1 frames on each side of it.

    def _lead(self, level: int) -> int:
        """Return how many frames after the centre need averages of a ``level`` on the grid for its result."""
        return self.radius - (2**level - 1)

    def _full_lead(self, level: int) -> int:
        """Return how many frames after the centre need averages of a ``level`` at full size for its result."""
        return 2**self._full_levels - 2**level

    def _average_ahead(self, window: Window) -> None:
        """Compute, level by level, the averages of the frames around the centre that the centre's result needs."""
        lookahead = window.centre + STATISTICS_RADIUS + 1
        if lookahead < len(window.samples):
            self._detail.expect(window.samples[lookahead])
        for level in range(1, self._levels):
            for at in self._frames_without(window, level, self._lead(level), "done"):
                self._grid_average(window, at, level)
                self._window_share(window, at, level)
        for level in range(1, self._num_stored_levels + 1):
            for at in self._frames_without(window, level, self._full_lead(level), "done at full size"):
                self._full_average(window, at, level)

    @staticmethod
    def _frames_without(window: Window, level: int, lead: int, key: str) -> Iterator[int]:
        """Yield the indices of samples up to ``lead`` frames from the centre that lack their average of a ``level``.

        ``key``: the name under which a sample stores its highest computed level.
        """
        for at in range(max(0, window.centre - lead), min(len(window.samples), window.centre + lead + 1)):
            derived = window.samples[at].derived
            if derived.get(key, 0) < level:
                yield at
                derived[key] = level

    def _drop_stale(self, window: Window) -> None:
        """Delete the values stored in the window's samples that no later window needs."""
        samples, centre = window.samples, window.centre
        for key, ahead in self._stale:
            for at in range(min(centre + ahead, len(samples) - 1), -1, -1):
                if samples[at].derived.pop(key, None) is None:
                    break  # The values of earlier frames were deleted before

    def _find_stale(self) -> list[tuple[Any, int]]:
        """Return (key, offset) pairs: after frame n is filtered, no frame up to n + offset needs its value ``key``.

        A step of averaging at level n uses frames 2^(n − 1) away; statistics use frames up to 2 away.
        """
        top, levels = self._full_levels, self._levels
        leads = [self._lead(n) for n in range(levels + 1)]
        stale: list[tuple[Any, int]] = [("bands", -STATISTICS_RADIUS), ("guide", -(2 ** (levels - 1)))]
        stale += [("pair", min(-1, leads[2] - 2) if levels > 1 else -1)]
        for n in range(self._num_stored_levels + 1):
            stale += [(("level", n), self._full_lead(n + 1) - 2**n if n < top else 0)]
        for n in range(1, levels + 1):
            step = 2 ** (n - 1)
            used = 0 if n <= top else leads[n]
            for offset in (step, -step):
                stale += [
                    (("trust", offset), used),
                    (("path", offset), min(used, leads[n + 1] - step if n < levels else 0)),
                ]
        for n in range(levels + 1):
            used = leads[n + 1] - 2**n if n < levels else 0
            stale += [(("share", n), used), (("low", n), used if n else min(used, 0))]
        return stale

    def _average(self, window: Window, at: int, level: int, *, is_full: bool) -> Average:
        """Average frame ``at`` (output RGB, guide luma) with two neighbours along the motion, weighted (1, 2, 1)/4.

        The frames are averages of the level below ``level``. ``is_full``: at full size, not on the grid.
        """
        lower, step = (self._full_average if is_full else self._grid_average), 2 ** (level - 1)
        here = lower(window, at, level - 1)
        height, width = here.shape[:2]
        other_share = []
        for place, path, trust in self._tracker.neighbours(window, at, (step, -step)):
            trust = trust * path.evenness() if is_full else trust
            other_share.append((lower(window, place, level - 1), path.in_pixels(width, height), trust))
        return Average(here, other_share, is_sharp=is_full)

    def _full_average(self, window: Window, at: int, level: int) -> np.ndarray:
        """Return the average of frame ``at`` at full size, (H, W, 4) uint16 in the ``PICTURE`` range; cached.

        At level 0 (the frame itself) it may be uint8.
        """
        sample = window.samples[at]
        cached: np.ndarray | None = sample.derived.get(("level", level))
        if cached is None and level:
            cached = self._average(window, at, level, is_full=True).whole()
        elif cached is None:  # ``Average`` takes 8 bits unchanged, and 16 bits in the ``PICTURE`` range
            cached = pack_channels(sample.output, sample.guide)
            cached = cached if cached.dtype == np.uint8 else to_16bit(cached, PICTURE)
        sample.derived["level", level] = cached
        return cached

    def _fine_correction(self, window: Window) -> DetailCorrection:
        """Compute the fine-detail correction of the window's centre frame."""
        at, top = window.centre, self._full_levels
        longer = self._average(window, at, top, is_full=True) if top > self._num_stored_levels else None
        return self._detail(window, at, self._full_average(window, at, self._num_stored_levels), longer)

    def _grid_average(self, window: Window, at: int, level: int) -> np.ndarray:
        """Return the average of frame ``at`` on the grid, (h, w, 4) uint16 in the ``PICTURE`` range; cached."""
        sample = window.samples[at]
        if level == 0:
            return frame_on_grid(sample)
        cached: np.ndarray | None = sample.derived.get(("low", level))
        if cached is None:
            cached = sample.derived["low", level] = self._average(window, at, level, is_full=False).whole()
        return cached

    def _window_share(self, window: Window, at: int, level: int) -> np.ndarray:
        """Return the fraction of a full window that the average of frame ``at`` contains, (h, w) float32.

        The fraction is from 2^−``level`` (only this frame) to 1.
        """
        sample = window.samples[at]
        if level == 0:
            width, height = grid_size(*sample.guide.shape[:2])
            return np.ones((height, width), np.float32)
        cached: np.ndarray | None = sample.derived.get(("share", level))
        if cached is None:
            total, step = 2 * self._window_share(window, at, level - 1), 2 ** (level - 1)
            for place, path, trust in self._tracker.neighbours(window, at, (step, -step)):
                total += trust * path.sample(self._window_share(window, place, level - 1))
            cached = sample.derived["share", level] = total / 4
        return cached

    def _low_correction(self, window: Window, slope: np.ndarray) -> np.ndarray:
        """Compute the low-frequency correction of the centre frame on the grid, (h, w, 3) float32.

        ``slope``: from the fine-detail correction, (h, w).
        """
        at = window.centre
        after, before = [from_16bit(self._grid_average(window, at, level), PICTURE) for level in (self._levels, 0)]
        own_share = 2.0**-self._levels
        other_share = (self._window_share(window, at, self._levels) - own_share) / (1 - own_share)
        return low_correction(after - before, other_share, slope)


def low_correction(change: np.ndarray, other_share: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Return the correction of low frequencies in RGB, on the grid, (h, w, 3) float32 in [−1, 1].

    ``change`` (h, w, 4): the average of the output (RGB) and of the guide (luma) minus the frame. ``slope`` (h, w): the
    output's change per change of the guide. ``other_share`` (h, w): the share, 0 to 1, of other frames in the average.
    Where this is small, the correction of the surroundings is used, because lighting also flickers on surfaces that
    were hidden a moment ago. Where the surroundings' corrections differ, a style's colours boil; there the average of
    few frames is used, unless it differs more from the surroundings than they differ from each other, as it does along
    wrong motion.
    """
    correction = change[..., :3] - slope[..., None] * change[..., 3:]
    other_share = np.clip(other_share, 0, 1)
    height, width = other_share.shape
    size = (max(1, width // SURROUNDINGS_SIZE), max(1, height // SURROUNDINGS_SIZE))
    parts = (correction * other_share[..., None], squared_length(correction) * other_share, other_share)
    near_correction, energy, weight = [blur(shrink(part, size), 1) for part in parts]
    weight += 0.002
    surroundings = near_correction / weight[..., None]
    energy /= weight
    spread = np.maximum(energy - squared_length(surroundings), 0)
    disagreement = 1 - (1 - spread / (energy + BOIL_EPSILON)) ** 2
    surroundings, spread, disagreement = [grow(part, (width, height)) for part in (surroundings, spread, disagreement)]
    deviation = correction - surroundings
    boil_weight = np.minimum(2 * spread / (squared_length(deviation) + BOIL_EPSILON), 1) * disagreement
    uncertainty = (1 - np.clip(other_share / SURE_SHARE, 0, 1)) * (1 - boil_weight)
    return correction - uncertainty[..., None] * deviation


def apply_correction(
    output: np.ndarray, low: np.ndarray, correction: DetailCorrection, settings: DeflickerSettings
) -> np.ndarray:
    """Return an output, (H, W, 3), corrected by ``low``, (h, w, 3) on the grid, and the fine-detail ``correction``."""
    height, width = output.shape[:2]
    low = blur(low - np.float32(settings.texture_strength) * correction.low_change, LOW_SIGMA)
    total = enlarged(low, height, width)
    corrected = np.empty(output.shape, output.dtype)
    full = np.iinfo(output.dtype).max
    depth = cv2.CV_8U if output.dtype == np.uint8 else cv2.CV_16U
    for rows in strips(height, width):
        change = cv2.scaleAdd(correction.fine(rows), settings.texture_strength, total[rows])
        original = output[rows].astype(np.float32)
        cv2.addWeighted(change, full * settings.strength, original, 1, 0, dst=corrected[rows], dtype=depth)
    return corrected
