"""``evaluate --dream``: films whose faults are known."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import moving_frames, write_folder
from directed_clip import Frames, lossless

from vidtrans.evaluation.dream_scores import _nearest
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


def test_a_film_of_half_the_rate_is_compared_by_time(source: Path, capsys: Capsys) -> None:
    ours = film(CLIP[4::2], rate=15)
    found = said_json(capsys, "evaluate", ours, "--source", source, "--dream", "--start", "4")
    assert found["horizons"] == {"1": 99.0, "5": 99.0, "10": 99.0}
    assert found["m4"] == pytest.approx(1, abs=0.3)


def test_frames_of_a_source_of_changing_rate_go_with_the_nearest_one_and_none_from_before_the_start() -> None:
    times = [Fraction(n, 60) for n in range(30)] + [Fraction(1, 2) + Fraction(n, 10) for n in range(10)]
    assert [_nearest(times, times[30] + Fraction(n, 10)) for n in range(5)] == [30, 31, 32, 33, 34]
    assert _nearest(times, Fraction(1, 120)) == 1  # of two as near the later one
    assert _nearest(times, Fraction(99)) == 39


def test_a_long_source_counts_to_its_end(capsys: Capsys) -> None:
    grey = [np.full((16, 16, 3), n % 200, np.uint8) for n in range(1300)]
    grey[-40:] = [np.full((16, 16, 3), 250, np.uint8)] * 40
    source = lossless(Path("long.mp4"), grey)
    assert said_json(capsys, "evaluate", film(grey[-40:]), "--source", source, "--dream")["nn"] == 99.0


def test_pictures_go_by_number(capsys: Capsys) -> None:
    write_folder(Path("clip"), CLIP)
    write_folder(Path("film"), CLIP[10:])
    found = said_json(capsys, "evaluate", "film", "--source", "clip", "--dream", "--start", "10")
    assert found["horizons"]["30"] == 99.0


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
    assert "up to date" in said(capsys, 0, *f"evaluate {ours} --source {source} --dream --start 1 -o strip.png".split())
    said(capsys, 0, "evaluate", ours, "--source", source, "--dream", "-o", "all.json")
    held = json.loads(Path("all.json").read_text())
    assert held["series"]["frame"] == list(range(120))
    assert set(held["series"]["nn"]) == {99.0}
    assert held["uniq"] is None
    one = said_json(capsys, "evaluate", film(CLIP[:1], "one.mp4"), "--source", source, "--dream")
    assert (one["m1"], one["m4"], one["uniq"], one["nn"]) == (None, None, None, 99.0)


def test_a_film_of_another_shape_sees_the_middle_of_the_source(source: Path, capsys: Capsys) -> None:
    square = [np.ascontiguousarray(frame[:, 8:56]) for frame in CLIP]
    told = said(capsys, 0, "evaluate", film(square), "--source", source, "--dream")
    assert "clip.mp4 has another aspect ratio" in told
    assert said_json(capsys, "evaluate", "film.mp4", "--source", source, "--dream")["nn"] == 99.0


def test_what_makes_no_sense_is_refused(source: Path, capsys: Capsys) -> None:
    film(CLIP[:5])
    write_picture(Path("one.png"), CLIP[0])
    command = ("evaluate", "film.mp4", "--source", source, "--dream")
    for flag in ("--per-frame film.mp4", "--reference film.mp4", "--flow brox"):
        assert flag.split()[0] in refuse(capsys, 2, *command, *flag.split())
    for flag in ("--start 0", "--start 5.0s", "--source one.png"):
        assert flag in refuse(capsys, 2, *command, *flag.split())
