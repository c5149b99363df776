"""Videos that arrive in a folder: taken when they have stopped growing, once, and again when they change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vidtrans.batch.watching import SETTLED_S, Arrivals
from vidtrans.core.errors import UsageError


class Clock:
    """A clock that is set by hand."""

    time = 0.0

    def __call__(self) -> float:
        return self.time

    def later(self, seconds: float = SETTLED_S) -> None:
        self.time += seconds


def write(path: Path, size: int) -> None:
    """Write a file of a size, with a time of change that differs from every other."""
    write.count += 1  # type: ignore[attr-defined]
    path.write_bytes(b"x" * size)
    os.utime(path, ns=(write.count, write.count))  # type: ignore[attr-defined]


write.count = 0  # type: ignore[attr-defined]


def test_a_video_is_taken_once_when_it_has_stopped_growing(tmp_path: Path) -> None:
    clock = Clock()
    arrivals = Arrivals(tmp_path, clock)
    write(tmp_path / "a.mp4", 10)
    write(tmp_path / "notes.txt", 10)
    write(tmp_path / ".b.mp4", 10)
    write(tmp_path / "empty.mov", 0)
    assert arrivals.take() == []
    assert arrivals.is_waiting
    clock.later()
    write(tmp_path / "a.mp4", 20)  # it still grows
    assert arrivals.take() == []
    clock.later(SETTLED_S / 2)
    assert arrivals.take() == []
    clock.later()
    assert arrivals.take() == [tmp_path / "a.mp4"]
    clock.later()
    assert arrivals.take() == []
    assert not arrivals.is_waiting


def test_videos_that_change_or_come_back_later_are_taken_again_in_natural_order(tmp_path: Path) -> None:
    clock = Clock()
    arrivals = Arrivals(tmp_path, clock)
    names = [tmp_path / f"shot{n}.mov" for n in (2, 10)]
    for path in reversed(names):
        write(path, 5)
    arrivals.take()
    clock.later()
    assert arrivals.take() == names
    write(names[0], 5)  # as long as before, at another time
    names[1].unlink()
    arrivals.take()
    clock.later()
    assert arrivals.take() == [names[0]]


def test_a_folder_that_is_gone_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give a folder"):
        Arrivals(tmp_path / "none").take()
