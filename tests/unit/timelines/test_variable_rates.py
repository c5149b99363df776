"""Media with a variable frame rate: a timeline shows, at each moment, the frame that has begun by the media's clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from numbered_media import write_timed
from timeline_samples import edl_samples

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.timelines.spans import ClipSpan, FrameTimes, align_media_start, read_facts, rounded
from vidtrans.timelines.timeline import Relink, StyledMedia, TimelineClip

MILLISECOND, TICK = Fraction(1, 1000), Fraction(1, 6000)
CLIP = TimelineClip(1, "a", "phone.mov", Fraction(0), Fraction(90), Fraction(30))
EDL = "FCM: NON-DROP FRAME\n" + "".join(
    f"00{n}  AX V C {source} 01:00:00:{begin:02} 01:00:00:{begin + 10:02}\n* FROM CLIP NAME: phone.mov\n"
    for n, (source, begin) in enumerate((("00:00:01:20 00:00:02:05", 0), ("00:00:00:05 00:00:00:15", 10)), 1)
)


@pytest.mark.parametrize(
    ("steps_ms", "is_variable"),
    [
        ([50] * 30 + [25] * 30, True),
        ([40] * 60, False),
        ([40, 40, 41, 39] * 15, False),
        ([33, 30, 37, 33] * 15, True),
    ],
)
def test_times_that_no_constant_rate_has_are_read(steps_ms: list[int], is_variable: bool, tmp_path: Path) -> None:
    pts = [sum(steps_ms[:number]) for number in range(len(steps_ms))]
    facts = read_facts(write_timed(tmp_path / "a.mov", range(len(pts)), pts, MILLISECOND), CLIP)
    assert (facts.times is not None) == is_variable
    if facts.times is not None:
        assert [facts.times.seconds(number) for number in range(len(pts))] == [time * MILLISECOND for time in pts]


def test_the_frame_at_a_moment_is_the_last_one_that_has_begun() -> None:
    times = FrameTimes((10, 20, 40, 50), MILLISECOND)
    at = [times.frame_at(Fraction(ms, 1000)) for ms in (-1, 0, 9, 10, 29, 30, 39, 40)]
    assert at == [-1, 0, 0, 1, 1, 2, 2, 3]
    assert [times.frames_before(Fraction(ms, 1000)) for ms in (0, 1, 10, 11, 99)] == [0, 1, 1, 2, 3]


def test_an_edl_is_rendered_and_shows_the_same_frames(media: Path, tmp_path: Path) -> None:
    (path := media / "phone.edl").write_text(EDL)
    before = edl_samples(path, media, 30)
    assert sum(isinstance(one, int) for one in before.values()) == 20
    with pytest.raises(UsageError, match=r"phone\.mov has a variable frame rate.*--rate 25"):
        api.stylize(path, model="identity", output=str(tmp_path), dry_run=True)
    api.stylize(path, model="identity", output=str(tmp_path / "out.edl"), rate="30", handles=2, executor="inline")
    assert edl_samples(tmp_path / "out.edl", tmp_path, 30) == before


def test_one_rounded_count_is_not_hidden() -> None:
    times = FrameTimes((0, 250, 400, 600, 800, 1000), TICK)
    span = ClipSpan(1, 5, Fraction(0), rate=Fraction(30), times=times)
    clip = TimelineClip(1, "a", "a", Fraction(2), Fraction(5), Fraction(30))
    assert align_media_start(1, [(clip, span)]) == 0
    link = Relink(StyledMedia(Path("a"), 0, 4, Fraction(30)), Fraction(-5, 4), Fraction(0), Fraction(4))
    assert rounded(link, clip, span)[0].shift == -1
    assert rounded(link, clip, span)[1] == 0  # a quarter of a count early, and every frame begins on a count
    late = Relink(link.media, Fraction(-3, 4), Fraction(0), Fraction(4))
    assert rounded(late, clip, span)[1] == 3
