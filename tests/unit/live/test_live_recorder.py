from __future__ import annotations

import asyncio
import errno
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from clips import decode, times
from live_server import flat, until

from vidtrans.live.hub import Recorder, Recordings


def record(path: Path, moments: list[float], ended: float) -> list[str]:
    """Record grey pictures that are shown at moments in seconds."""
    clock, problems = iter([*moments, ended]), list[str]()
    recorder = Recorder(path, problems.append, lambda: next(clock))
    for number, _ in enumerate(moments):
        recorder.write(flat(20 * number))
        until(lambda n=number: recorder.num_frames == n + 1)
    assert recorder.close() == (None if problems else path)
    return problems


def test_each_picture_is_there_at_the_time_when_it_was_shown() -> None:
    assert record(Path("r.mp4"), [100.0, 100.04, 100.04, 102.0], 102.5) == []  # the clock may stand
    assert times(Path("r.mp4")) == [0, Fraction(1, 25), Fraction(41, 1000), 2]
    _, _, pictures = decode(Path("r.mp4"))
    assert [round(float(p.mean()) / 20) for p in pictures] == [0, 1, 2, 3]


def test_without_a_picture_or_a_folder_nothing_is_left() -> None:
    problems: list[str] = []
    assert Recorder(Path("r.mp4"), problems.append).close() is None
    assert problems == []
    recorder = Recorder(Path("none such") / "r.mp4", problems.append)
    recorder.write(np.zeros((24, 32, 3), np.uint8))
    assert recorder.close() is None
    assert len(problems) == 1
    assert list(Path().iterdir()) == []


def test_what_cannot_be_finished_stays_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "r.mp4")

    monkeypatch.setattr("vidtrans.live.hub.join", full)
    (problem,) = record(Path("r.mp4"), [0.0, 0.5, 1.0], 2.0)
    assert "r.nut" in problem
    assert [p.name for p in Path().iterdir()] == ["r.nut"]
    assert len(decode(Path("r.nut"))[2]) == 3


def test_an_encoder_that_fails_in_any_way_ends_the_recording_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ValueError("a bug")

    problems: list[str] = []
    recorder = Recorder(Path("r.mp4"), problems.append)
    monkeypatch.setattr("vidtrans.live.hub.SegmentWriter.write", broken)
    for _ in range(40):
        recorder.write(flat(9))
    assert recorder.close() is None
    assert problems[0].startswith("ValueError: a bug")


def test_takes_of_one_second_have_names_of_their_own() -> None:
    recordings = Recordings(Path("takes"), print)
    for level in (10, 20, 30):
        recordings.begin("m")
        recordings.write(flat(level))
        asyncio.run(recordings.end())
    assert len(list(Path("takes").glob("*.mp4"))) == 3
