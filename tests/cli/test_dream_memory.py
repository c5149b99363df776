"""Dreams of models that keep frames of their clip: recall, wander, resume, and refused options."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip
from dreams import rememberer, toy, with_toys

EXACT = ("--codec", "ffv1", "--set=rendering.chunk_frames=8")
FRAMES = 100  # a pointer counts wholly after 60


@pytest.fixture
def seed() -> Path:
    return write_clip(Path("seed.mp4"), moving_frames(12))


@pytest.fixture
def model() -> Path:
    return rememberer(Path("river.safetensors"))


def film(capsys: pytest.CaptureFixture[str], *arguments: object, name: str = "out.mkv") -> np.ndarray:
    said(capsys, 0, "dream", *arguments, "-o", name, "--overwrite", *EXACT)
    return np.stack(decode(Path(name))[2])


@pytest.mark.thorough
def test_recall_and_wander_change_a_dream_and_the_clip_counts_after_a_second(
    seed: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = (seed, "--model", model, "--frames", FRAMES, "--drift-correction", 0)
    plain, forgetful = film(capsys, *ask), film(capsys, *ask, "--recall", 0)
    assert np.array_equal(plain[:30], forgetful[:30])
    assert not np.array_equal(plain[60:], forgetful[60:])
    late = film(capsys, *ask, "--recall", "0: 0, 50: 0, 60: 1")
    assert np.array_equal(late[:50], forgetful[:50])
    assert not np.array_equal(late[60:], forgetful[60:])
    wild = film(capsys, *ask, "--wander", 1)
    assert not np.array_equal(wild, plain)
    assert np.array_equal(wild, film(capsys, *ask, "--wander", 1, "--cache-dir", "other"))
    assert not np.array_equal(wild, film(capsys, *ask, "--wander", 1, "--seed", 5))


def test_a_longer_dream_goes_on_from_where_its_pointer_was(
    seed: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ask = (seed, "--model", model, "--wander", 0.7, "--drift-correction", 0)
    whole = film(capsys, *ask, "--frames", FRAMES, "--cache-dir", "whole")
    film(capsys, *ask, "--frames", 72)
    more = ("dream", *ask, "--frames", FRAMES, "-o", "out.mkv", "--overwrite", *EXACT)
    assert said_json(capsys, *more)["frames_inferred"] < FRAMES
    assert np.array_equal(whole, np.stack(decode(Path("out.mkv"))[2]))


@pytest.mark.thorough
def test_models_in_turn_point_to_frames_of_their_own_clips(
    seed: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = rememberer(Path("brook.safetensors"), frames=8)
    tide = rememberer(Path("tide.safetensors"), "clock")
    ask = (seed, "--model", model, "--model", short, "--model", tide, "--every", 20, "--wander", 0)
    whole = film(capsys, *ask, "--frames", FRAMES, "--cache-dir", "whole")
    film(capsys, *ask, "--frames", 72)
    assert np.array_equal(whole, film(capsys, *ask, "--frames", FRAMES))
    pair = (
        seed,
        "--model",
        tide,
        "--model",
        model,
        "--every",
        24,
        "--drift-correction",
        0,
    )  # stopped in the clock's turn
    whole = film(capsys, *pair, "--frames", FRAMES, "--cache-dir", "pair")
    film(capsys, *pair, "--frames", 64)
    assert np.array_equal(whole, film(capsys, *pair, "--frames", FRAMES))
    early = (seed, "--model", model, "--model", tide, "--every", 10, "--frames", 20, "--drift-correction", 0)
    plain, forgetful = film(capsys, *early), film(capsys, *early, "--recall", 0)
    assert np.array_equal(plain[:10], forgetful[:10])  # a pointer's clip does not count yet
    assert not np.array_equal(plain[10], forgetful[10])  # a clock's does


@pytest.mark.thorough
def test_models_that_morph_show_the_frames_that_each_keeps(seed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from vidtrans.models.model_file import load_generator, save_model

    several = []
    for number in range(3):
        generator, record = load_generator(rememberer(Path(f"r{number}.safetensors")))
        kept = np.stack(moving_frames(60))[10 * number : 10 * number + 40]
        generator.frame_memory.fill(np.stack([cv2.resize(picture, (32, 24)) for picture in kept]) ^ (80 * number))
        save_model(Path(f"s{number}.safetensors"), generator, record)
        several += ["--model", f"s{number}.safetensors"]
    ask = (seed, *several, "--morph", "--every", 40, "--drift-correction", 0)
    whole = film(capsys, *ask, "--frames", FRAMES, "--cache-dir", "whole")
    film(capsys, *ask, "--frames", 64)
    assert np.array_equal(whole, film(capsys, *ask, "--frames", FRAMES))


def test_a_clock_recalls_from_the_first_frame_on(seed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = rememberer(Path("tide.safetensors"), "clock")
    ask = (seed, "--model", model, "--frames", 4, "--drift-correction", 0)
    assert not np.array_equal(film(capsys, *ask)[0], film(capsys, *ask, "--recall", 0)[0])
    assert "'tide' has no pointer" in refuse(capsys, 2, "dream", *ask, "--wander", 1)


def test_options_of_memory_are_refused_for_models_without_any(seed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with with_toys():
        ask = ("dream", seed, "--model", toy(Path("toy.safetensors")), "--frames", 4)
        assert "'toy' keeps no frames of its clip" in refuse(capsys, 2, *ask, "--recall", "0.5")
        assert "make-dataset VIDEO --preset next-frame" in refuse(capsys, 2, *ask, "--wander", "sin(t)^2")
    ask = ("dream", seed, "--model", rememberer(Path("river.safetensors")), "--frames", 4)
    assert "--recall" in refuse(capsys, 2, *ask, "--recall", "1.5")


def test_a_model_whose_frames_are_not_those_on_record_is_refused(
    seed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from vidtrans.models.model_file import load_generator, save_model

    generator, record = load_generator(rememberer(Path("river.safetensors")))
    save_model(Path("odd.safetensors"), generator, replace(record, dream=record.dream | {"runs": [3, 4]}))
    told = refuse(capsys, 3, "dream", seed, "--model", "odd", "--frames", 4)
    assert "the frames that it keeps are not those on record" in told
