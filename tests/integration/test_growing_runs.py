"""Runs whose pictures grow: the same bytes however often they are stopped, any method, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, refuse, tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.data.loading import Loader, TrainingBatch
from vidtrans.training import trials, unpaired_colours

pytestmark = pytest.mark.usefixtures("one_thread")
Stopped = Callable[..., list[str]]

TINY = TINY | {"dataset": TINY["dataset"] | {"size": "48"}}  # of 64x48
NETWORKS = {k: TINY[k] for k in ("generator", "discriminator")}
GROWING = {"grow_from": 24, "steps": 4, "jitter": 1.0}  # crops of 32x32 for 2 steps, then of 64x48
METHODS: dict[str, dict[str, Any]] = {
    "pix2pix": {},
    "cyclegan": {"method": "cyclegan", "gan_mode": "least-squares", "pool_size": 4, "lambda_l1": 0.0},
}


def tables(**training: Any) -> dict[str, dict[str, Any]]:
    return NETWORKS | {"training": TINY["training"] | training}


@pytest.fixture
def clip() -> Path:
    return write_clip(Path("clip.mp4"), moving_frames(16, shots=(0, 9)))


@pytest.fixture
def paired(clip: Path) -> str:
    api.make_dataset(clip, settings=TINY)
    return "clip.dataset"


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[int, ...]]:
    """The (height, width) of the batches that were made, by their step."""
    made: dict[int, tuple[int, ...]] = {}
    make = Loader.make

    def recorded(self: Loader, step: int) -> TrainingBatch:
        batch = make(self, step)
        made[step] = batch.targets.shape[2:]
        return batch

    monkeypatch.setattr(Loader, "make", recorded)
    return made


@pytest.mark.parametrize(("name", "stops"), [("pix2pix", (1, 2, 3)), ("cyclegan", (2,))])
@pytest.mark.thorough
def test_a_run_that_was_stopped_before_at_and_after_the_change_ends_byte_identical(
    clip: Path, name: str, stops: tuple[int, ...], stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpaired_colours, "METHOD", "linear")  # a fraction of the time
    other = ["other.mp4"] if METHODS[name].get("method") else []
    for path in other:
        write_clip(Path(path), moving_frames(12, shots=(0, 6)))
    api.make_dataset(clip, "clip.dataset", settings=TINY, **({"unpaired": other} if other else {}))
    settings = tables(**GROWING | METHODS[name])
    api.train("clip.dataset", "whole.safetensors", settings=settings, cache_dir="whole")
    for step in stops:
        stopped(api.train, "training", step, "clip.dataset", "parts.safetensors", settings=settings)
    api.train("clip.dataset", "parts.safetensors", settings=settings)
    assert Path("parts.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


def test_a_run_begins_small_and_one_that_is_asked_for_more_steps_does_not_begin_again(
    paired: str, sizes: dict[int, tuple[int, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    api.train(paired, "a.safetensors", settings=tables(**GROWING))
    assert [sizes[step] for step in range(4)] == [(32, 32)] * 2 + [(48, 64)] * 2
    sizes.clear()
    api.train(paired, "a.safetensors", settings=tables(**GROWING | {"steps": 5}))
    assert min(sizes) == 4, "it began anew"
    assert set(sizes.values()) == {(48, 64)}
    sizes.clear()
    api.train(paired, "full.safetensors", settings=tables(steps=1))
    assert set(sizes.values()) == {(48, 64)}
    # Settings that change nothing are no other run; crops that cannot be smaller are one line.
    assert api.train(paired, "full.safetensors", settings=tables(steps=1, grow_share=0.7))["cached"]
    flags = tiny_flags("generator", "discriminator", "training")
    assert "training.grow_from=64" in refuse(capsys, 2, "train", paired, *flags, "--set=grow_from=64")


def test_minutes_count_the_cheaper_steps(paired: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of 32 rows takes 1 s here and one of 48 rows 4 s: 100 s are 40 steps, half of them small."""
    take, trial = trials.take_step, trials._time_step
    heights: list[int] = []

    def watched(run: Any, batch: Any, trial: Any) -> dict[str, float]:
        heights.append(batch.targets.shape[2])
        return take(run, batch, trial)

    def timed(*arguments: Any) -> float:
        trial(*arguments)
        return {32: 1.0, 48: 4.0}[heights[-1]]

    monkeypatch.setattr(trials, "take_step", watched)
    monkeypatch.setattr(trials, "_time_step", timed)
    settings = tables(grow_from=24, jitter=1.0)
    del settings["training"]["steps"]
    plan = api.train(paired, "a.safetensors", minutes=100 / 60, settings=settings, dry_run=True)
    assert plan["steps"] == 40
