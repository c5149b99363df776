"""The folder in which a person watches a run: which pictures are kept at which steps, and what the pages are told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from clips import scene

from vidtrans.data.dataset import Pair
from vidtrans.training import monitor as watched
from vidtrans.training.monitor import (
    CHART_HEIGHT,
    COLOURS,
    MIN_CHART_WIDTH,
    ProgressSheet,
    TrainingMonitor,
    loss_chart,
    numbered_files,
    preview_sheet,
    sheet_steps,
)
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots.layout import GAP

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


class Recorded:
    """In the place of a sheet: what it was made of."""

    made: list[tuple[Any, ...]]

    def __init__(self, title: str, rows: Any, cell: Any, columns: Any = (), foot: str = "") -> None:
        self.made.append((title, rows, cell, columns, foot))

    def draw(self) -> np.ndarray:
        return np.zeros((4, 400, 3), np.uint8)


SHEET = Path("f/training.png")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    Recorded.made = []
    monkeypatch.setattr(watched, "ContactSheet", Recorded)
    return Recorded.made


def test_a_preview_shows_input_output_and_target_of_a_few_pairs(drawn: list[tuple[Any, ...]]) -> None:
    preview_sheet(lambda shown, deep: darker(shown), PAIRING, pairs_of(*[(32, 24)] * 9), "step 3", Path("p.png"))
    [(title, rows, cell, columns, _)] = drawn
    assert (title, len(rows), columns) == ("step 3", 4, ("input", "output", "target"))
    assert cell == (32, 24)
    for visible, output, target in rows:
        assert np.array_equal(visible, 255 - target)
        assert np.array_equal(output, target // 2)
    assert read_picture(Path("p.png")).shape == (4, 400, 3)


def test_what_a_timeline_keeps_is_found_again_and_drawn(drawn: list[tuple[Any, ...]]) -> None:
    pairs = pairs_of((32, 24), (48, 24), (32, 24))
    timeline = ProgressSheet(Path("f"), PAIRING, pairs)
    timeline.add(4, lambda shown, deep: darker(shown))
    timeline.add(10, lambda shown, deep: shown)
    write_picture(Path("f/steps/00000005.png"), scene(8, 8, 0))  # of another run
    same = [read_picture(pairs[i].target) for i in (0, 2)]
    kept = timeline.strips()
    assert [step for step, _ in kept] == [4, 10]
    for cells, made in zip([cells for _, cells in kept], [darker, np.array], strict=True):
        assert [np.array_equal(cell, made(target)) for cell, target in zip(cells, same, strict=True)] == [True, True]
    timeline.draw(("gan", "l1", "discriminator"), [[1.0, 2.0, 3.0]] * 4, {"l1": 0.123456, "ssim": None})
    [(title, rows, _, columns, foot)] = drawn
    assert (title, columns) == ("how training went", ("input", "step 4", "step 10", "target"))
    assert len(rows) == 2
    assert np.array_equal(rows[1][0], 255 - same[1])
    assert np.array_equal(rows[1][-1], same[1])
    assert foot == "held out: l1 0.1235"
    assert read_picture(SHEET).shape == (4 + CHART_HEIGHT, 3 * MIN_CHART_WIDTH + 4 * GAP, 3)


@pytest.mark.parametrize(
    ("columns", "steps", "charts"),
    [(("gan", "l1"), 0, 0), (("l1",), 4, 1), (("gan", "l1", "discriminator", "l2"), 4, 3)],
)
def test_a_timeline_has_a_chart_for_each_of_the_first_columns(
    columns: tuple[str, ...], steps: int, charts: int, drawn: list[tuple[Any, ...]]
) -> None:
    pairs = pairs_of((32, 24))
    ProgressSheet(Path("f"), PAIRING, pairs).draw(columns, [[1.0] * len(columns)] * steps, {})
    found = [(read_picture(SHEET) == colour).all(axis=2).any() for colour in COLOURS]
    assert found == [True] * charts + [False] * (3 - charts)
    assert drawn[-1][4] == ""  # no scores
    milestones = {1000: [20, 60, 150, 400, 1000], 10: [1, 2, 4, 10], 1: [1]}  # outputs are kept at shares of the run
    assert {total: sheet_steps(total) for total in milestones} == milestones


def test_a_loss_that_is_no_number_leaves_the_rest_of_its_curve() -> None:
    values = np.linspace(1, 0, 400)
    whole = loss_chart("l1", values.tolist(), COLOURS[1], 280)
    values[7] = np.nan
    assert np.abs(loss_chart("l1", values.tolist(), COLOURS[1], 280).astype(int) - whole).mean() < 1
    nothing = loss_chart("l1", [np.nan, np.inf], COLOURS[1], 280)
    assert nothing.shape == whole.shape
    assert not (nothing == COLOURS[1]).all(axis=2).any()
    assert (whole == COLOURS[1]).all(axis=2).any()


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


def test_the_report_is_told_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setattr(watched, "write_report", lambda path, report: told.append((path, report)))
    watching = watched_run(scores=[(1, {"l1": 0.2}), (2, {"l1": 0.3})], rollouts=SimpleNamespace(ages=[(1, 1, 1.0, 1)]))
    watching._add_to_timeline()
    watching._add_to_film()
    write_picture(Path("of.train/film/00000001.png"), scene(8, 8, 0))  # of another size
    dreamt: Any = SimpleNamespace(strip=[(0, scene(8, 8, 1)), (5, scene(8, 8, 2))])
    watching.draw({"l1": 0.3}, dreamt)
    [(path, report)] = told
    assert path == Path("of.train/report.html")
    assert report.title == "of: how training went"
    assert report.facts == {"a": 1, "steps": "2 of 10"}
    assert (report.columns, report.rows, report.best) == (watching.run.model.columns, watching.run.rows, 1)
    assert report.balance == 0.7
    assert (report.scores, report.warnings) == (watching.run.scores, [(1, "x: y")])
    assert (report.ages, report.rollout) == ([(1, 1, 1.0, 1)], dreamt)
    [(step, sheet)] = report.sheets
    assert (step, sheet.shape) == (2, (24, 64, 3))
    [(step, picture)] = report.film
    target = read_picture(watching.subject.target)
    assert step == 2
    assert np.array_equal(picture, darker(target))
    assert np.array_equal(report.target, target)
    assert np.array_equal(report.input, 255 - target)
    assert read_picture(Path("of.train/dream.png")).shape == (8, 16, 3)
