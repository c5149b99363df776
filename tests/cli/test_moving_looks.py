"""Shares of looks that move with time and sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said
from clips import decode, moving_frames, write_clip
from made_music import clicks
from style_pictures import write_style_pictures

SMALL = ("--size", "48", "--codec", "ffv1", "--temporal", "off", "--engine", "torch")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(Path("a.mkv"), moving_frames(8), codec="ffv1", pix_fmt="bgr0")
    for new, old in zip(("ink", "oil"), write_style_pictures(tmp_path), strict=True):
        old.rename(tmp_path / new)


def frames(capsys: pytest.CaptureFixture[str], *words: object) -> list[np.ndarray]:
    said(capsys, 0, "stylize", "a.mkv", "-o", "out.mkv", "--overwrite", *SMALL, *words)
    return decode(Path("out.mkv"))[2]


def test_shares_lead_from_one_look_to_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    ink, oil = (frames(capsys, "--look", name) for name in ("ink", "oil"))
    moving = frames(capsys, "--look", "ink: 1 - frame/7, oil: frame/7")
    keyed = frames(capsys, "--look", "0: ink, 7: oil")
    assert all(np.abs(a.astype(int) - b).mean() < 1 for a, b in zip(moving, keyed, strict=True))
    assert np.abs(moving[0].astype(int) - ink[0]).mean() < np.abs(moving[0].astype(int) - oil[0]).mean()
    assert np.abs(moving[7].astype(int) - oil[7]).mean() < np.abs(moving[7].astype(int) - ink[7]).mean()


def test_a_sound_chooses_the_look_and_another_sound_another(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--look", "ink: 0.001 + on_beat(0.05), oil: 0.5", "--sound", "s.wav")
    clicks(120, 3, first_s=0.1).write(Path("s.wav"))
    first = frames(capsys, *words)
    clicks(120, 3, first_s=0.2).write(Path("s.wav"))
    second = frames(capsys, *words)
    assert not np.array_equal(first[3], second[3])


def test_slips_in_shares_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "shares may move" in refuse(capsys, 2, "stylize", "a.mkv", *SMALL, "--look", "ink: lw, oil: 1")
    told = refuse(capsys, 2, "stylize", "a.mkv", *SMALL, "--look", "ink: floor(t), oil: 0*t", dry_run=False)
    assert "at frame 0 all shares are 0" in told


def test_a_dry_run_shows_what_moves_and_what_infers_again(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--look", "ink: frame/7, oil: 1, ink: 0.1", "--strength", "0: 0, 7: 1", "--mix", "0.2", "--dry-run")
    told = said(capsys, 0, "stylize", "a.mkv", *SMALL, *words).splitlines()
    course = "▁▂▃▄▅▆▇█ 0 to 1"
    assert f"strength {course}; works on what was inferred" in told
    assert any(line.startswith(f"ink {course}; the network sees it") for line in told)
    assert not any(line.startswith("mix") for line in told)
