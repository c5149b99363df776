"""Writer of the folder beside a model, with previews and a report of the model's training.

``preview.png`` and ``losses.csv`` are refreshed at intervals of wall time. ``steps/`` holds the outputs for a few pairs
at each milestone, which ``training.png`` and ``report.html`` show. ``film/`` holds the outputs for one pair at up to
``FILM_PICTURES`` steps, densest at the start; ``report.html`` and the studio show them, beside ``input.png`` and
``target.png``. ``training.json`` has the state in words and the held-out scores, for the studio. With the setting
``training.tensorboard``, ``tensorboard/`` holds the losses and scores as event files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.core.files import TRAINING_FILE, ignore_files_in_use, remove, write_bytes, write_json
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.training.delivered import REPORT_CROP, DeliveredPair, deliver, few_at_full_size
from vidtrans.training.loop import Task, TrainingState
from vidtrans.training.training_page import (
    DeliveredSummary,
    RolloutSummary,
    TrainingReport,
    film_steps,
    resample_curve,
    write_report,
)
from vidtrans.training.training_words import TrainingSummary, best_step, loss_label, score_steps
from vidtrans.training.validation import pair_input, pick_evenly, render_pair
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots import GAP, Chart, ChartCurve, Colour, ContactSheet, blank_picture, cell_size, join_row

# Maximum number of pictures in ``film/``, and minimum steps between two, as one takes as long as half a step.
FILM_PICTURES, STEPS_PER_PICTURE = 72, 5
ROWS = 4  # Number of rows (pairs) in a preview sheet.
CELL = 320  # Long side of a picture in a sheet, in pixels.
MILESTONES = (0.02, 0.06, 0.15, 0.4, 1.0)  # Completed shares of the run at which ``training.png`` shows outputs.
COLOURS = ((255, 190, 90), (120, 200, 255), (200, 140, 255))  # RGB colours of the curves of a run's first three losses.
MIN_CHART_WIDTH, CHART_HEIGHT = 280, 200  # Minimum width and the height of a loss chart, in pixels.


class TrainingMonitor:
    """Writer of the previews and the report of a run in ``folder``.

    ``pairs``: the pairs of which a few are shown; ``engine``: returns an engine of the current generator;
    ``facts``: the report's facts by name; ``note`` receives a line if a viewer blocks the update of a file.
    ``has_held_out``: whether the run has held-out pairs, which are scored.
    """

    def __init__(
        self,
        folder: Path,
        pairing: Pairing,
        pairs: Sequence[Pair],
        state: TrainingState,
        engine: Callable[[], Engine],
        facts: Table,
        note: Callable[[str], None],
        *,
        has_held_out: bool = True,
    ) -> None:
        self.note = note
        self.folder, self.pairing, self.pairs, self.state, self.facts = folder, pairing, pairs, state, facts
        self.engine, self.has_held_out = engine, has_held_out
        self.timeline = ProgressSheet(folder, pairing, pairs)
        [self.subject] = pick_evenly(pairs, 1)
        self.film, self.report = folder / "film", folder / "report.html"
        self.events: EventFiles | None = None
        self.delivered: DeliveredSummary | None = None  # of the latest preview

    def begin(self) -> None:
        """Delete files of steps that this run has not taken yet; write input and target of the pair in ``film/``."""
        for name in ("steps", "film", "snapshots"):
            for file in numbered_files(self.folder / name):
                if int(file.stem) > self.state.step:
                    remove(file)
        write_picture(self.folder / "input.png", self.pairing.preview(pair_input(self.pairing, self.subject)))
        if self.pairing.has_target:
            write_picture(self.folder / "target.png", read_picture(self.subject.target))
        if self.state.model.settings.tensorboard:
            self.events = EventFiles(self.folder / "tensorboard", self.state)
        self._write_status()

    def end(self) -> None:
        """Close the event files."""
        if self.events:
            self.events.close()

    def words(self) -> TrainingSummary:
        """Return the object that describes the run's state in sentences."""
        state = self.state
        first = score_steps(state.total, state.model.settings.val_interval)[0] if self.has_held_out else None
        is_over = state.enough or state.step == state.total
        return TrainingSummary(state.scores, state.step, state.total, is_over, first, state.warnings, state.seconds)

    def _write_status(self) -> None:
        """Write the status file, ``training.json``."""
        with ignore_files_in_use(self.note):
            write_json(self.folder / TRAINING_FILE, self.words().table())

    def milestones(self, total: int) -> dict[int, list[Task]]:
        """Return the functions to call during a run of ``total`` steps, by the step after which they are called."""
        filmed = film_steps(total, max(8, min(FILM_PICTURES, total // STEPS_PER_PICTURE)))
        due: dict[int, list[Task]] = {step: [self._add_to_film] for step in filmed}
        for step in sheet_steps(total):
            due.setdefault(step, []).append(self._add_to_timeline)
        return due

    def refresh(self) -> Path:
        """Write ``preview.png`` and ``losses.csv``; return the path of ``preview.png``."""
        state = self.state
        with ignore_files_in_use(self.note):
            write_bytes(self.folder / "losses.csv", state.losses_csv())
        if self.events:
            self.events.update()
        title = f"step {state.step} of {state.total}"
        engine, chosen = self.engine(), few_at_full_size(self.pairs, ROWS)
        full = list(deliver(engine, self.pairing, chosen)) if chosen else []
        self.delivered = DeliveredSummary(state.step, {}, [made.crops(*REPORT_CROP) for made in full]) if full else None
        preview = self.folder / "preview.png"
        with ignore_files_in_use(self.note):
            preview_sheet(engine, self.pairing, self.pairs, title, preview, full)
        self._write_status()
        return preview

    def _add_to_timeline(self) -> None:
        """Save the outputs of a few pairs at this step, and draw ``training.png`` with them."""
        self.timeline.add(self.state.step, self.engine())
        with ignore_files_in_use(self.note):
            self.timeline.draw(self.state.model.columns, self.state.rows, {})

    def _add_to_film(self) -> None:
        """Save the output for the pair shown in ``film/`` at this step, and write the status file."""
        output = render_pair(self.engine(), self.pairing, self.subject)[1]
        write_picture(self.film / f"{self.state.step:08d}.png", output)
        self._write_status()

    def draw(
        self, scores: Table, rollout: RolloutSummary | None = None, delivered: DeliveredSummary | None = None
    ) -> Path:
        """Write ``training.png``, ``report.html`` and, with a ``rollout``, ``dream.png``; return the page's path.

        ``scores``: the last scores. ``delivered``: the full-size pairs; by default those of the latest preview.
        """
        state = self.state
        self._write_status()
        with ignore_files_in_use(self.note):
            self.timeline.draw(state.model.columns, state.rows, scores)
        if rollout is not None:
            with ignore_files_in_use(self.note):
                write_picture(self.folder / "dream.png", np.hstack([picture for _, picture in rollout.strip]))
        target = read_picture(self.subject.target)
        pictures = [(int(f.stem), read_picture(f)) for f in numbered_files(self.film)]
        with ignore_files_in_use(self.note):
            write_report(
                self.report,
                TrainingReport(
                    title=f"{self.folder.stem}: how training went",
                    facts=self.facts | {"steps": f"{state.step:,} of {state.total:,}"},
                    columns=state.model.columns,
                    rows=state.rows,
                    balance=state.model.balance,
                    scores=state.scores,
                    best=best_step(state.scores, state.model.settings.best_metric),
                    warnings=state.warnings,
                    words=self.words(),
                    ages=state.rollouts.ages if state.rollouts else (),
                    rollout=rollout,
                    sheets=[(step, np.hstack(cells)) for step, cells in self.timeline.strips()],
                    film=[(step, picture) for step, picture in pictures if picture.shape == target.shape],
                    input=self.pairing.preview(pair_input(self.pairing, self.subject)),
                    target=target if self.pairing.has_target else None,
                    delivered=delivered or self.delivered,
                ),
            )
        return self.report


class EventFiles:
    """TensorBoard event files of a run: the losses of every step as ``loss/NAME``, the scores as ``held_out/NAME``.

    A continued run writes the values of its earlier steps again, so that none is missing or duplicated after a kill;
    their wall times are spread evenly over the training time.
    """

    def __init__(self, folder: Path, state: TrainingState) -> None:
        from torch.utils.tensorboard import SummaryWriter  # a second's import

        self.state, self._num_rows, self._num_scores = state, 0, 0
        for file in folder.glob("events.out.tfevents.*"):
            remove(file)
        # A viewer that has read the earlier files drops their values from step 0 on.
        self._writer: Any = SummaryWriter(str(folder), purge_step=0)

    def update(self) -> None:
        """Write the losses and scores that are new since the last update."""
        state, now = self.state, time.time()
        seconds_per_step = state.seconds / max(1, state.step)

        def add(kind: str, values: Mapping[str, float | None], step: int) -> None:
            """Write the ``values`` of one step as curves ``kind``/NAME; skip unknown values."""
            wall_time = now - (state.step - step) * seconds_per_step
            for name, value in values.items():
                if value is not None:
                    self._writer.add_scalar(f"{kind}/{name}", value, step, walltime=wall_time)

        for step, row in enumerate(state.rows[self._num_rows :], self._num_rows + 1):
            add("loss", dict(zip(state.model.columns, row, strict=True)), step)
        for step, scores in state.scores[self._num_scores :]:
            add("held_out", scores, step)
        self._num_rows, self._num_scores = len(state.rows), len(state.scores)
        self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        self._writer.close()


def preview_sheet(
    engine: Engine, pairing: Pairing, pairs: Sequence[Pair], title: str, path: Path, full: Sequence[DeliveredPair] = ()
) -> None:
    """Write a picture to ``path`` with input, output and target of a few pairs, one row each.

    The first rows are the pairs in ``full``, at most ``ROWS``, at full size: crops of the delivered picture and of its
    target, at 1:1.
    """
    rows = [[pairing.preview(made.given), made.output, made.target] for made in full]
    others = pick_evenly([pair for pair in pairs if not (full and pair.full)], ROWS - len(rows))
    for given, output, target in (render_pair(engine, pairing, pair) for pair in others):
        rows.append([pairing.preview(given), output, *([target] if pairing.has_target else [])])
    cell = cell_size(rows[0][1], CELL)
    for row, made in zip(rows, full, strict=False):
        row += made.crops(*cell)[1:]
    headings = ("input", "output", "target", "delivered, 1:1", "target, 1:1")[: len(rows[0])]
    sheet = ContactSheet(title, rows, cell, headings)
    write_picture(path, sheet.draw())


def numbered_files(folder: Path) -> list[Path]:
    """Return the files of a folder whose names are step numbers, in order of the steps."""
    return sorted(f for f in folder.glob("*.*") if f.stem.isdecimal())


def sheet_steps(total: int) -> list[int]:
    """Return the steps, in a run of ``total`` steps, after which outputs are saved for ``training.png``."""
    return sorted({max(1, round(share * total)) for share in MILESTONES})


class ProgressSheet:
    """The sheet ``training.png`` in ``folder``: a few pairs, the same at all milestones of the run, and the losses.

    ``steps/`` holds a strip of outputs for each milestone, so that a resumed run continues the sheet.
    """

    def __init__(self, folder: Path, pairing: Pairing, pairs: Sequence[Pair]) -> None:
        self.folder, self.pairing, self.pairs = folder, pairing, pick_evenly(pairs, ROWS)

    def add(self, step: int, engine: Engine) -> None:
        """Save the outputs at ``step`` as a strip in ``steps/``."""
        cells = [render_pair(engine, self.pairing, pair)[1] for pair in self.pairs]
        same_size = [c for c in cells if c.shape == cells[0].shape]
        write_picture(self.folder / "steps" / f"{step:08d}.png", np.vstack(same_size))

    def strips(self) -> list[tuple[int, list[np.ndarray]]]:
        """Return (step, outputs) of each saved strip, if its pictures have the size of those of the first pair."""
        pairs = self._pairs()
        count, (height, width) = len(pairs), pairs[0][1].shape[:2]
        found = [(int(f.stem), read_picture(f)) for f in numbered_files(self.folder / "steps")]
        return [(step, np.split(s, count)) for step, s in found if s.shape == (height * count, width, 3)]

    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (input, target) of the pairs whose pictures have the first pair's size, as a sheet needs one size."""
        pairs = [(pair_input(self.pairing, p), read_picture(p.target)) for p in self.pairs]
        return [p for p in pairs if p[1].shape == pairs[0][1].shape]

    def draw(self, columns: Sequence[str], losses: Sequence[Sequence[float]], scores: Table) -> None:
        """Write the sheet; ``losses``: a row of values per step; ``scores``: held-out scores, for the footer."""
        strips, pairs, has_target = self.strips(), self._pairs(), self.pairing.has_target
        rows = [
            [self.pairing.preview(given), *(cells[i] for _, cells in strips), *([target] if has_target else [])]
            for i, (given, target) in enumerate(pairs)
        ]
        headings = ("input", *(f"step {step}" for step, _ in strips), *(["target"] if has_target else []))
        words = ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if value is not None)
        foot = f"held out: {words}" if words else ""
        sheet = ContactSheet("how training went", rows, cell_size(pairs[0][1], CELL), headings, foot=foot).draw()
        width = max(sheet.shape[1] // len(COLOURS) - 2 * GAP, MIN_CHART_WIDTH)
        curves = zip(columns, zip(*losses, strict=True), COLOURS, strict=False)
        charts = [loss_chart(name, values, colour, width) for name, values, colour in curves]
        parts = [sheet, join_row(charts)] if charts else [sheet]
        wide = max(part.shape[1] for part in parts)
        write_picture(
            self.folder / "training.png",
            np.vstack([np.hstack([p, blank_picture(wide - p.shape[1], len(p))]) for p in parts]),
        )


def loss_chart(name: str, values: Sequence[float], colour: Colour, width: int) -> np.ndarray:
    """Draw a plot of the running mean of a loss, as a picture of this ``width`` in pixels; ``values``: one per step."""
    curve = resample_curve(np.array(values, np.float64))
    steps = np.arange(1, len(values) + 1)
    mean: list[float] = np.interp(steps, curve.steps, curve.mean).tolist() if len(curve.steps) else []
    title = loss_label(name).name + (f" (last: {mean[-1]:.3g})" if mean else "")
    return Chart(title, [ChartCurve("", [None, *mean], colour, 2)]).draw(width, CHART_HEIGHT)
