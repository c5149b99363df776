"""The folder beside a model that shows the progress of its training.

``preview.png`` and ``losses.csv`` are refreshed by the clock. ``steps/`` (a few pairs at milestones) and ``film/`` (one
picture, often) are shown in ``training.png`` and ``report.html``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vidtrans.data.dataset import Pair
from vidtrans.files import remove, write_bytes
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.settings import Table
from vidtrans.training.report.page import RolloutSummary, TrainingReport, film_steps, write_report
from vidtrans.training.report.previews import ProgressSheet, numbered_files, preview_sheet
from vidtrans.training.stopping import best_of
from vidtrans.training.trainer import TrainingState
from vidtrans.training.validation import apply, evenly, pair_input
from vidtrans.video.images.picture import read_picture, write_picture

FILM_PICTURES, STEPS_PER_PICTURE = 72, 5  # a picture of a film costs about half a step


class TrainingMonitor:
    """Previews and report of a run in ``folder``.

    ``pairs``: some of them are shown, held-out ones if there are any; ``engine`` returns the current generator;
    ``facts``: the report's table.
    """

    def __init__(
        self,
        folder: Path,
        pairing: Pairing,
        pairs: Sequence[Pair],
        run: TrainingState,
        engine: Callable[[], Engine],
        facts: Table,
    ) -> None:
        self.folder, self.pairing, self.pairs, self.run, self.facts = folder, pairing, pairs, run, facts
        self.engine = engine
        self.timeline = ProgressSheet(folder, pairing, pairs, run.total)
        [self.subject] = evenly(pairs, 1)
        self.film_steps = film_steps(run.total, max(8, min(FILM_PICTURES, run.total // STEPS_PER_PICTURE)))

        self.film, self.report = folder / "film", folder / "report.html"

    def begin(self) -> None:
        """Delete what an earlier run left of later steps."""
        for name in ("steps", "film", "snapshots"):
            for file in numbered_files(self.folder / name):
                if int(file.stem) > self.run.step:
                    remove(file)

    def milestones(self) -> dict[int, list[Callable[[], None]]]:
        """Return the functions to call after each step."""
        due: dict[int, list[Callable[[], None]]] = {step: [self._add_to_film] for step in self.film_steps}
        for step in self.timeline.milestones:
            due.setdefault(step, []).append(self._add_to_timeline)
        return due

    def refresh(self) -> None:
        """Write the preview sheet and the losses so far."""
        run = self.run
        write_bytes(self.folder / "losses.csv", run.losses_csv())
        title = f"step {run.step} of {run.total}"
        preview_sheet(self.engine(), self.pairing, self.pairs, title, self.folder / "preview.png")

    def _add_to_timeline(self) -> None:
        self.timeline.add(self.run.step, self.engine())
        self.timeline.draw(self.run.model.columns, self.run.rows, {})

    def _add_to_film(self) -> None:
        output = apply(self.engine(), self.pairing, self.subject)[1]
        write_picture(self.film / f"{self.run.step:08d}.png", output)

    def draw(self, scores: Table, rollout: RolloutSummary | None = None) -> None:
        """Draw the sheet and the report so far. ``scores`` and ``rollout``: of the final model, once there is one."""
        run = self.run
        self.timeline.draw(run.model.columns, run.rows, scores)
        if rollout is not None:
            write_picture(self.folder / "dream.png", np.hstack([picture for _, picture in rollout.strip]))
        target = read_picture(self.subject.target)
        pictures = [(int(f.stem), read_picture(f)) for f in numbered_files(self.film)]
        write_report(
            self.report,
            TrainingReport(
                title=f"{self.folder.stem}: how training went",
                facts=self.facts | {"steps": f"{run.step:,} of {run.total:,}"},
                columns=run.model.columns,
                rows=run.rows,
                balance=run.model.balance,
                scores=run.scores,
                best=best_of(run.scores, run.model.settings.best_metric),
                warnings=run.warnings,
                ages=run.rollouts.ages if run.rollouts else (),
                rollout=rollout,
                sheets=[(step, np.hstack(cells)) for step, cells in self.timeline.strips()],
                film=[(step, picture) for step, picture in pictures if picture.shape == target.shape],
                input=self.pairing.preview(pair_input(self.pairing, self.subject)),
                target=target,
            ),
        )
