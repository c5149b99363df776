"""kill -9 at seeded moments, then the same command: the result is byte-identical to an uninterrupted run."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from chain import TINY, snapshot, tiny_flags
from clips import moving_frames, write_clip
from paintings import QUICK, painted, write
from processes import Started, run_and_kill, until

import vidtrans as api
from vidtrans.core.files import remove

FRAMES, CHUNKS = 48, "--set=rendering.chunk_frames=6"
TRAINING = tiny_flags("generator", "discriminator", "training")
COMMANDS: dict[str, list[str]] = {
    "make-dataset": ["make-dataset", "clip.mp4", "--size", "48", "--set=dataset.val_block_size=3"],
    "train": ["train", "clip.dataset", *TRAINING, "--set=training.checkpoint_seconds=0"],
    "stylize": ["stylize", "clip.mp4", "--model", "clip", "--size", "source", CHUNKS, "--set=temporal.radius=3"],
    "propagate": ["propagate", "clip.mp4", "--keyframes=keys", "--end=24", *map(str, QUICK), "--steps=4", CHUNKS],
}
MADE = {  # what each step leaves, and what it needs of those before
    "make-dataset": (("clip.dataset",), ("clip.mp4",)),
    "train": (("clip.safetensors",), ("clip.mp4", "clip.dataset")),
    "stylize": (("clip.clip.mp4",), ("clip.mp4", "clip.dataset", "clip.safetensors")),
    "propagate": (("clip.painted.mp4", "clip.painted.safetensors", "clip.painted.dataset"), ("clip.mp4", "keys")),
}


def run(step: str, folder: Path) -> None:
    process = Started.vidtrans(*COMMANDS[step], folder=folder)
    assert process.wait() == 0, process.said()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A folder in which all steps ran without an interruption, and the seconds that each took."""
    folder, seconds = tmp_path_factory.mktemp("clean"), dict[str, float]()
    Started.vidtrans("--version").wait()  # what comes next starts at once
    frames = moving_frames(FRAMES, size=(128, 96), shots=(0, 20))
    write_clip(folder / "clip.mp4", frames, sound=True)
    for key in (10, 22):
        write(folder / "keys" / f"{key}.png", painted(frames[key]))
    for step in COMMANDS:
        began = time.monotonic()
        run(step, folder)
        seconds[step] = time.monotonic() - began
    return folder, seconds


@pytest.mark.usefixtures("one_thread")
def test_a_training_that_was_killed_goes_on_and_ends_byte_identical(dataset: str, killed: Callable[..., None]) -> None:
    """A render that was killed is in ``test_causal_render``."""
    settings = {k: TINY[k] for k in ("generator", "discriminator", "training")}
    settings["training"] = settings["training"] | {"steps": 6, "checkpoint_seconds": 0.0}
    killed("train", 4, dataset, "m.safetensors", task="training", settings=settings)
    assert not Path("m.safetensors").exists()
    heard: list[str] = []
    api.train(dataset, "m.safetensors", settings=settings, report=lambda event: heard.append(str(event)))
    assert any("continuing from step" in text for text in heard)
    api.train(dataset, "whole.safetensors", settings=settings, cache_dir="whole")
    assert Path("m.safetensors").read_bytes() == Path("whole.safetensors").read_bytes()


@pytest.mark.thorough
@pytest.mark.parametrize("step", COMMANDS)
def test_a_killed_step_goes_on_and_ends_byte_identical(
    step: str, clean: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    (folder, seconds), rng, killed = clean, random.Random(f"seed-{step}"), 0
    outputs, needed = MADE[step]
    for name in needed:
        source = folder / name
        shutil.copytree(source, tmp_path / name) if source.is_dir() else shutil.copy2(source, tmp_path / name)
    span = seconds[step]
    for _ in range(6):
        if run_and_kill(COMMANDS[step], tmp_path, rng.uniform(0.4, 0.95) * span):
            killed += 1
        if killed == 2:
            break
        if not killed:  # faster now than the clean run was: begin again, and strike earlier
            span /= 2
            for leftover in (".vidtrans", *outputs):
                remove(tmp_path / leftover)
    assert killed, "nothing was killed: the run was too short to test anything"
    run(step, Path())
    made, expected = (
        {name: data for name, data in snapshot(place).items() if name.split("/")[0] in outputs}
        for place in (tmp_path, folder)
    )
    assert {name.split("/")[0] for name in expected} == set(outputs)
    assert made == expected
    assert (tmp_path / "clip.mp4").read_bytes() == (folder / "clip.mp4").read_bytes()


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.thorough)]
)
def test_a_polite_stop_saves_and_says_how_to_go_on(number: int, status: int, dataset: str, tmp_path: Path) -> None:
    seconds = {"checkpoint": 1000, "preview": 0}  # the losses after each step, and no checkpoint
    many = ["train", dataset, *TRAINING, "--set=training.steps=100000"]
    process = Started.vidtrans(*many, *(f"--set=training.{k}_seconds={v}" for k, v in seconds.items()), "--json")
    until(lambda: (tmp_path / "clip.train/losses.csv").exists() or process.poll() is not None)
    assert process.kill(number) == status, process.said()
    stdout, stderr = process.said()
    assert "to continue: vidtrans train" in stderr
    assert json.loads(stdout)["exit_status"] == status
    assert list(tmp_path.glob(".vidtrans/train/*/checkpoint.json"))
    assert not (tmp_path / "clip.safetensors").exists()
