"""``--as-is``: the model of an interrupted run, which goes on later as if nothing had been asked of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, refuse, said, said_json, tiny_flags

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.models.model_file import read_record

pytestmark = pytest.mark.usefixtures("one_thread")

Stopped = Callable[..., list[str]]
Capsys = pytest.CaptureFixture[str]
RECIPE = tiny_flags("generator", "discriminator", "training")
MODEL = Path("a.safetensors")


def tables(**training: Any) -> dict[str, dict[str, Any]]:
    networks = {k: TINY[k] for k in ("generator", "discriminator")}
    return networks | {"training": {**TINY["training"], "steps": 4, "val_interval": 1, **training}}


def test_an_interrupted_run_delivers_and_then_goes_on_to_the_same_bytes(dataset: str, stopped: Stopped) -> None:
    settings = tables(final_weights="best")
    api.train(dataset, "whole.safetensors", settings=settings, cache_dir="whole")
    stopped(api.train, "training", 2, dataset, MODEL, settings=settings)
    made = api.train(dataset, MODEL, settings=settings, as_is=True)
    assert (made["steps"], made["of_steps"], made["cached"]) == (2, 4, False)
    record = read_record(MODEL).training
    assert (record["step"], record["held_out"]) == (made["best"], made["held_out"])
    assert "2 of 4" in Path(made["report"]).read_text("utf-8")
    assert api.train(dataset, MODEL, settings=settings, as_is=True)["cached"] is True
    last = api.train(dataset, MODEL, settings=settings)
    assert (last["steps"], last["cached"], "of_steps" in last) == (4, False, False)
    assert MODEL.read_bytes() == Path("whole.safetensors").read_bytes()
    assert api.train(dataset, MODEL, settings=settings, as_is=True)["cached"] is True  # it has finished


@pytest.mark.usefixtures("quick_trial")
def test_a_run_of_minutes_is_found_without_another_trial(
    dataset: str, stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"minutes": 0.2, "settings": tables(lr_warmup_steps=0)}
    with pytest.raises(UsageError, match="no interrupted run"):
        api.train(dataset, MODEL, **options, as_is=True)
    stopped(api.train, "training", 9, dataset, MODEL, **options)
    with monkeypatch.context() as patched:
        patched.setattr("vidtrans.training.trials.step_costs", lambda run: pytest.fail("a trial"))
        made = api.train(dataset, MODEL, **options, as_is=True)
        assert made["steps"] >= 9
        stopped(api.train, "training", made["steps"] + 2, dataset, MODEL, **options)  # replaces nothing yet
        later = api.train(dataset, MODEL, **options, as_is=True)
    assert later["steps"] > made["steps"]
    before = MODEL.read_bytes()
    with pytest.raises(UsageError, match="overwrite"):
        api.train(dataset, MODEL, **options | {"minutes": 0.1})
    assert MODEL.read_bytes() == before


def test_nothing_to_take_is_a_line_and_a_dry_run_says_which_step_it_would_take(
    dataset: str, stopped: Stopped, capsys: Capsys
) -> None:
    flags = (*RECIPE, "-o", MODEL, "--as-is")
    refuse(capsys, 2, "train", dataset, *flags, "--dry-run")
    assert not Path(".vidtrans/train").exists()
    line = refuse(capsys, 2, "train", dataset, *flags)
    assert "no interrupted run" in line
    assert "torchrun" not in line
    stopped(api.train, "training", 3, dataset, MODEL, settings=tables(steps=12, val_interval=0))
    told = said(capsys, 0, "train", dataset, *flags, "--dry-run")
    assert told.strip() == f"would write {MODEL}: the model of step 3 of 12"
    assert said_json(capsys, "train", dataset, *flags, "--dry-run")["of_steps"] == 12
    assert not MODEL.exists()
    refuse(capsys, 2, "train", dataset, *flags, "--seed", 5)
    assert "--as-is" in refuse(capsys, 2, "train", dataset, *RECIPE, "--sweep", "seed=1,2", "--as-is")
