"""A training run from outside: what it leaves to look at, which state it delivers, and going on with it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import TINY, refuse, said, snapshot, tiny_flags
from clips import moving_frames, write_clip
from processes import HANG_S, Started, ranks

import vidtrans as api
from vidtrans.errors import Interrupted
from vidtrans.events import Note, Progress, Stop
from vidtrans.models.model_file import read_record
from vidtrans.store.stages import TrainStage
from vidtrans.training.checkpoint import load_checkpoint
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.video.images.picture import read_picture, write_picture

pytestmark = pytest.mark.usefixtures("one_thread")

NETWORKS = {k: TINY[k] for k in ("generator", "discriminator")}


def tables(**training: Any) -> dict[str, dict[str, Any]]:
    return NETWORKS | {"training": TINY["training"] | training}


def scored_at(folder: Path) -> list[int]:
    [pointer] = folder.glob(".vidtrans/train/*/checkpoint.json")
    state = load_checkpoint(pointer.parent, lambda event: None)
    assert state is not None
    return [step for step, _ in state["scores"]]


def stopped_after(step: int, *arguments: Any, **options: Any) -> list[str]:
    """Train until ``step`` and stop there; the notes that were heard."""
    stop, notes = Stop(), []

    def hear(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.text)
        if isinstance(event, Progress) and event.task == "training" and event.done >= step:
            stop.request(130)

    with pytest.raises(Interrupted):
        api.train(*arguments, report=hear, stop=stop, **options)
    return notes


@pytest.fixture
def dataset() -> str:
    """A dataset of few pairs: each scoring paints all that are held out, and takes the norms of all others."""
    write_clip(Path("clip.mp4"), moving_frames(16))
    api.make_dataset("clip.mp4", settings=TINY)
    return "clip.dataset"


def test_a_run_leaves_a_report_a_film_and_its_best_state(dataset: str) -> None:
    table = api.train(dataset, "a.safetensors", settings=tables(val_interval=4, snapshots=3))
    assert scored_at(Path()) == [4, 8, 12]
    assert table["best"] in (4, 8, 12)
    page = Path(table["report"]).read_text("utf-8")
    for told in ("clip.dataset", "One picture learning", "Held-out scores", "Previews", "unet-small", "val interval"):
        assert told in page.replace("_", " "), told
    assert "<img" in page
    assert "://" not in page.replace("http://www.w3.org", "")  # all that it needs is inside
    film = sorted(p.name for p in Path("a.train/film").iterdir())
    assert film[-1] == "00000012.png"
    assert len(film) >= 5
    kept = sorted(Path("a.train/snapshots").iterdir())
    assert [p.name for p in kept][-1] == "00000012.safetensors"
    for model in (*kept, Path("a.train/best.safetensors")):
        api.stylize("clip.mp4", model, f"{model.stem}.mkv", settings={"rendering": {"size": "32"}})
    # The last snapshot is the model, but for its scores.
    assert read_record(kept[-1]).weights == read_record(Path("a.safetensors")).weights


@pytest.fixture
def best_at_8(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state of step 8 is scored best: which it is else depends on the processor."""
    validate = Pix2Pix.validate

    def scored(method: Pix2Pix, *given: Any) -> Any:
        step = next(iter(method.g.optimizer.state.values()))["step"]
        return validate(method, *given) | {"l1": 0.01 * abs(int(step) - 8)}

    monkeypatch.setattr(Pix2Pix, "validate", scored)


@pytest.mark.usefixtures("best_at_8")
def test_the_best_state_is_delivered_when_it_is_asked_for(dataset: str) -> None:
    wanted = tables(steps=20, val_interval=2, final_weights="best")
    table = api.train(dataset, "a.safetensors", settings=wanted)
    assert table["best"] == 8
    assert read_record(Path("a.safetensors")).training["step"] == table["best"]
    weights = {name: read_record(Path(name)).weights for name in ("a.safetensors", "a.train/last.safetensors")}
    assert len(set(weights.values())) == 2
    last = api.train(dataset, "b.safetensors", settings=tables(**(wanted["training"] | {"final_weights": "last"})))
    assert last["best"] == table["best"]
    assert read_record(Path("b.safetensors")).weights == weights["a.train/last.safetensors"]


@pytest.mark.usefixtures("best_at_8")
def test_a_longer_run_may_still_deliver_the_best_state_of_the_shorter_one(dataset: str) -> None:
    wanted = {"val_interval": 2, "final_weights": "best"}
    short = api.train(dataset, "a.safetensors", settings=tables(steps=20, **wanted))
    long = api.train(dataset, "b.safetensors", settings=tables(steps=21, **wanted))
    assert long["best"] == short["best"] == 8
    assert read_record(Path("b.safetensors")).weights == read_record(Path("a.safetensors")).weights


