"""Values over a clip: numbers and keyframes, read, written, and asked for at each frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from vidtrans.clips.clip_signals import clip_clock
from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Time, from_table
from vidtrans.curves.curve import Curve, parse_curve, parse_names
from vidtrans.flow.survey import Survey
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.video.io.clip import ClipIndex


def clip_of(pts: tuple[int, ...], time_base: Fraction = Fraction(1, 1000)) -> Clip:
    last = pts[-1] - pts[-2] if len(pts) > 1 else 1
    index = ClipIndex(pts, time_base, last, 64, 48, Fraction(1), Fraction(25), 0, len(pts))
    return Clip(Path("clip.mp4"), "00", index, Survey((0,)))


def read(text: str | float, high: float = 2.0) -> Curve:
    return parse_curve(text, "--strength", 0.0, high)


def at_each_frame(text: str, clip: Clip) -> list[float]:
    value = read(text).over(clip_clock(clip), "--strength", 0.0, 2.0)
    return [value(i) for i in range(clip.index.num_frames)]


def test_one_value_is_one_key_however_it_is_spelt() -> None:
    for spelt in (1, 1.0, "1", " 1.00 ", "1e0"):
        assert RenderingSettings(strength=spelt).for_key() == RenderingSettings().for_key()  # type: ignore[arg-type]


def test_moments_are_frames_seconds_or_clock_times() -> None:
    for text, first, second in (
        ("0:0, 120 : 1", Time(frame=0), Time(frame=120)),
        ("7: 0, 2.5s: 1", Time(frame=7), Time(seconds=Fraction(5, 2))),
        ("00:30: 0, 01:02:03.5: 1", Time(seconds=Fraction(30)), Time(seconds=Fraction(7447, 2))),
    ):
        made = read(text)
        assert (made.moments, [e.value({}) for e in made.expressions]) == ((first, second), [0.0, 1.0])
    assert (read("0.5").constant, read("0: 1, 9: 1").constant, read("0: 1, 9: 0").constant) == (0.5, 1.0, None)


def test_a_comma_may_follow_the_last_key_frame() -> None:
    assert str(read("0: (0.2),\r\n 12: (0.8),\n")) == str(read("0: (0.2), 12: (0.8)"))
    assert str(read("0: 0.5,")) == str(read("0: 0.5"))
    assert parse_names("0: ink, 9: oil,\n", "--look") == parse_names("0: ink, 9: oil", "--look")


@pytest.mark.parametrize("text", ["-0.1", "0: 0, 9: 2.5", "0: 1/0, 9: 1"])
def test_values_that_are_out_of_bounds_or_no_numbers_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="choose a value from 0 to 2"):
        read(text)
    with pytest.raises(UsageError, match="from 0 to 2"):
        from_table(RenderingSettings, {"strength": text}, "rendering")


def test_it_moves_evenly_in_time_where_frames_do_not() -> None:
    clip = clip_of((500, 600, 1000, 1500))  # a late start, and three different durations
    assert at_each_frame("0: 0, 3: 1", clip) == pytest.approx([0, 0.1, 0.5, 1])
    assert at_each_frame("0s: 0, 1s: 1", clip) == pytest.approx([0, 0.1, 0.5, 1])
    assert at_each_frame("0.3", clip) == at_each_frame("3: 0.3", clip) == [0.3] * 4
    assert at_each_frame("0: 0, 2: 0, 2: 1, 4: 1", clip_of(tuple(range(5)))) == [0, 0, 1, 1, 1]  # a jump
