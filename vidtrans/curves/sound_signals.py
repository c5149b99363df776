"""The signals of a sound: loudness, onsets and beats, as functions of time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.curves.beats import Rhythm, find_rhythm, novelty
from vidtrans.curves.hearing import FIXED_BANDS, Band, HeardSound, hear
from vidtrans.curves.signals import Signal
from vidtrans.curves.tracks import Track, fading, sampled
from vidtrans.video.io.sound import RATE_HZ, read_blocks

LOUD_ONSET = 98  # percentile of novelty that is an ``onset`` of 1


class SoundSignals:
    """The signals of a sound file, or of a clip's own track. Raises MediaError where there is no sound.

    ``signals``: those that will be asked for. The sound is read at the first use, and again only for other bands.
    """

    def __init__(self, path: Path, signals: Collection[Signal] = ()) -> None:
        self.path = path
        self._bands: set[Band] = {*FIXED_BANDS.values()}
        self.want(signals)

    def want(self, signals: Collection[Signal]) -> None:
        """Be ready for these signals, too."""
        bands = {(s.numbers[0], s.numbers[1]) for s in signals if s.name == "band"}
        if not bands <= self._bands:
            self._bands |= bands
            self.__dict__.pop("heard", None)

    @cached_property
    def heard(self) -> HeardSound:
        """The sound, analysed."""
        return hear(read_blocks(self.path), RATE_HZ, sorted(self._bands))

    @cached_property
    def rhythm(self) -> Rhythm:
        """Its onsets and beats."""
        return find_rhythm(self.heard)

    def track(self, signal: Signal) -> Track:
        """Return a signal that takes no other as a function of time."""
        if signal.name in FIXED_BANDS or signal.name == "band":
            band = FIXED_BANDS.get(signal.name) or (signal.numbers[0], signal.numbers[1])
            return sampled(self.heard.times, self.heard.levels[band])
        if signal.name == "onset":
            return sampled(self.heard.times, self._onset)
        if signal.name == "beat":
            return self.rhythm.beat_at
        if signal.name == "bar":
            return self.rhythm.bar_at
        events = {"on_beat": self.rhythm.beats, "on_onset": self.rhythm.onsets}[signal.name]
        return fading(events, signal.numbers[0])

    @cached_property
    def _onset(self) -> np.ndarray:
        strength = novelty(self.heard)
        full = float(np.percentile(strength, LOUD_ONSET))
        return np.minimum(strength / full, 1.0) if full > 1e-6 else strength * 0


def waveform(path: Path, seconds: Sequence[float]) -> np.ndarray:
    """Return the highest sample, 0 to 1, from each of the times (of frames) to the next; zeros without a sound."""
    edges = np.round(np.asarray([*seconds, (seconds[-1] if seconds else 0.0) + 0.04]) * RATE_HZ).astype(np.int64)
    peaks, first = np.zeros(len(edges) + 1), 0
    try:
        for block in (block for block in read_blocks(path) if len(block)):
            inside = edges[np.searchsorted(edges, first, "right") : np.searchsorted(edges, first + len(block))]
            starts = np.unique([0, *(inside - first)])
            spans = np.searchsorted(edges, first + starts, side="right")
            peaks[spans] = np.maximum(peaks[spans], np.maximum.reduceat(np.abs(block), starts))
            first += len(block)
    except MediaError:
        return np.zeros(len(seconds))
    return peaks[1:-1]  # without what is heard before the first time and after the last one
