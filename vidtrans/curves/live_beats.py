"""Beats of a sound that is heard as it sounds: the rhythm of the last seconds, continued into the next ones."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from vidtrans.curves.beats import QUIETEST, find_rhythm
from vidtrans.curves.hearing import MEL_BANDS, HeardSound

MEMORY_S = 8.0  # of sound from which the rhythm is found
FIRST_S, EVERY_S = 2.5, 0.3  # of sound before the rhythm is looked for, and between two searches
SAME = 0.06  # relative difference of periods that is no other tempo
DOUBTS, ENDS = 6, 8  # searches that find another tempo, or none, before it counts
RECENT_S = 4.0  # after which a beat counts e times less for the place of the next
SOONEST = 0.5  # of a period between two beats, at least
BAR_MEMORY = 0.95  # of votes for the first beat of a bar, from one search to the next


class BeatTracker:
    """Counts the beats of consecutive mel spectra, ``hop_s`` seconds apart, and predicts the next ones.

    Attributes:
        tempo_bpm: Beats per minute; 0 without a beat.
        last_beat_s: The time of the last beat, in s; -inf before the first one.
    """

    def __init__(self, hop_s: float) -> None:
        self._hop_s = hop_s
        self._most = round(MEMORY_S / hop_s)
        self._mel = np.zeros((2 * self._most, MEL_BANDS), np.float32)
        self._count = self._heard = 0  # spectra in memory, and in all
        self._next_search_s = FIRST_S
        self._period_s, self._anchor_s, self._anchor_count = 0.0, 0.0, 0.0
        self._num_doubts = self._num_misses = 0
        self._bar_votes = np.zeros(4)
        self._last_number = -math.inf
        self.last_beat_s = -math.inf
        find_rhythm(HeardSound({}, self._mel, hop_s, Fraction(0)))  # loads SciPy, which would hold up the first search

    @property
    def tempo_bpm(self) -> float:
        """Return the beats per minute; 0 without a beat."""
        return 60 / self._period_s if self._period_s else 0.0

    def hear(self, mel: np.ndarray) -> None:
        """Take the next spectra, (n, MEL_BANDS) float32, whose windows are centred at consecutive hops."""
        for one in mel:
            if self._count == len(self._mel):
                self._mel[: self._most] = self._mel[-self._most :]
                self._count = self._most
            self._mel[self._count] = one
            self._count += 1
            self._heard += 1

    def advance(self, now_s: float) -> None:
        """Note the beats until ``now_s``; search for the rhythm again where it is time to."""
        if now_s >= self._next_search_s:
            self._next_search_s = now_s + EVERY_S
            self._search(now_s)
        if not self._period_s:
            return
        number = math.floor(self.beat_at(now_s) + 1e-9)
        at_s = self._anchor_s + (number - self._anchor_count) * self._period_s
        if number > self._last_number and at_s - self.last_beat_s > SOONEST * self._period_s:
            self._last_number, self.last_beat_s = number, min(at_s, now_s)

    def beat_at(self, now_s: float) -> float:
        """Return the number of the beat, with the share of the next; without a tempo the last one."""
        if not self._period_s:
            return self._anchor_count
        return self._anchor_count + (now_s - self._anchor_s) / self._period_s

    def bar_at(self, now_s: float) -> float:
        """Return the number of the bar of four beats, with the share of the next."""
        return (self.beat_at(now_s) - int(np.argmax(self._bar_votes))) / 4

    def _search(self, now_s: float) -> None:
        recent = self._mel[max(0, self._count - self._most) : self._count]
        first_s = (self._heard - len(recent)) * self._hop_s
        is_silent = float(recent.max(initial=0.0)) < QUIETEST / 10
        rhythm = None if is_silent else find_rhythm(HeardSound({}, recent, self._hop_s, Fraction(0)))
        if rhythm is None or len(rhythm.beats) < 3:
            self._num_misses += 1
            if self._num_misses >= ENDS and self._period_s:
                self._anchor_count, self._period_s = self.beat_at(now_s), 0.0
            return
        self._num_misses = 0
        beats = rhythm.beats + first_s
        step_s, last_s = _fitted(beats)
        change = step_s / self._period_s - 1 if self._period_s else 0.0
        if abs(change) > SAME:  # such as twice as fast: a pattern without some of its beats does not change the tempo
            self._num_doubts += 1
            if self._num_doubts < DOUBTS:
                return
        self._num_doubts = 0
        self._follow(now_s, step_s, last_s, beats, rhythm.first_bar)

    def _follow(self, now_s: float, step_s: float, last_s: float, beats: np.ndarray, first_bar: int) -> None:
        """Go on at another period and place; the count continues."""
        share = ((now_s - last_s) / step_s) % 1.0
        if self._period_s or self._last_number > -math.inf:
            number = round(self.beat_at(now_s) - share)
        else:
            number = round((now_s - beats[0]) / step_s - share)
        self._anchor_s, self._anchor_count, self._period_s = now_s, number + share, step_s
        if self._last_number == -math.inf:
            self._last_number = number if share > SOONEST else number - 1
        first_number = round(self.beat_at(float(beats[0])))
        self._bar_votes *= BAR_MEMORY
        self._bar_votes[(first_number + first_bar) % 4] += 1


def _fitted(beats: np.ndarray) -> tuple[float, float]:
    """Return the period of beats and the time of the last one, in s, by a line on which recent beats count more."""
    weights = np.exp((beats - beats[-1]) / (2 * RECENT_S))
    step_s, last_s = np.polyfit(np.arange(len(beats)) - len(beats) + 1, beats, 1, w=weights)
    return float(step_s), float(last_s)
