"""Sound along a map of times: in step with the pictures, with the pitch that is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from vidtrans.retiming.schedule import TimeMap
from vidtrans.retiming.sound import RATE_HZ, Samples, stretched, with_speed

RAMP = TimeMap.of_speeds([Fraction(n, 8) for n in range(17)], [1 + 0.8 * np.sin(n / 3) for n in range(17)])


def tone(hertz: float, seconds: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32)[:, None]


def samples(sound: np.ndarray) -> Samples:
    def blocks() -> Iterator[np.ndarray]:
        yield from np.array_split(sound, 37)

    return Samples(blocks(), sound.shape[1])


def pitch(sound: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(sound[:, 0] * np.hanning(len(sound))))
    return float(spectrum.argmax() * RATE_HZ / len(sound))


@pytest.mark.parametrize("speed", [Fraction(1, 2), Fraction(4, 5), Fraction(3, 2), Fraction(3)])
def test_a_tone_keeps_its_pitch_or_follows_the_speed(speed: Fraction) -> None:
    sound, time_map = tone(440, 2), TimeMap.constant(speed, Fraction(2))
    kept = np.concatenate([*stretched(samples(sound), 1, time_map)])
    followed = np.concatenate([*with_speed(samples(sound), 1, time_map)])
    assert len(kept) == len(followed) == round(2 / speed * RATE_HZ)
    assert abs(pitch(kept) - 440) < 3
    assert abs(pitch(followed) - 440 * float(speed)) < 3
    middle = kept[RATE_HZ // 10 : -RATE_HZ // 10, 0]
    assert 0.6 < middle.std() < 0.8  # as loud as before: pieces that overlap are in phase


def test_sound_of_the_same_speed_is_unchanged() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (RATE_HZ, 2)).astype(np.float32)
    time_map = TimeMap.constant(Fraction(1), Fraction(1))
    for way in (stretched, with_speed):
        made = np.concatenate([*way(samples(sound), 2, time_map)])
        assert np.abs(made - sound)[2048:-2048].max() < 1e-4


@pytest.mark.parametrize("way", [stretched, with_speed])
def test_clicks_are_in_step_after_ramps(way: object) -> None:
    sound = np.zeros((2 * RATE_HZ, 1), np.float32)
    places = [Fraction(1, 4), Fraction(3, 4), Fraction(5, 4), Fraction(7, 4)]
    for place in places:
        sound[round(place * RATE_HZ)] = 1
    made = np.concatenate([*way(samples(sound), 1, RAMP)])[:, 0]  # type: ignore[operator]
    assert len(made) == round(RAMP.duration * RATE_HZ)
    for place in places:
        at = round(RAMP.result_time(place) * RATE_HZ)
        near = np.abs(made[max(0, at - 960) : at + 960])
        assert near.max() > 0.2
        # A piece is taken up to a hundredth of a second from its place, where that is smoother
        tolerance = 48 if way is with_speed else 560
        assert abs(int(near.argmax()) - min(960, at)) <= tolerance


def test_sound_is_exactly_in_step_soon_after_a_ramp_to_the_usual_speed() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, (3 * RATE_HZ, 1)).astype(np.float32)
    nodes = [Fraction(n, 4) for n in range(13)]
    time_map = TimeMap.of_speeds(nodes, [1, 0.6, 0.4, 0.7, 1, *[1] * 8])
    made = np.concatenate([*stretched(samples(sound), 1, time_map)])
    after = round((time_map.result_time(Fraction(1)) + Fraction(1, 4)) * RATE_HZ)
    later = after - round(float(time_map.duration - 3) * RATE_HZ)
    difference = np.abs(made[after:-2048] - sound[later : later + len(made) - 2048 - after])
    assert (
        min(np.abs(difference).max(), np.abs(made[after:-2047] - sound[later - 1 :][: len(made) - 2047 - after]).max())
        < 1e-3
    )
