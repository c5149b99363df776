"""The clock of a clip's curves, and the signals of its sound, its pictures, its mask, and of files of values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from vidtrans.clips.aligned_clip import Mask
from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.settings import Size
from vidtrans.curves.clock import CurveClock
from vidtrans.curves.curve import file_of
from vidtrans.curves.data_files import read_data
from vidtrans.curves.signals import Signal
from vidtrans.curves.sound_signals import SoundSignals
from vidtrans.curves.tracks import Track, fading, of_call, sampled

FULL_MOTION = 95  # percentile of a clip's motion that is 1

MASK_SIDE = 96  # pixels of a mask whose share of the picture is measured
# Returns the share of each frame of the clip that a mask covers, (n,) from 0 to 1.
MaskShares = Callable[[], np.ndarray]


def clip_clock(clip: Clip, sound: Path | None = None, mask: MaskShares | None = None) -> CurveClock:
    """Return the clock of a clip. ``sound``: what curves hear instead of the clip's own track, from its first frame."""
    pts, base = clip.index.pts, clip.index.time_base
    source = ClipSignals(clip, sound, mask)
    return CurveClock(
        lambda frame: pts[frame],
        clip.pts_of,
        lambda frame: float((pts[frame] - pts[0]) * base),
        clip.index.num_frames,
        clip.shots,
        source,
    )


class ClipSignals:
    """Gives signals their values at times in s from the clip's first frame."""

    def __init__(self, clip: Clip, sound: Path | None, mask: MaskShares | None) -> None:
        self._clip, self._mask, self._sound = clip, mask, sound
        index, origin = clip.index, clip.origin or clip
        self._seconds = np.array([float((pts - index.pts[0]) * index.time_base) for pts in index.pts])
        # The sound's 0 s is that of the file's viewer, at or before its first picture.
        start = index.pts[0] * index.time_base - clip.offset_s - origin.index.zero * origin.index.time_base
        self._shift = 0.0 if sound is not None else float(start)
        self._file = sound or origin.path

    def values(self, signals: Collection[Signal], times: np.ndarray) -> Mapping[Signal, np.ndarray]:
        """Return the value of each signal at ``times``, (n,). Raises UsageError, MediaError."""
        heard = self._hear(signals)
        return {signal: self._track(signal, heard)(times) for signal in signals}

    def _hear(self, signals: Collection[Signal]) -> SoundSignals | None:
        roots = {signal.source for signal in signals if signal.is_heard}
        if not roots:
            return None
        name, remedy = str(min(roots, key=str)), "give a sound with --sound FILE"
        if self._sound is None and (self._clip.is_pictures or self._clip.guides):
            raise UsageError(name, f"{self._clip.name} has no sound to hear", remedy)
        sound = SoundSignals(self._file, roots)
        if self._sound is not None:
            return sound
        try:
            sound.heard  # noqa: B018
        except MediaError as error:
            raise UsageError(name, f"{self._clip.name}: {error.why}", remedy) from None
        return sound

    def _track(self, signal: Signal, heard: SoundSignals | None) -> Track:
        """Return a signal as a function of time."""
        if signal.inner is not None:
            return of_call(signal, self._track(signal.inner, heard))
        if signal.file:
            name, column = file_of(signal.file)
            return read_data(Path(name)).track(column, self._time_of)
        if signal.name == "on_cut":
            return fading([self._seconds[shot] for shot in self._clip.shots if shot], signal.numbers[0])
        if signal.is_seen:
            return sampled(self._seconds, self._seen(signal.name))
        assert heard is not None
        track = heard.track(signal)
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
