"""A training run from outside: what it leaves to look at, which state it delivers, and going on with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import TINY, refuse, said, snapshot, tiny_flags
from clips import moving_frames
from processes import ranks, until

import vidtrans as api
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.store.stages import TrainStage
from vidtrans.training.loop import load_checkpoint
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.video.images.picture import read_picture, write_picture

Patch = pytest.MonkeyPatch
Capsys = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("one_thread")

Stopped = Callable[..., list[str]]
RECIPE = tiny_flags("generator", "discriminator", "training")
ON_CPU = ("--device", "cpu")  # two processes would take two GPUs
SMALL = {"rendering": {"size": "32"}}
NETWORKS = {k: TINY[k] for k in ("generator", "discriminator")}


def tables(**training: Any) -> dict[str, dict[str, Any]]:
    return NETWORKS | {"training": TINY["training"] | training}


def scored_at(folder: Path) -> list[int]:
    [pointer] = folder.glob(".vidtrans/train/*/checkpoint.json")
    state = load_checkpoint(pointer.parent, lambda event: None)
    assert state is not None
    return [step for step, _ in state["scores"]]


def noted(job: Callable[..., dict[str, Any]], *arguments: Any, **options: Any) -> tuple[dict[str, Any], list[str]]:
    """What a job returns, and what it reports on its way, as text."""
    heard: list[str] = []
    return job(*arguments, report=lambda event: heard.append(str(event)), **options), heard


def test_a_run_leaves_a_report_a_film_and_its_best_state(dataset: str) -> None:
    table = api.train(dataset, "a.safetensors", settings=tables(steps=6, val_interval=2, snapshots=3))
    assert scored_at(Path()) == [2, 4, 6]
    assert table["best"] in (2, 4, 6)
    assert "One picture learning" in Path(table["report"]).read_text("utf-8")
    film = sorted(p.name for p in Path("a.train/film").iterdir())
    assert film[-1] == "00000006.png"
    assert len(film) >= 4
    kept = sorted(Path("a.train/snapshots").iterdir())
    assert [p.name for p in kept][-1] == "00000006.safetensors"
    for model in (kept[0], Path("a.train/best.safetensors")):
        assert load_generator(model)[1].size == 32
    # The last snapshot is the model, but for its scores.
    assert read_record(kept[-1]).weights == read_record(Path("a.safetensors")).weights


@pytest.fixture
def best_at_4(monkeypatch: Patch) -> None:
    """The state of step 4 is scored best: which it is else depends on the processor."""
    validate = Pix2Pix.validate

    def scored(method: Pix2Pix, *given: Any) -> Any:
        step = next(iter(method.g.optimizer.state.values()))["step"]
        return validate(method, *given) | {"l1": 0.01 * abs(int(step) - 4)}

    monkeypatch.setattr(Pix2Pix, "validate", scored)


BEST: dict[str, Any] = {"steps": 6, "val_interval": 2, "final_weights": "best"}


@pytest.mark.usefixtures("best_at_4")
@pytest.mark.thorough
def test_the_best_state_is_delivered_even_by_a_run_that_lost_it(dataset: str, stopped: Stopped) -> None:
    table = api.train(dataset, "a.safetensors", settings=tables(**BEST))
    assert table["best"] == 4
    assert read_record(Path("a.safetensors")).training["step"] == 4
    best, last = (read_record(Path(name)).weights for name in ("a.safetensors", "a.train/last.safetensors"))
    assert best != last
    for changed, weights in (({"final_weights": "last"}, last), ({"steps": 7}, best)):
        other = api.train(dataset, "b.safetensors", settings=tables(**BEST | changed), overwrite=True)
        assert other["best"] == 4
        assert read_record(Path("b.safetensors")).weights == weights
    again = {"settings": tables(**BEST), "cache_dir": "other"}
    stopped(api.train, "training", 5, dataset, "c.safetensors", **again)
    [state] = Path("other/train").glob("*/best.safetensors")
    data = bytearray(state.read_bytes())
    data[-100] ^= 1
    state.write_bytes(data)
    _, heard = noted(api.train, dataset, "c.safetensors", **again)
    assert any("the best state so far is damaged" in text for text in heard)
    assert Path("c.safetensors").read_bytes() == Path("a.safetensors").read_bytes()


def test_without_scores_the_last_state_is_delivered(dataset: str, monkeypatch: Patch) -> None:
    """As where too few unpaired pictures are held out for a distance of domains."""
    monkeypatch.setattr(Pix2Pix, "validate", lambda method, *_: {"l1": None})
    made, heard = noted(api.train, dataset, "a.safetensors", settings=tables(**BEST))
    assert made["best"] is None
    assert read_record(Path("a.safetensors")).training["step"] == 6
    assert any("no state has a held-out l1: the model is the last state" in text for text in heard)


@pytest.mark.usefixtures("best_at_4")
@pytest.mark.thorough
def test_a_run_that_gets_no_better_stops_early(dataset: str, stopped: Stopped) -> None:
    wanted = tables(steps=60, val_interval=2, patience=2)
    whole, heard = noted(api.train, dataset, "a.safetensors", settings=wanted)
    assert (whole["steps"], whole["best"]) == (8, 4)
    assert any("2 scorings brought no improvement" in text for text in heard)
    assert any("the best state, of step 4" in text for text in heard)
    assert api.train(dataset, "a.safetensors", settings=wanted)["cached"] is True
    shutil.rmtree(".vidtrans/train")
    for step in (1, 5):
        stopped(api.train, "training", step, dataset, "b.safetensors", settings=wanted)
        assert Path("b.train/last.safetensors").is_file()
    table = api.train(dataset, "b.safetensors", settings=wanted)
    assert (table["steps"], table["best"]) == (8, 4)
    assert Path("b.safetensors").read_bytes() == Path("a.safetensors").read_bytes()
    for folder in ("film", "snapshots"):
        assert snapshot(Path("b.train", folder)) == snapshot(Path("a.train", folder))


def test_a_stopped_run_leaves_a_model_to_try(dataset: str, stopped: Stopped) -> None:
    stopped(api.train, "training", 3, dataset, "a.safetensors", settings=tables(steps=5))
    held = read_record(Path("a.train/last.safetensors"))
    assert (held.training["step"], held.training["steps"]) == (3, [5])
    api.stylize("clip.mp4", "a.train/last.safetensors", "try.mkv", settings=SMALL, end="2")
    assert {"report.html", "preview.png"} <= {path.name for path in Path("a.train").iterdir()}
    assert len(Path("a.train/losses.csv").read_text().splitlines()) == 4
    api.train(dataset, "a.safetensors", settings=tables(steps=5))
    assert not Path("a.train/last.safetensors").exists()  # the model is the last state now


def test_what_cannot_be_scored_or_loaded_is_refused(clip: Path, capsys: Capsys) -> None:
    making = ("make-dataset", clip, "--pairing", "next-frame", *tiny_flags("dataset"), "--set=dataset.val_fraction=0")
    said(capsys, 0, *making)
    assert "held-out" in refuse(capsys, 2, "train", "clip.dataset", *RECIPE, "--set=training.patience=3")
    edited = Path("clip.dataset/clip/000004.png")
    write_picture(edited, read_picture(edited)[:-2])
    line = refuse(capsys, 3, "train", "clip.dataset", *RECIPE)
    assert "000004.png" in line
    assert "one size" in line


def check_begins_again(dataset: str, why: str, **changed: Any) -> str:
    """Assert that a run does not go on with the stopped one of a.safetensors; what it says of it, with why."""
    settings = tables(**{"steps": 4} | changed)
    made, heard = noted(api.train, dataset, "a.safetensors", settings=settings)
    assert made["history"] == [settings["training"]["steps"]]
    assert not any("continuing" in text for text in heard)
    [told] = [text for text in heard if "an unfinished run for" in text]
    assert why in told
    return told


def test_why_a_stopped_run_is_not_gone_on_with_is_told(dataset: str, stopped: Stopped) -> None:
    stopped(api.train, "training", 2, dataset, "a.safetensors", settings=tables(steps=4))
    other = {"steps": 3, "lambda_l1": 60.0, "batch_size": 1}
    told = check_begins_again(dataset, "settings.batch_size, settings.lambda_l1", **other)
    assert "a.train/last.safetensors" in told
    Path("clip.dataset/clip/000003.png").unlink()
    Path("a.safetensors").unlink()
    check_begins_again(dataset, "another dataset")


def test_runs_of_an_older_version_begin_again(dataset: str, stopped: Stopped, monkeypatch: Patch) -> None:
    """A stopped one and a finished one, cached as version 1 did, whose checkpoints had other content."""
    state, other = Pix2Pix.state, {"lambda_l1": 60.0}
    with monkeypatch.context() as patch:
        patch.setattr(TrainStage, "version", 1)
        patch.setattr(Pix2Pix, "state", lambda self: {k: v for k, v in state(self).items() if k != "nondeterministic"})
        stopped(api.train, "training", 2, dataset, "a.safetensors", settings=tables(steps=4))
        api.train(dataset, "finished.safetensors", settings=tables(steps=2, **other))
    check_begins_again(dataset, "another version of vidtrans")
    assert api.train(dataset, "b.safetensors", settings=tables(steps=3, **other))["history"] == [3]


def launched(*arguments: object) -> str:
    """What two processes print that PyTorch's launcher starts to ``train``."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--log-dir", "logs"]
    command = [sys.executable, *launcher, "-m", "vidtrans", "train", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


# A step takes less to measure here.
TRAIN = """
import sys
from vidtrans.cli.main import main
from vidtrans.training import trials
trials.WARM_UP, trials.TRIAL_STEPS = 1, (2, 2)
main(["train", *sys.argv[1:]])
"""


def trained_by_two(*arguments: object) -> dict[str, Any]:
    """What two processes report, of which one speaks."""
    processes = ranks(2, "-c", TRAIN, *arguments, "--json")
    assert [process.wait() for process in processes] == [0, 0], [process.said() for process in processes]
    table: dict[str, Any] = json.loads("".join(process.said()[0] for process in processes))
    return table


@pytest.mark.thorough
def test_two_processes_train_one_model_and_another_number_goes_on_with_it(dataset: str) -> None:
    """Over 5 s: two processes are begun by PyTorch's launcher, and two times two more."""
    recipe = [*RECIPE, *ON_CPU, "-o", "a.safetensors"]
    [line] = launched(dataset, *recipe, "--json").splitlines()  # one of them speaks
    assert json.loads(line)["steps"] == 12
    assert read_record(Path("a.safetensors")).training["engine"]["world_size"] == 2
    assert trained_by_two(dataset, *recipe)["cached"] is True
    # Once more, longer: two processes that are stopped, and one that goes on.
    longer = ("--set=training.steps=40", "--set=training.checkpoint_seconds=0", "--overwrite")
    processes = ranks(2, "-c", TRAIN, dataset, *recipe, *longer)
    try:
        until(lambda: has_saved(14) or processes[0].poll() is not None)  # the finished run has 12
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait() for process in processes] == [143, 143]
    alone, heard = noted(api.train, dataset, "a.safetensors", settings=tables(steps=40), device="cpu", overwrite=True)
    assert alone["steps"] == 40
    assert any("a run of 2 processes, now it is 1" in text for text in heard)
    assert any("continuing from step" in text for text in heard)


