"""Dreams that are steered: by scripts, to shots, to what a table names; and models that learn a moving camera."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chain import TINY, refuse, said, said_json
from clips import decode, moving_frames, write_clip
from dreams import rememberer, toys

import vidtrans as api
from vidtrans.models.model_file import load_generator, read_record, save_model

Capsys = pytest.CaptureFixture[str]
__all__ = ["toys"]  # a fixture
EXACT = ("--codec", "ffv1", "--set=rendering.chunk_frames=8")


@pytest.fixture
def seed() -> Path:
    return write_clip(Path("seed.mp4"), moving_frames(12))


@pytest.fixture
def model() -> Path:
    """A model that keeps frames of two shots."""
    generator, record = load_generator(rememberer(Path("one.safetensors")))
    frames = [[0, number] for number in (*range(20), *range(30, 50))]
    clips = [{"name": "seed.mp4", "rate": "20"}]
    kept = {"runs": [20, 20], "shots": [1, 2], "clips": clips, "frames": frames}
    save_model(Path("river.safetensors"), generator, replace(record, dream=record.dream | kept))
    return Path("river.safetensors")


def film(capsys: Capsys, *arguments: object, name: str = "out.mkv") -> np.ndarray:
    said(capsys, 0, "dream", *arguments, "-o", name, "--overwrite", *EXACT)
    return np.stack(decode(Path(name))[2])


def test_a_script_does_what_the_flags_do_from_its_moment_on(seed: Path, model: Path, capsys: Capsys) -> None:
    ask = (seed, "--model", model, "--frames", 20)
    steered = film(capsys, *ask, "--steer", "0: stay, 8: left+zoom, 16: stay")
    assert np.array_equal(steered, film(capsys, *ask, "--steer", "8: pan_x=0.012+zoom=1.012, 16: turn-left*0"))
    other = film(capsys, *ask, "--steer", "8: right, 16: stay")
    assert np.array_equal(steered[:8], other[:8])
    assert not np.array_equal(steered[8], other[8])


def test_a_longer_dream_is_the_same_and_another_script_is_another_dream(
    seed: Path, model: Path, capsys: Capsys
) -> None:
    Path("walk.txt").write_text("0: left\n12: goto 2+zoom\n")
    ask = (seed, "--model", model, "--steer", "walk.txt")
    whole = film(capsys, *ask, "--frames", 60, "--cache-dir", "whole")
    film(capsys, *ask, "--frames", 40)
    more = ("dream", *ask, "--frames", 60, "-o", "out.mkv", "--overwrite", *EXACT)
    assert said_json(capsys, *more)["frames_inferred"] < 60
    assert np.array_equal(whole, np.stack(decode(Path("out.mkv"))[2]))
    Path("walk.txt").write_text("0: left\n12: goto 1+zoom\n")
    changed = film(capsys, *ask, "--frames", 60)
    assert np.array_equal(changed[:12], whole[:12])
    assert not np.array_equal(changed, whole)


def test_a_table_of_actions_is_read_again_when_it_has_changed(seed: Path, model: Path, capsys: Capsys) -> None:
    ask = (seed, "--model", model, "--frames", 40, "--drift-correction", 0, "--steer", "0: jump")
    Path("t.csv").write_text("frame,note\n30,jump\n")
    one = film(capsys, *ask, "--actions", "t.csv")
    Path("t.csv").write_text("frame,note\n4,jump\n10,\n")
    assert not np.array_equal(one, film(capsys, *ask, "--actions", "t.csv"))
    assert "it is neither a command nor an action" in refuse(capsys, 2, "dream", *ask, "-o", "no.mkv")
    assert not Path("no.mkv").exists()


def test_a_dream_begins_with_the_middle_of_its_seed(seed: Path, model: Path, capsys: Capsys) -> None:
    ask = (seed, "--model", model, "--frames", 1, "--size", "64x48", "--drift-correction", 0, "--recall", 0)
    whole, middle = film(capsys, *ask)[0].astype(int), film(capsys, *ask, "--start-zoom", 2)[0].astype(int)
    assert not np.array_equal(whole, middle)


def test_what_cannot_be_steered_is_said_in_one_line(seed: Path, model: Path, toys: None, capsys: Capsys) -> None:
    ask = ("dream", seed, "--model", model, "--frames", 30)
    assert "entry 2 is empty" in refuse(capsys, 2, *ask, "--steer", "0: left,, 9: up")
    assert "did you mean 'left'" in refuse(capsys, 2, *ask, "--steer", "0: lefft")
    assert "it steers at 30, and the dream has 30 frames" in refuse(capsys, 2, *ask, "--steer", "30: left")
    assert "there is no such file" in refuse(capsys, 2, *ask, "--steer", "none.keys")
    assert "goto 3: the model keeps no frames of such a shot, but of 1, 2" in refuse(capsys, 2, *ask, "--goto", 3)
    assert "no such file" in refuse(capsys, 2, *ask, "--actions", "none.csv")
    tide = rememberer(Path("tide.safetensors"), "clock")
    clocked = ("dream", seed, "--model", tide, "--frames", 30)
    assert "'tide' has no pointer" in refuse(capsys, 2, *clocked, "--goto", 1)
    assert "--steer wander=…: 'tide' has no pointer" in refuse(capsys, 2, *clocked, "--steer", "0: wander=1")
    assert "'tide' has no pointer" in refuse(capsys, 2, *clocked, "--steer", "0: goto 1")
    assert "a loop needs a constant speed" in refuse(capsys, 2, *clocked, "--loop", "--steer", "0: speed=2")


@pytest.mark.thorough
def test_a_model_learns_windows_and_dreams_in_one(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.metrics.dreams.ROLLOUT_FRAMES", 30)
    monkeypatch.setattr("vidtrans.metrics.dreams.STRIP_FRAMES", (1, 30))
    clip = write_clip(Path("clip.mp4"), moving_frames(20, (128, 96)))
    dataset = {"size": "64", "val_fraction": 0}
    api.make_dataset(clip, "clip.dataset", preset="roam", settings={"dataset": dataset}, cache_dir="cache")
    tiny = {"training": {**TINY["training"], "steps": 6, "crop_size": 32}, "generator": {"channels": 8}}
    api.train("clip.dataset", "clip.safetensors", preset="roam", settings=tiny, cache_dir="cache")
    record = read_record(Path("clip.safetensors"))
    assert (record.size, record.dream["zoom"], record.dream["shots"]) == (32, 2.0, [1])
    assert record.generator["settings"]["memory_size"] == [64, 85]
    made = said_json(capsys, "dream", clip, "--model", "clip", "--frames", 5, "--steer", "0: left", "-o", "o.mp4")
    assert made["working_size"] == [43, 32]
    api.make_dataset(clip, "e.dataset", settings=TINY, cache_dir="cache")
    for dataset_of, preset, settings, why in (
        ("e.dataset", None, {"camera": 0.5, "steps": 1}, "it moves over frames that follow each other"),
        ("clip.dataset", "roam", {"crop_size": "none", "steps": 1}, "it needs a window"),
    ):
        with pytest.raises(api.UsageError, match=why):
            api.train(dataset_of, "e.safetensors", preset=preset, settings={"training": settings}, cache_dir="cache")