@pytest.mark.usefixtures("best_at_8")
def test_a_stopped_run_whose_best_state_is_damaged_starts_again_and_ends_alike(dataset: str) -> None:
    wanted = tables(steps=20, val_interval=2, final_weights="best")
    whole = api.train(dataset, "a.safetensors", settings=wanted)
    shutil.rmtree(".vidtrans/train")
    stopped_after(whole["best"] + 3, dataset, "b.safetensors", settings=wanted)
    [best] = Path(".vidtrans/train").glob("*/best.safetensors")
    data = bytearray(best.read_bytes())
    data[-100] ^= 1
    best.write_bytes(data)
    heard: list[str] = []
    api.train(dataset, "b.safetensors", settings=wanted, report=lambda e: heard.append(str(e)))
    assert any("the best state so far is damaged" in text for text in heard)
    assert Path("b.safetensors").read_bytes() == Path("a.safetensors").read_bytes()


@pytest.mark.usefixtures("best_at_8")
def test_a_run_that_gets_no_better_stops_early_says_so_and_ends_there_if_stopped_before(dataset: str) -> None:
    heard: list[str] = []
    wanted = tables(steps=60, val_interval=2, patience=3)
    whole = api.train(dataset, "a.safetensors", settings=wanted, report=lambda e: heard.append(str(e)))
    assert (whole["steps"], whole["best"]) == (14, 8)
    assert any("3 scorings brought nothing better" in text for text in heard)
    assert any(f"the best state, of step {whole['best']}" in text for text in heard)
    assert api.train(dataset, "a.safetensors", settings=wanted)["cached"] is True
    wanted_files = {k: v for k, v in snapshot(Path("a.train")).items() if not k.endswith(".csv")}
    shutil.rmtree(".vidtrans/train")
    stopped_after(3, dataset, "b.safetensors", settings=wanted)
    assert Path("b.train/last.safetensors").is_file()
    stopped_after(whole["best"] + 3, dataset, "b.safetensors", settings=wanted)
    table = api.train(dataset, "b.safetensors", settings=wanted)
    assert (table["steps"], table["best"]) == (whole["steps"], whole["best"])
    assert Path("b.safetensors").read_bytes() == Path("a.safetensors").read_bytes()
    found = snapshot(Path("b.train"))
    assert wanted_files.keys() <= found.keys()
    lasting = [name for name in wanted_files if name.endswith(".safetensors") or name.startswith("film/")]
    assert lasting
    assert [name for name in lasting if found[name] != wanted_files[name]] == []


def test_a_stopped_run_leaves_a_model_to_try(dataset: str) -> None:
    stopped_after(5, dataset, "a.safetensors", settings=tables())
    held = read_record(Path("a.train/last.safetensors"))
    assert (held.training["step"], held.training["steps"]) == (5, [12])
    api.stylize("clip.mp4", "a.train/last.safetensors", "try.mkv", settings={"rendering": {"size": "32"}})
    assert Path("a.train/report.html").is_file()
    api.train(dataset, "a.safetensors", settings=tables())
    assert not Path("a.train/last.safetensors").exists()  # the model is the last state now


def test_a_dataset_that_changed_under_a_stopped_run_is_named(dataset: str) -> None:
    stopped_after(5, dataset, "a.safetensors", settings=tables())
    Path("clip.dataset/clip/000003.png").unlink()
    heard: list[str] = []
    api.train(dataset, "a.safetensors", settings=tables(), report=lambda e: heard.append(str(e)))
    [told] = [text for text in heard if "stopped on its way" in text]
    assert "another dataset" in told
    assert "a.train/last.safetensors" in told


def test_another_recipe_for_a_stopped_run_is_named(dataset: str) -> None:
    stopped_after(5, dataset, "a.safetensors", settings=tables())
    heard: list[str] = []
    api.train(
        dataset, "a.safetensors", settings=tables(lambda_l1=50.0, batch_size=1), report=lambda e: heard.append(str(e))
    )
    [told] = [text for text in heard if "stopped on its way" in text]
    assert "settings.batch_size, settings.lambda_l1" in told


def test_what_cannot_be_scored_cannot_be_stopped_by_scores(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, 0, "make-dataset", clip, *tiny_flags("dataset"), "--set=dataset.val_fraction=0")
    flags = tiny_flags("generator", "discriminator", "training")
    for setting in ("patience=3", "final_weights=best"):
        line = refuse(capsys, 2, "train", "clip.dataset", *flags, f"--set=training.{setting}")
        assert "held-out" in line


@pytest.fixture
def by_an_older_version(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[object]]:
    """What is trained within is cached as version 1 did, whose checkpoints had other content."""

    @contextmanager
    def older() -> Iterator[None]:
        state = Pix2Pix.state
        with monkeypatch.context() as patch:
            patch.setattr(TrainStage, "version", 1)
            patch.setattr(
                Pix2Pix, "state", lambda self: {k: v for k, v in state(self).items() if k != "nondeterministic"}
            )
            yield

    return older


def test_a_finished_run_of_an_older_version_is_not_gone_on_with(
    dataset: str, by_an_older_version: Callable[[], AbstractContextManager[object]]
) -> None:
    with by_an_older_version():
        api.train(dataset, "a.safetensors", settings=tables(steps=4))
    assert api.train(dataset, "b.safetensors", settings=tables(steps=6))["history"] == [6]


