"""The folder beside a model in which a person watches it learn.

``preview.png`` and ``losses.csv`` are refreshed by the clock. ``steps/`` (a few pairs at milestones) and ``film/`` (one
picture, often) are for ``training.png`` and ``report.html``, and to be used: a film is a folder of numbered pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vidtrans.data.dataset import Pair
from vidtrans.files import write_bytes
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.settings import Table
from vidtrans.training.report.page import TrainingReport, film_steps, write_report
from vidtrans.training.report.previews import ProgressSheet, delete_later_steps, numbered, preview_sheet
from vidtrans.training.report.rollout_summary import RolloutSummary
from vidtrans.training.stopping import best_of
from vidtrans.training.trainer import TrainingState
from vidtrans.training.validation import apply, evenly, shown_of
from vidtrans.video.images.picture import read_picture, write_picture

# One picture of a film costs about what half a step does.
FILM, STEPS_A_PICTURE = 72, 5


class TrainingMonitor:
    """What is shown of a run in ``folder``.

    ``pairs``: of which some are shown, never trained on where there are any held out; ``engine``: the run's generator
    as it is. ``facts``: what the report says of the run, in this order.
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
        self.filmed = film_steps(run.total, max(8, min(FILM, run.total // STEPS_A_PICTURE)))

    @property
    def film(self) -> Path:
        """Return the folder of the film."""
        return self.folder / "film"

    @property
    def report(self) -> Path:
        """Return the path of the report."""
        return self.folder / "report.html"

    def begin(self) -> None:
        """Forget what an earlier run left that this one will not write again."""
        step = self.run.step
        self.timeline.begin(step)
        delete_later_steps(step, self.film, ".png")
        delete_later_steps(step, self.folder / "snapshots", ".safetensors")

    def milestones(self) -> dict[int, list[Callable[[], None]]]:
        """Return the functions to call after each step."""
        due: dict[int, list[Callable[[], None]]] = {step: [self._shoot] for step in self.filmed}
        for step in self.timeline.milestones:
            due.setdefault(step, []).append(self._keep)
        return due

    def refresh(self) -> None:
        """Write the preview sheet and the losses so far."""
        run = self.run
        write_bytes(self.folder / "losses.csv", run.losses_csv())
        title = f"step {run.step} of {run.total}"
        preview_sheet(self.engine(), self.pairing, self.pairs, title, self.folder / "preview.png")

    def _keep(self) -> None:
        self.timeline.add(self.run.step, self.engine())
        self.timeline.draw(self.run.model.columns, self.run.rows, {})

    def _shoot(self) -> None:
        output = apply(self.engine(), self.pairing, self.subject)[1]
        write_picture(self.film / f"{self.run.step:08d}.png", output)

    def draw(self, scores: Table, dreamt: RolloutSummary | None = None) -> None:
        """Both pages as far as the run came.

        ``scores``: of the model that came of it, {} while there is none; ``dreamt``: what that makes of its own frames.
        """
        run = self.run
        self.timeline.draw(run.model.columns, run.rows, scores)
        if dreamt is not None:
            write_picture(self.folder / "dream.png", np.hstack([picture for _, picture in dreamt.strip]))
        target = read_picture(self.subject.target)
        pictures = [(int(f.stem), read_picture(f)) for f in numbered(self.film, ".png")]
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
                ages=run.chains.ages if run.chains else (),
                dreamt=dreamt,
                sheets=[(step, np.hstack(cells)) for step, cells in self.timeline.kept()],
                film=[(step, picture) for step, picture in pictures if picture.shape == target.shape],
                shown=self.pairing.preview(shown_of(self.pairing, self.subject)),
                target=target,
            ),
        )
