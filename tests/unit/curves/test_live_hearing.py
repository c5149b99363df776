"""Levels, onsets and beats of a sound that is heard as it sounds: nothing of what comes later is known."""

from __future__ import annotations

import numpy as np
import pytest
from made_music import RATE, drums, f_score, song, spoiled

from vidtrans.curves.expressions import Parser, Signal
from vidtrans.curves.live_hearing import LiveSoundAnalysis

TONES = {"low": 100, "mid": 700, "high": 5000}
LISTENED_S = 6.0
BLOCK = RATE // 100


def signal(text: str) -> Signal:
    [found] = Parser(text, 0, len(text), "x").parse().signals
    return found


def tone(hertz: float, seconds: float, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def heard(samples: np.ndarray, *texts: str, rate: int = RATE, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Return the times after each block, and the values of signals then, (blocks, signals)."""
    signals = [signal(text) for text in texts]
    ear, rows = LiveSoundAnalysis(rate, signals), []
    for first in range(0, len(samples), block):
        ear.add_samples(samples[first : first + block])
        rows.append((ear.now_s, *(ear.value(one) for one in signals)))
    table = np.array(rows)
    return table[:, 0], table[:, 1:]


@pytest.mark.parametrize("band", TONES)
def test_a_tone_is_heard_in_its_band_while_it_sounds(band: str) -> None:
    names = ["low", "mid", "high", "loudness", "band(600, 800)"]
    samples = np.concatenate([np.zeros(RATE), tone(TONES[band], 1), np.zeros(RATE)])
    times, values = heard(samples, *names)
    before, now, after = (dict(zip(names, values[np.searchsorted(times, s)], strict=True)) for s in (0.9, 1.8, 2.8))
    assert max(before.values()) == max(after.values()) == 0
    assert now[band] > 0.9
    assert now["loudness"] > 0.9
    assert (now["band(600, 800)"] > 0.9) == (band == "mid")
    assert all(now[name] < 0.1 for name in TONES if name != band)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_a_burst_is_in_low_and_onset_within_30_ms_wherever_it_falls(rate: int) -> None:
    for late_s in np.linspace(0, 0.02, 3):
        samples = np.concatenate([np.zeros(round((0.5 + late_s) * rate)), tone(90, 0.2, rate)])
        times, values = heard(samples, "low", "onset", "on_onset(0.2)", rate=rate, block=rate // 100)
        for column in values.T:
            assert times[np.argmax(column > 0.5)] - 0.5 - late_s <= 0.0301


def test_silence_and_the_hiss_of_a_microphone_are_0() -> None:
    hiss = np.random.default_rng(0).standard_normal(3 * RATE) * 1e-4
    for samples, most in ((np.zeros(RATE), 0.0), (hiss, 0.08)):
        _, values = heard(samples, *TONES, "loudness", "onset", "on_beat(0.2)", "on_onset(0.2)", "beat", "bar")
        assert values.max() <= most


def test_a_level_is_relative_to_the_loud_parts_of_the_last_seconds() -> None:
    samples = np.concatenate([tone(100, 2, level=0.8), tone(100, 1, level=0.1), tone(100, 60, level=0.1)])
    times, (levels) = heard(samples, "low", block=2 * BLOCK)
    at = lambda s: float(levels[np.searchsorted(times, s), 0])  # noqa: E731
    assert at(1.9) > 0.95
    assert at(2.9) == pytest.approx(0.13, abs=0.03)
    assert at(61) > 0.9  # a quiet part becomes loud in a while


SOUNDS = {
    "drums in noise": spoiled(drums(93, 16, seed=63), 63, noise=0.3, speech=0.3, reverb=0.3),
    "song 3": spoiled(song(137, 16, seed=66, roots=(0, 3, -2, 1)), 66, noise=0.2, reverb=0.3),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_after_six_seconds_each_beat_fires_when_it_sounds(name: str) -> None:
    made = SOUNDS[name]
    ear, fired, last = LiveSoundAnalysis(RATE), [], -np.inf
    for first in range(0, len(made.samples), BLOCK):
        ear.add_samples(made.samples[first : first + BLOCK])
        if ear.now_s > LISTENED_S:
            assert ear.beats.tempo_bpm == pytest.approx(made.bpm, rel=0.02)
            fired += [ear.now_s] if ear.beats.last_beat_s != last else []
        last = ear.beats.last_beat_s
    end = made.beats[-1] + 0.1
    found = [at for at in fired if at < end]
    assert f_score(found, [at for at in made.beats if at > LISTENED_S], 0.05) >= 0.95
    assert max(min(abs(at - beat) for beat in made.beats) for at in found) <= 0.05


def test_beats_are_counted_once_each_and_bars_begin_with_the_bass() -> None:
    made = song(120, 20, seed=67)
    times, values = heard(made.samples, "beat", "bar", "on_beat(0.1)")
    late = times > LISTENED_S
    beat, bar, on_beat = values[late].T
    assert (np.diff(beat) > -0.05).all()
    assert beat[-1] - beat[0] == pytest.approx((times[late][-1] - times[late][0]) * 2, abs=0.1)
    downbeats = [at for at in made.beats[::4] if at > LISTENED_S + 4]
    places = np.interp(downbeats, times[late], bar) % 1
    assert (np.minimum(places, 1 - places) < 0.06).all()
    assert (on_beat > 0.9).sum() > 15


def test_a_new_tempo_is_followed_and_a_beat_ends_with_the_sound() -> None:
    slow, fast = drums(90, 10, seed=68).samples, drums(126, 14, seed=69).samples
    ear = LiveSoundAnalysis(RATE)
    tempos = []
    for samples in (slow, fast, np.zeros(12 * RATE, np.float32)):
        for first in range(0, len(samples), 5 * BLOCK):
            ear.add_samples(samples[first : first + 5 * BLOCK])
        tempos.append(ear.beats.tempo_bpm)
    assert tempos == [pytest.approx(90, rel=0.02), pytest.approx(126, rel=0.02), 0]
    count = ear.value(Signal("beat"))
    ear.add_samples(np.zeros(RATE, np.float32))
    assert ear.value(Signal("beat")) == count
    assert ear.value(signal("on_beat(0.2)")) < 1e-6
