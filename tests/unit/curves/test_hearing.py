"""Loudness in bands, onsets, tempo and beats of made sounds."""

from __future__ import annotations

import numpy as np
import pytest
from made_music import RATE, MadeSound, drums, f_score, song, spoiled

from vidtrans.curves.hearing import FIXED_BANDS, Rhythm, analyse_sound, find_rhythm
from vidtrans.curves.tracks import interpolated_track

TONES = {"low": 100, "mid": 700, "high": 5000}


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE).astype(np.float32)


def levels(samples: np.ndarray, seconds: float) -> dict[str, float]:
    blocks = np.array_split(samples, max(1, len(samples) // 1000))
    heard = analyse_sound(blocks, RATE, list(FIXED_BANDS.values()))
    at = np.array([seconds])
    return {
        name: float(interpolated_track(heard.times, heard.levels[band])(at)[0]) for name, band in FIXED_BANDS.items()
    }


def rhythm(made: MadeSound) -> Rhythm:
    return find_rhythm(analyse_sound([made.samples], RATE, []))


@pytest.mark.parametrize("band", TONES)
def test_a_tone_is_heard_in_its_band_when_it_sounds(band: str) -> None:
    others = sum(tone(hertz) for name, hertz in TONES.items() if name != band)
    sound = np.concatenate([np.zeros(RATE, np.float32), tone(TONES[band]), others])
    before, now, after = (levels(sound, s) for s in (0.4, 1.5, 2.5))
    assert max(before.values()) < 0.05
    assert now[band] > 0.9
    assert after[band] < 0.05
    assert all(value < 0.05 for name, value in now.items() if name not in (band, "loudness"))
    assert 0.5 < now["loudness"] <= 1


def test_silence_is_0_and_has_no_rhythm() -> None:
    for samples in (np.zeros(3000, np.float32), np.zeros(0, np.float32)):
        assert set(levels(samples, 0.1).values()) == {0.0}
        found = rhythm(MadeSound(samples))
        assert (len(found.onsets), len(found.beats), found.tempo_bpm) == (0, 0, 0)
        assert found.beat_at(np.array([0.0, 1.0])).tolist() == [0, 0]
    assert len(rhythm(MadeSound(tone(440, 6))).beats) == 0


SOUNDS = {
    "drums in noise": spoiled(drums(88, 16, seed=5), 5, noise=0.4, speech=0.4, reverb=0.3),
    "song 3": spoiled(song(144, 20, seed=13, roots=(0, -2, 3, 1)), 13, noise=0.3, reverb=0.4),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_onsets_tempo_and_beats_of_made_music_are_found(name: str) -> None:
    made = SOUNDS[name]
    found = rhythm(made)
    assert f_score(list(found.onsets), made.onsets, 0.05) >= 0.9
    assert found.tempo_bpm == pytest.approx(made.bpm, rel=0.02)
    assert f_score(list(found.beats), made.beats, 0.03) >= 0.95


def test_beats_are_counted_and_bars_begin_with_the_bass() -> None:
    made = song(120, 16, seed=21)
    found = rhythm(made)
    times = np.array(made.beats[2:-2])
    numbers = found.beat_at(times)
    assert np.diff(numbers) == pytest.approx(np.ones(len(times) - 1), abs=0.05)
    before, after = found.beat_at(np.array([-1.0, made.beats[-1] + 1.0]))
    assert after - before == pytest.approx((made.beats[-1] + 2) * 2, abs=0.1)
    assert found.bar_at(times[4:5]) - found.bar_at(times[:1]) == pytest.approx(1, abs=0.02)