def test_a_stopped_run_of_an_older_version_is_not_gone_on_with_and_that_is_told(
    dataset: str, by_an_older_version: Callable[[], AbstractContextManager[object]]
) -> None:
    with by_an_older_version():
        stopped_after(2, dataset, "a.safetensors", settings=tables())
    heard: list[str] = []
    made = api.train(dataset, "a.safetensors", settings=tables(), report=lambda event: heard.append(str(event)))
    assert made["history"] == [12]
    assert not any("going on" in text for text in heard)
    [told] = [text for text in heard if "stopped on its way" in text]
    assert "another version of vidtrans" in told


def launched(*arguments: object) -> str:
    """What two processes print that PyTorch's launcher starts to ``train``."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--log-dir", "logs"]
    command = [sys.executable, *launcher, "-m", "vidtrans", "train", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def trained_by_two(*arguments: object) -> str:
    """What two processes print."""
    processes = ranks(2, "-m", "vidtrans", "train", *arguments)
    assert [process.wait() for process in processes] == [0, 0], [process.said() for process in processes]
    return "".join(process.said()[0] for process in processes)


def test_two_processes_train_one_model_and_another_number_goes_on_with_it(dataset: str) -> None:
    recipe = [*tiny_flags("generator", "discriminator", "training"), "-o", "a.safetensors"]
    [line] = launched(dataset, *recipe, "--json").splitlines()  # one of them speaks
    assert json.loads(line)["steps"] == 12
    assert read_record(Path("a.safetensors")).training["engine"]["world_size"] == 2
    assert json.loads(trained_by_two(dataset, *recipe, "--json"))["cached"] is True
    # Once more, longer: two processes that are stopped, and one that goes on.
    processes = ranks(2, "-m", "vidtrans", "train", dataset, *recipe, "--set=training.steps=100", "--overwrite")
    try:
        wait_for_checkpoint(processes[0], least=16)  # the finished run has 12
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait() for process in processes] == [143, 143]
    heard: list[str] = []
    options: dict[str, Any] = {"overwrite": True, "report": lambda event: heard.append(str(event))}
    alone = api.train(dataset, "a.safetensors", settings=tables(steps=100), **options)
    assert alone["steps"] == 100
    assert any("begun by 2 processes, now it is 1" in text for text in heard)
    assert any("going on from step" in text for text in heard)


def wait_for_checkpoint(process: Started, least: int) -> None:
    """Until the run has saved step ``least`` or a later one."""
    until = time.monotonic() + HANG_S
    while time.monotonic() < until and process.poll() is None:
        for pointer in Path().glob(".vidtrans/train/*/checkpoint.json"):
            if json.loads(pointer.read_text())["step"] >= least:
                return
        time.sleep(0.02)
    raise AssertionError("it ended, or took too long")


def test_minutes_come_to_the_same_steps_in_all_processes(dataset: str) -> None:
    recipe = tiny_flags("generator", "discriminator", "training")
    out = trained_by_two(dataset, "-o", "a.safetensors", *recipe, "--minutes", "0.01", "--json")
    assert json.loads(out)["steps"] > 0


def test_a_mistake_is_told_once_by_all_processes(dataset: str) -> None:
    recipe = [*tiny_flags("generator"), "--set=training.batch_size=3"]
    processes = ranks(2, "-m", "vidtrans", "train", dataset, "-o", "a.safetensors", *recipe)
    statuses = [process.wait() for process in processes]
    assert 2 in statuses  # the other may see no more than that this one has gone
    assert 0 not in statuses
    told = "".join(process.said()[1] for process in processes)
    assert told.count("error: 2 processes: a batch of 3") == 1


def test_pictures_of_a_pair_that_are_no_longer_of_one_size_are_named(
    clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(capsys, 0, "make-dataset", clip, "--pairing", "next-frame", *tiny_flags("dataset"))
    edited = Path("clip.dataset/clip/000004.png")
    write_picture(edited, read_picture(edited)[:-2])
    line = refuse(capsys, 3, "train", "clip.dataset", *tiny_flags("generator", "discriminator", "training"))
    assert "000004.png" in line
    assert "one size" in line


def test_counterparts_of_another_shape_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for name, width in (("A/1", 64), ("B/1", 64), ("A/2", 64), ("B/2", 48)):
        write_picture(Path(f"pairs/{name}.png"), np.zeros((64, width, 3), np.uint8))
    line = refuse(capsys, 3, "make-dataset", "pairs", "--pairing", "aligned")
    assert "2.png: it is 64x64, and its target 48x64" in line
    write_picture(Path("pairs/B/2.png"), np.zeros((32, 32, 3), np.uint8))  # smaller, but not of another shape
    said(capsys, 0, "make-dataset", "pairs", "--pairing", "aligned", "--size", "32")
    write_clip(Path("wide.mp4"), moving_frames(4, size=(64, 32)))
    write_clip(Path("tall.mp4"), moving_frames(4, size=(32, 64)))
    line = refuse(capsys, 3, "make-dataset", "wide.mp4", "--pairing", "aligned", "--target", "tall.mp4")
    assert "it is 64x32, and its target 32x64" in line
