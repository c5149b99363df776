"""Dreams that are steered, by scripts and by tables, and dreams of models that keep frames of their clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip
from dreams import rememberer, toy, with_toys

from vidtrans.models.model_file import load_generator, save_model

EXACT = ("--codec", "ffv1", "--set=rendering.chunk_frames=8")
Capsys = pytest.CaptureFixture[str]
FRAMES = 100  # a pointer counts wholly after 60


@pytest.fixture
def seed() -> Path:
    return write_clip(Path("seed.mp4"), moving_frames(12))


@pytest.fixture
def model() -> Path:
    return rememberer(Path("river.safetensors"))


def film(capsys: Capsys, *arguments: object, name: str = "out.mkv") -> np.ndarray:
    said(capsys, 0, "dream", *arguments, "-o", name, "--overwrite", *EXACT)
    return np.stack(decode(Path(name))[2])


@pytest.mark.thorough
def test_recall_and_wander_change_a_dream_and_a_clip_counts_later(seed: Path, model: Path, capsys: Capsys) -> None:
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


def test_options_of_memory_are_refused_for_models_without_any(seed: Path, capsys: Capsys) -> None:
    with with_toys():
        ask = ("dream", seed, "--model", toy(Path("toy.safetensors")), "--frames", 4)
        assert "'toy' keeps no frames of its clip" in refuse(capsys, 2, *ask, "--recall", "0.5")
        assert "make-dataset VIDEO --preset next-frame" in refuse(capsys, 2, *ask, "--wander", "sin(t)^2")
    model = rememberer(Path("tide.safetensors"), "clock")
    ask = ("dream", seed, "--model", model, "--frames", 4)
    assert "--recall" in refuse(capsys, 2, *ask, "--recall", "1.5")
    assert "'tide' has no pointer" in refuse(capsys, 2, *ask, "--wander", 1)
    generator, record = load_generator(rememberer(Path("river.safetensors")))
    save_model(Path("odd.safetensors"), generator, replace(record, dream=record.dream | {"runs": [3, 4]}))
    told = refuse(capsys, 3, "dream", seed, "--model", "odd", "--frames", 4)
    assert "the frames that it keeps are not those on record" in told


@pytest.fixture
def shots() -> Path:
    generator, record = load_generator(rememberer(Path("one.safetensors")))
    frames = [[0, number] for number in (*range(20), *range(30, 50))]
    clips = [{"name": "seed.mp4", "rate": "20"}]
    kept = {"runs": [20, 20], "shots": [1, 2], "clips": clips, "frames": frames}
    save_model(Path("river.safetensors"), generator, replace(record, dream=record.dream | kept))
    return Path("river.safetensors")


def test_a_script_does_what_the_flags_do_from_its_moment_on(seed: Path, shots: Path, capsys: Capsys) -> None:
    ask = (seed, "--model", shots, "--frames", 12)
    steered = film(capsys, *ask, "--steer", "0: stay, 8: left+zoom, 10: stay")
    assert not np.array_equal(steered[0], film(capsys, *ask, "--start-zoom", 2)[0])  # it begins with the middle
    assert np.array_equal(steered, film(capsys, *ask, "--steer", "8: pan_x=0.012+zoom=1.012, 10: turn-left*0"))
    other = film(capsys, *ask, "--steer", "8: right, 10: stay")
    assert np.array_equal(steered[:8], other[:8])
    assert not np.array_equal(steered[8], other[8])


def test_a_longer_dream_is_the_same_and_another_script_another_dream(seed: Path, shots: Path, capsys: Capsys) -> None:
    Path("walk.txt").write_text("0: left\n12: goto 2+zoom\n")
    ask = (seed, "--model", shots, "--steer", "walk.txt")
    whole = film(capsys, *ask, "--frames", 24, "--cache-dir", "whole")
    film(capsys, *ask, "--frames", 16)
    more = ("dream", *ask, "--frames", 24, "-o", "out.mkv", "--overwrite", *EXACT)
    assert said_json(capsys, *more)["frames_inferred"] < 24
    assert np.array_equal(whole, np.stack(decode(Path("out.mkv"))[2]))
    Path("walk.txt").write_text("0: left\n12: goto 1+zoom\n")
    changed = film(capsys, *ask, "--frames", 24)
    assert np.array_equal(changed[:12], whole[:12])
    assert not np.array_equal(changed, whole)


def test_a_table_of_actions_is_read_again_when_it_has_changed(seed: Path, shots: Path, capsys: Capsys) -> None:
    ask = (seed, "--model", shots, "--frames", 16, "--drift-correction", 0, "--steer", "0: jump")
    Path("t.csv").write_text("frame,note\n12,jump\n")
    one = film(capsys, *ask, "--actions", "t.csv")
    Path("t.csv").write_text("frame,note\n4,jump\n10,\n")
    assert not np.array_equal(one, film(capsys, *ask, "--actions", "t.csv"))
    assert "it is neither a command nor an action" in refuse(capsys, 2, "dream", *ask, "-o", "no.mkv")


def test_what_cannot_be_steered_is_said_in_one_line(seed: Path, shots: Path, capsys: Capsys) -> None:
    tide = rememberer(Path("tide.safetensors"), "clock")
    for of, flags, says in (
        (shots, ("--steer", "0: left,, 9: up"), "entry 2 is empty"),
        (shots, ("--steer", "0: lefft"), "did you mean 'left'"),
        (shots, ("--steer", "30: left"), "it steers at 30, and the dream has 30 frames"),
        (shots, ("--steer", "none.keys"), "there is no such file"),
        (shots, ("--goto", 3), "goto 3: the model keeps no frames of such a shot, but of 1, 2"),
        (shots, ("--actions", "none.csv"), "no such file"),
        (tide, ("--goto", 1), "'tide' has no pointer"),
        (tide, ("--steer", "0: wander=1"), "--steer wander=…: 'tide' has no pointer"),
        (tide, ("--loop", "--steer", "0: speed=2"), "a loop needs a constant speed"),
    ):
        assert says in refuse(capsys, 2, "dream", seed, "--model", of, "--frames", 30, *flags)
