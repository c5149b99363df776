"""The clock of a clip's curves, and the signals of its sound, its pictures, its mask, and of files of values."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import Mask
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Size
from vidtrans.curves.curve import CurveClock
from vidtrans.curves.expressions import Signal
from vidtrans.curves.hearing import SoundSignals
from vidtrans.curves.tracks import SignalTracks, Track, fading, sampled

FULL_MOTION = 95  # percentile of a clip's motion that is 1
MASK_SIDE = 96  # pixels of a mask whose share of the picture is measured
# Returns the share of each frame of the clip that a mask covers, (n,) from 0 to 1.
MaskShares = Callable[[], np.ndarray]


def clip_clock(clip: Clip, sound: Path | str | None = None, mask: MaskShares | None = None) -> CurveClock:
    """Return the clock of a clip. ``sound``: what curves hear instead of the clip's own track, from its first frame."""
    pts, base = clip.index.pts, clip.index.time_base
    source = ClipSignals(clip, Path(sound) if sound else None, mask)
    return CurveClock(
        lambda frame: pts[frame],
        clip.pts_of,
        lambda frame: float((pts[frame] - pts[0]) * base),
        clip.index.num_frames,
        clip.shots,
        source,
    )


class ClipSignals(SignalTracks):
    """Gives signals their values at times in s from the clip's first frame."""

    def __init__(self, clip: Clip, sound: Path | None, mask: MaskShares | None) -> None:
        super().__init__(self._time_of)
        self._clip, self._mask, self._has_own_sound = clip, mask, sound is not None
        index, origin = clip.index, clip.origin or clip
        self._seconds = np.array([float((pts - index.pts[0]) * index.time_base) for pts in index.pts])
        # The sound's 0 s is that of the file's viewer, at or before its first picture.
        start = index.pts[0] * index.time_base - clip.offset_s - origin.index.zero * origin.index.time_base
        self._shift = 0.0 if sound is not None else float(start)
        self._sound = SoundSignals(sound or origin.path)

    def prepare(self, roots: Collection[Signal]) -> None:
        """Hear the sound, if a signal needs it. Raises UsageError, MediaError."""
        if not (heard := sorted((root for root in roots if root.is_heard), key=str)):
            return
        remedy = "give a sound with --sound FILE"
        if not self._has_own_sound and (self._clip.is_pictures or self._clip.guides):
            raise UsageError(str(heard[0]), f"{self._clip.name} has no sound to hear", remedy)
        self._sound.want(heard)
        try:
            self._sound.heard  # noqa: B018
        except MediaError as error:
            if self._has_own_sound:
                raise
            raise UsageError(str(heard[0]), f"{self._clip.name}: {error.why}", remedy) from None

    def root(self, signal: Signal) -> Track:
        """Return a signal of the sound, the pictures, the cuts or the mask as a function of time. Raises UsageError."""
        if signal.name == "on_cut":
            return fading([self._seconds[shot] for shot in self._clip.shots if shot], signal.numbers[0])
        if signal.is_seen:
            return sampled(self._seconds, self._seen(signal.name))
        track = self._sound.track(signal)
        return lambda times: track(times + self._shift)

    def _seen(self, name: str) -> np.ndarray:
        """Return a signal of the pictures at each frame."""
        survey = self._clip.survey
        if name == "mask":
            if self._mask is None:
                raise UsageError("mask", "no mask is given", "give one with --mask")
            return self._mask()
        values = np.array(survey.brightness if name == "brightness" else survey.motion, np.float64)
        if name == "brightness" or not len(values):
            return values if len(values) else np.zeros(len(self._seconds))
        # Edges move between frames, which are not equally far apart: motion in a second.
        steps = np.diff(self._seconds, prepend=self._seconds[0] - 1)
        speed = values / np.maximum(steps, 1e-3)
        full = float(np.percentile(speed, FULL_MOTION))
        return np.minimum(speed / full, 1.0) if full > 0 else speed

    def _time_of(self, frames: np.ndarray) -> np.ndarray:
        """Return the times of frames' numbers, (n,), which may lie between frames, or behind the last one."""
        seconds = self._seconds
        last = len(seconds) - 1
        each = float(seconds[-1] / last) if last else 0.04
        beyond = np.maximum(frames - last, 0.0) + np.minimum(frames, 0.0)
        times: np.ndarray = np.interp(frames, np.arange(len(seconds)), seconds) + each * beyond
        return times


def mask_shares(mask: Mask, num_frames: int, threads: int) -> np.ndarray:
    """Return the share that a mask covers of each of ``num_frames`` of its clip, (n,); 0 where it has none."""
    found, index = np.zeros(num_frames), mask.clip.index
    with closing(mask.mattes(Size(short=MASK_SIDE).of(index.width, index.height), threads)) as matte:
        for n in range(mask.first, mask.first + len(mask.steps)):
            found[n] = float(matte(n).mean()) / 255
    return found
