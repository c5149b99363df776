"""``stylize --score`` and ``evaluate --dream``: renders and films whose faults are known."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, scene
from directed_clip import Frames, lossless
from oddities import cut_outs, write_frames

from vidtrans.metrics.dreams import ping_pong
from vidtrans.video.images.picture import read_picture, write_picture

Capsys = pytest.CaptureFixture[str]
CLIP = moving_frames(40)
COMMON_KEYS = {"warping_error", "warping_error_per_frame", "ratio", "psnr", "ssim"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return lossless(Path("clip.mp4"), CLIP)


def film(frames: Frames, name: str = "film.mp4", **options: object) -> Path:
    return lossless(Path(name), frames, **options)


def test_the_clip_itself_holds_and_foretells_perfectly(source: Path, capsys: Capsys) -> None:
    ours = film([CLIP[min(p, 78 - p)] for p in [k % 78 for k in range(5, 325)]])
    found = said_json(capsys, "evaluate", ours, "--source", source, "--dream", "--start", "5")
    assert (found["frames"], found["nn"], found["drift"]) == (320, 99.0, 0.0)
    assert found["uniq"] == found["uniq_real"] == 40
    for name in ("sharpness", "m1", "m4"):
        assert found[name] == pytest.approx(1, abs=0.05)
    assert found["horizons"] == {"1": 99.0, "5": 99.0, "10": 99.0, "30": 99.0}
    assert found["copy_last"]["1"] > found["copy_last"]["5"]
    assert all(found[name] is None for name in COMMON_KEYS)


def test_an_enlarged_film_is_scored_at_the_size_of_its_model(source: Path, capsys: Capsys) -> None:
    small = [cv2.resize(frame, (32, 24), interpolation=cv2.INTER_AREA) for frame in CLIP]
    ours = film([cv2.resize(frame, (64, 48), interpolation=cv2.INTER_CUBIC) for frame in small])
    command = ("evaluate", ours, "--source", source, "--dream")
    large, own = said_json(capsys, *command), said_json(capsys, *command, "--size", 24)
    assert own["nn"] > large["nn"] + 3
    assert "give --dream" in refuse(capsys, 2, "evaluate", ours, "--source", source, "--size", 24)


def test_what_is_written(source: Path, capsys: Capsys) -> None:
    ours = film(ping_pong(CLIP, 120))
    told = said(capsys, 0, "evaluate", ours, "--source", source, "--dream", "--start", "1", "-o", "strip.png")
    assert "different" not in told  # it ends before what that looks at
    for word in ("nearest", "drift", "sharpness", "motion", "1 frame on", "30 frames on", "strip.png"):
        assert word in told
    strip = read_picture(Path("strip.png"))
    assert strip.shape[1] > 3 * CLIP[0].shape[1]  # frames 1, 30, 100
    said(capsys, 0, "evaluate", ours, "--source", source, "--dream", "-o", "all.json")
    held = json.loads(Path("all.json").read_text())
    assert held["series"]["frame"] == list(range(120))
    assert set(held["series"]["nn"]) == {99.0}
    assert held["uniq"] is None
    one = said_json(capsys, "evaluate", film(CLIP[:1], "one.mp4"), "--source", source, "--dream")
    assert (one["m1"], one["m4"], one["uniq"], one["nn"]) == (None, None, None, 99.0)


def test_what_makes_no_sense_is_refused(source: Path, capsys: Capsys) -> None:
    film(CLIP[:5])
    write_picture(Path("one.png"), CLIP[0])
    command = ("evaluate", "film.mp4", "--source", source, "--dream")
    for flag in ("--per-frame film.mp4", "--reference film.mp4", "--flow brox"):
        assert flag.split()[0] in refuse(capsys, 2, *command, *flag.split())
    for flag in ("--start 0", "--start 5.0s", "--source one.png"):
        assert flag in refuse(capsys, 2, *command, *flag.split())


COUNT = 16
BASE = Fraction(1, 15360)
# Nothing is changed and nothing is filtered: what is scored is what it is scored against.
PLAIN = ("--model", "identity", "--size", "source", "--temporal", "off")
EXACT = {"psnr": 99, "sharpness": 1, "ratio": 1}


def panned(count: int = COUNT, size: tuple[int, int] = (96, 72)) -> Frames:
    """A texture that moves 3 pixels a frame: no frame can stand for another."""
    wide = np.clip(scene(size[0] + 3 * count, size[1], 3), 40, 200)
    return [np.ascontiguousarray(wide[:, 3 * i : 3 * i + size[0]]) for i in range(count)]


def scored(capsys: Capsys, *arguments: object) -> dict[str, Any]:
    table = said_json(capsys, "stylize", *arguments, "--score")
    made: dict[str, Any] = table["score"]
    assert Path(made["output"]).is_file()
    return made


def exact(table: dict[str, Any]) -> None:
    assert {k: table[k] for k in EXACT} == EXACT
    assert table["warping_error"] == table["warping_error_source"] == table["warping_error_per_frame"]


def test_what_is_transparent_lies_on_one_ground(capsys: Capsys) -> None:
    """Pictures are read on white and videos on black; source, render and per-frame pictures alike."""
    source = write_frames(Path("a.mkv"), cut_outs(6, (96, 72)), "ffv1", "bgra")
    exact(scored(capsys, source, *PLAIN, "--codec", "png", "-o", "o"))


def test_each_frame_is_scored_against_the_one_that_it_shows(capsys: Capsys) -> None:
    """At times of 24 a second on average: some frames come in a bunch, and others stay for long."""
    step, frames = int(1 / (24 * BASE)), panned()
    pts = [i * step - step * (0, 7, 14, 0)[i % 4] // 10 for i in range(COUNT)]
    lossless(Path("c.mp4"), frames, pts=pts, time_base=BASE)
    table = scored(capsys, "c.mp4", *PLAIN, "--codec", "ffv1", "-o", "o.mkv", "--fps", 24)
    assert table["frames"] == COUNT
    made = decode(Path("o.mkv"))[2]
    steps = [next(i for i, frame in enumerate(frames) if np.array_equal(frame, shown)) for shown in made]
    assert steps != list(range(COUNT))
    assert steps == sorted(steps)
    exact(table)


def test_a_gif_that_drops_frames_is_scored(capsys: Capsys) -> None:
    """It cannot show a frame for less than 2 centiseconds."""
    lossless(Path("fast.mp4"), panned(), rate=100, time_base=Fraction(1, 10000))
    table = scored(capsys, "fast.mp4", *PLAIN, "--codec", "gif", "-o", "o.gif")
    assert table["frames"] == COUNT // 2
    assert table["compared_with"] is None
    assert table["warping_error"] > table["warping_error_source"]
