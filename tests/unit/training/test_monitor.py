"""The folder in which a person watches a run: which pictures are kept at which steps, and what the pages are told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from clips import scene

from vidtrans.data.dataset import Pair
from vidtrans.training.monitor import TrainingMonitor, numbered_files
from vidtrans.video.images.picture import read_picture, write_picture

PAIRING: Any = SimpleNamespace(
    training_input=lambda frames, rng: frames[0],
    offsets=(0,),
    finishes=False,
    has_target=True,
    preview=lambda shown: 255 - shown,
    agreement=lambda s, o: None,
)


def pairs_of(*sizes: tuple[int, int]) -> list[Pair]:
    pairs = []
    for i, size in enumerate(sizes):
        path = Path(f"{i}.png").absolute()
        write_picture(path, scene(*size, i))
        pairs.append(Pair((path,), path, "val", (0, 0), i))
    return pairs


def darker(shown: np.ndarray, deep: bool = False) -> np.ndarray:
    return shown // 2


class Run(SimpleNamespace):
    def losses_csv(self) -> bytes:
        return b"step\n"


def watched_run(**more: Any) -> TrainingMonitor:
    settings = SimpleNamespace(best_metric="l1", val_interval=0)
    model = SimpleNamespace(columns=["gan", "l1", "discriminator"], balance=0.7, settings=settings)
    run = Run(
        step=2,
        total=10,
        rows=[[0.0, 1.0, 0.0]],
        scores=[],
        seconds=0.0,
        warnings=[(1, "x: y")],
        rollouts=None,
        model=model,
        enough=False,
    )
    vars(run).update(more)
    pairs = pairs_of((32, 24), (32, 24))
    return TrainingMonitor(Path("of.train"), PAIRING, pairs, run, lambda: darker, {"a": 1}, print)  # type: ignore[arg-type]


def test_milestones_keep_outputs_and_shoot_the_film() -> None:
    def names(kind: str) -> list[str]:
        return [p.name for p in numbered_files(Path("of.train") / kind)]

    watching = watched_run()
    due = watching.milestones(10)
    assert set(due) == {1, 2, 4, 7, 10}
    for action in due[10]:
        action()
    assert names("film") == names("steps") == ["00000002.png"]
    shot = read_picture(Path("of.train/film/00000002.png"))
    assert np.array_equal(shot, darker(read_picture(watching.subject.target)))
    assert Path("of.train/training.png").is_file()
    watching.refresh()
    assert Path("of.train/losses.csv").read_bytes() == b"step\n"
    assert Path("of.train/preview.png").is_file()
    Path("of.train/snapshots").mkdir()
    for step in (11, 2, 3):
        Path(f"of.train/snapshots/{step:08d}.safetensors").touch()
        write_picture(Path(f"of.train/film/{step:08d}.png"), shot)
        write_picture(Path(f"of.train/steps/{step:08d}.png"), shot)
    Path("of.train/film/notes.png").touch()
    assert names("film") == [f"{step:08d}.png" for step in (2, 3, 11)]  # in order, and none but these
    watching.begin()  # what is of later steps is of another run
    assert names("film") == names("steps") == ["00000002.png"]
    assert names("snapshots") == ["00000002.safetensors"]
    assert Path("of.train/film/notes.png").exists()
    assert np.array_equal(read_picture(Path("of.train/input.png")), 255 - read_picture(watching.subject.target))
    assert np.array_equal(read_picture(Path("of.train/target.png")), read_picture(watching.subject.target))
    status = json.loads(Path("of.train/training.json").read_text("utf-8"))
    assert (status["step"], status["total"], status["over"], status["warnings"]) == (2, 10, False, [[1, "x: y"]])
