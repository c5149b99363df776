"""Losses and scores as TensorBoard reads them, of a run that was stopped and went on."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from chain import TINY, refuse, tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api

pytestmark = pytest.mark.usefixtures("one_thread")
TRAINING = TINY["training"] | {"steps": 4, "tensorboard": True, "val_interval": 2}
SETTINGS = {k: TINY[k] for k in ("generator", "discriminator")} | {"training": TRAINING}


@pytest.fixture(autouse=True)
def paired() -> None:
    tables = TINY | {"dataset": TINY["dataset"] | {"size": "48", "val_fraction": 0.3}}
    api.make_dataset(write_clip(Path("clip.mp4"), moving_frames(16)), settings=tables)


def test_a_stopped_run_has_each_step_once(stopped: Callable[..., list[str]]) -> None:
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    stopped(api.train, "training", 2, "clip.dataset", "m.safetensors", settings=SETTINGS)
    api.train("clip.dataset", "m.safetensors", settings=SETTINGS)
    events = loading.EventAccumulator("m.train/tensorboard").Reload()
    with open("m.train/losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(list(Path("m.train/tensorboard").iterdir())) == 1
    for column, tag in (("generator_l1", "loss/l1"), ("discriminator", "loss/discriminator")):
        found = [(scalar.step, scalar.value) for scalar in events.Scalars(tag)]
        assert [step for step, _ in found] == [1, 2, 3, 4]
        assert [value for _, value in found] == pytest.approx([float(row[column]) for row in rows], rel=1e-4)
    assert [scalar.step for scalar in events.Scalars("held_out/psnr")] == [2, 4]


def test_without_the_package_it_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    flags = (*tiny_flags("generator", "discriminator", "training"), "--set=training.tensorboard=true")
    assert "pip install 'vidtrans[tensorboard]'" in refuse(capsys, 2, "train", "clip.dataset", *flags)
    assert not Path("clip.train").exists()
