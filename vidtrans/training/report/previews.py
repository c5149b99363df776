"""Pictures of a generator in training: its latest outputs, and how they changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidtrans.data.dataset import Pair
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.settings import Table
from vidtrans.training.report.curves import LOSS_LABELS, thin
from vidtrans.training.validation import apply, evenly, pair_input
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots.chart import Chart, ChartCurve, Colour
from vidtrans.video.plots.layout import GAP, Sheet, blank, cell_size, join_row

ROWS = 4
CELL = 320  # pixels on a cell's long side
MILESTONES = (0.02, 0.06, 0.15, 0.4, 1.0)  # shares of the run at which outputs are saved
COLOURS = ((255, 190, 90), (120, 200, 255), (200, 140, 255))  # of the curves of a run's first columns
MIN_CHART_WIDTH, CHART_HEIGHT = 280, 200  # pixels


def preview_sheet(engine: Engine, pairing: Pairing, pairs: Sequence[Pair], title: str, path: Path) -> None:
    """Write a sheet of a few pairs: input, output, target."""
    rows = []
    for pair in evenly(pairs, ROWS):
        given, output, target = apply(engine, pairing, pair)
        rows.append([pairing.preview(given), output, target])
    sheet = Sheet(title, rows, cell_size(rows[0][2], CELL), ("input", "output", "target"))
    write_picture(path, sheet.draw())


def numbered_files(folder: Path) -> list[Path]:
    """Return the files of a folder that are named after a step, in order."""
    return sorted(f for f in folder.glob("*.*") if f.stem.isdecimal())


class ProgressSheet:
    """``training.png`` in ``folder``: the same few pairs at milestones of the run, and the losses.

    ``steps/`` holds a strip of outputs for each milestone, so that a resumed run continues the sheet.
    """

    def __init__(self, folder: Path, pairing: Pairing, pairs: Sequence[Pair], total: int) -> None:
        self.folder, self.pairing, self.pairs = folder, pairing, evenly(pairs, ROWS)
        self.milestones = sorted({max(1, round(share * total)) for share in MILESTONES})

    def add(self, step: int, engine: Engine) -> None:
        """Save the outputs of this step."""
        cells = [apply(engine, self.pairing, pair)[1] for pair in self.pairs]
        same_size = [c for c in cells if c.shape == cells[0].shape]
        write_picture(self.folder / "steps" / f"{step:08d}.png", np.vstack(same_size))

    def strips(self) -> list[tuple[int, list[np.ndarray]]]:
        """Return (step, outputs) of every saved strip whose pictures are as large as the first pair's."""
        pairs = self._pairs()
        count, (height, width) = len(pairs), pairs[0][1].shape[:2]
        found = [(int(f.stem), read_picture(f)) for f in numbered_files(self.folder / "steps")]
        return [(step, np.split(s, count)) for step, s in found if s.shape == (height * count, width, 3)]

    def _pairs(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return (input, target) of the pairs that are as large as the first one: a sheet has one size."""
        pairs = [(pair_input(self.pairing, p), read_picture(p.target)) for p in self.pairs]
        return [p for p in pairs if p[1].shape == pairs[0][1].shape]

    def draw(self, columns: Sequence[str], losses: Sequence[Sequence[float]], scores: Table) -> None:
        """Write the sheet; ``losses`` are the values of the columns at each step."""
        strips, pairs = self.strips(), self._pairs()
        rows = [
            [self.pairing.preview(given), *(cells[i] for _, cells in strips), target]
            for i, (given, target) in enumerate(pairs)
        ]
        headings = ("input", *(f"step {step}" for step, _ in strips), "target")
        words = ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if value is not None)
        foot = f"held out: {words}" if words else ""
        sheet = Sheet("how training went", rows, cell_size(pairs[0][1], CELL), headings, foot=foot).draw()
        width = max(sheet.shape[1] // len(COLOURS) - 2 * GAP, MIN_CHART_WIDTH)
        curves = zip(columns, zip(*losses, strict=True), COLOURS, strict=False)
        charts = [loss_chart(name, values, colour, width) for name, values, colour in curves]
        parts = [sheet, join_row(charts)] if charts else [sheet]
        wide = max(part.shape[1] for part in parts)
        write_picture(
            self.folder / "training.png", np.vstack([np.hstack([p, blank(wide - p.shape[1], len(p))]) for p in parts])
        )


def loss_chart(name: str, values: Sequence[float], colour: Colour, width: int) -> np.ndarray:
    """Return the running mean of a loss over steps from 1 on, as a picture."""
    curve = thin(np.array(values, np.float64))
    steps = np.arange(1, len(values) + 1)
    mean: list[float] = np.interp(steps, curve.steps, curve.mean).tolist() if len(curve.steps) else []
    title = LOSS_LABELS[name].name + (f" (last: {mean[-1]:.3g})" if mean else "")
    return Chart(title, [ChartCurve("", [None, *mean], colour, 2)]).draw(width, CHART_HEIGHT)
