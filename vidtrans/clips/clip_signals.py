"""Provide the clock of a clip's parameter curves, and signals from its sound, pictures, mask and value files."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import MaskOfClip
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Size
from vidtrans.curves.curve import CurveClock
from vidtrans.curves.expressions import Signal
from vidtrans.curves.hearing import SoundSignals
from vidtrans.curves.tracks import SignalTracks, Track, decay_track, interpolated_track

FULL_MOTION_PERCENTILE = 95  # Percentile of a clip's motion per second that is mapped to the signal value 1
MASK_SIDE_PX = 96  # Short side of the mattes from which a mask's coverage is measured
# A function that returns the share of each frame's area that a mask covers, (n,) from 0 to 1.
MaskCoverage = Callable[[], np.ndarray]


def clip_clock(clip: Clip, sound: Path | str | None = None, mask: MaskCoverage | None = None) -> CurveClock:
    """Return the clock that gives a clip's parameter curves their times and signals.

    ``sound``: a file used instead of the clip's sound. ``mask``: returns the values of the signal "mask".
    """
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
    """The signals of a clip as functions of time, in s from its first frame: sound, pictures, cuts and mask.

    ``sound``: a file used instead of the clip's sound. ``mask``: returns the values of the signal "mask".
    """

    def __init__(self, clip: Clip, sound: Path | None, mask: MaskCoverage | None) -> None:
        super().__init__(self._time_of)
        self._clip, self._mask, self._has_own_sound = clip, mask, sound is not None
        index, origin = clip.index, clip.origin or clip
        self._seconds = np.array([float((pts - index.pts[0]) * index.time_base) for pts in index.pts])
        # The sound starts at the file's 0 s in players, which is at or before the first picture.
        start = index.pts[0] * index.time_base - clip.offset_s - origin.index.zero * origin.index.time_base
        self._shift = 0.0 if sound is not None else float(start)
        self._sound = SoundSignals(sound or origin.path)

    def prepare(self, roots: Collection[Signal]) -> None:
        """Analyse the sound, if one of the signals comes from it. Raises UsageError, MediaError.

        ``roots``: the innermost signals of the curves' calls, such as ``low`` of smooth(low, 1).
        """
        if not (sound_signals := sorted((root for root in roots if root.is_heard), key=str)):
            return
        remedy = "give a sound with --sound FILE"
        if not self._has_own_sound and (self._clip.is_pictures or self._clip.guides):
            raise UsageError(str(sound_signals[0]), f"{self._clip.name} has no sound to hear", remedy)
        self._sound.want(sound_signals)
        try:
            self._sound.heard  # noqa: B018  (analyses the sound)
        except MediaError as error:
            if self._has_own_sound:
                raise
            raise UsageError(str(sound_signals[0]), f"{self._clip.name}: {error.why}", remedy) from None

    def root(self, signal: Signal) -> Track:
        """Return a signal of the sound, the pictures, the cuts or the mask as a function of time. Raises UsageError."""
        if signal.name == "on_cut":
            return decay_track([self._seconds[shot] for shot in self._clip.shots if shot], signal.numbers[0])
        if signal.is_seen:
            return interpolated_track(self._seconds, self._picture_signal(signal.name))
        track = self._sound.track(signal)
        return lambda times: track(times + self._shift)

    def _picture_signal(self, name: str) -> np.ndarray:
        """Return a signal of the pictures (brightness, motion), or of the mask, at each frame, (n,)."""
        survey = self._clip.survey
        if name == "mask":
            if self._mask is None:
                raise UsageError("mask", "no mask is given", "give one with --mask")
            return self._mask()
        values = np.array(survey.brightness if name == "brightness" else survey.motion, np.float64)
        if name == "brightness" or not len(values):
            return values if len(values) else np.zeros(len(self._seconds))
        # Compute the motion per second, because frames may have different durations.
        steps = np.diff(self._seconds, prepend=self._seconds[0] - 1)
        speed = values / np.maximum(steps, 1e-3)
        full_speed = float(np.percentile(speed, FULL_MOTION_PERCENTILE))
        return np.minimum(speed / full_speed, 1.0) if full_speed > 0 else speed

    def _time_of(self, frames: np.ndarray) -> np.ndarray:
        """Return the times, in s, of frame numbers, (n,), which may be fractions, or beyond the clip's ends."""
        seconds = self._seconds
        last = len(seconds) - 1
        mean_step_s = float(seconds[-1] / last) if last else 0.04
        beyond = np.maximum(frames - last, 0.0) + np.minimum(frames, 0.0)
        times: np.ndarray = np.interp(frames, np.arange(len(seconds)), seconds) + mean_step_s * beyond
        return times


def mask_shares(mask: MaskOfClip, num_frames: int, threads: int) -> np.ndarray:
    """Return the share, 0 to 1, of each frame's area that a mask covers, (num_frames,); 0 for frames without a mask."""
    shares, index = np.zeros(num_frames), mask.clip.index
    with closing(mask.mattes(Size(short=MASK_SIDE_PX).of(index.width, index.height), threads)) as matte:
        for n in range(mask.first, mask.first + len(mask.steps)):
            shares[n] = float(matte(n).mean()) / 255
    return shares