def has_saved(least: int) -> bool:
    """Return whether the run has saved step ``least`` or a later one."""
    pointers = Path().glob(".vidtrans/train/*/checkpoint.json")
    return any(json.loads(pointer.read_text())["step"] >= least for pointer in pointers)


def test_a_generator_that_sees_no_colours_in_crops_is_named_before_it_trains(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, frame in enumerate(moving_frames(4, size=(64, 64))):
        for folder in "AB":
            write_picture(Path(f"pairs/{folder}/{number}.png"), frame)
    said(capsys, 0, "make-dataset", "pairs", "--pairing", "aligned", "--size", "64", "--set", "val_fraction=0")
    sets = ("generator.name=translator", "generator.channels=4", "generator.blocks=1", "crop_size=32")
    sets += ("discriminator.num_layers=1", "discriminator.channels=4")
    run = ["train", "pairs.dataset", "--preset", "aligned", "--steps", "1", *(x for s in sets for x in ("--set", s))]
    assert "no colours" not in said(capsys, 0, *run)
    assert "no colours in crops" in said(capsys, 0, *run, "--set", "generator.norm=instance", "-o", "a.safetensors")
    whole = ("--set", "generator.norm=instance", "--set", "crop_size=none", "-o", "b.safetensors")
    assert "no colours" not in said(capsys, 0, *run, *whole)


def test_counterparts_of_another_shape_are_refused(capsys: Capsys) -> None:
    for name, width in (("A/1", 64), ("B/1", 64), ("A/2", 64), ("B/2", 48)):
        write_picture(Path(f"pairs/{name}.png"), np.zeros((64, width, 3), np.uint8))
    line = refuse(capsys, 3, "make-dataset", "pairs", "--pairing", "aligned")
    assert "2.png: it is 64x64, and its target 48x64" in line
    write_picture(Path("pairs/B/2.png"), np.zeros((32, 32, 3), np.uint8))  # smaller, but not of another shape
    said(capsys, 0, "make-dataset", "pairs", "--pairing", "aligned", "--size", "32")
