"""What is shown of a generator while it trains: the latest outputs, and how they came about."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidtrans.data.dataset import Pair
from vidtrans.files import remove
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.settings import Table
from vidtrans.training.report.curves import LOSSES, thin
from vidtrans.training.validation import apply, evenly, shown_of
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots.chart import Chart, ChartCurve, Colour
from vidtrans.video.plots.layout import GAP, Sheet, blank, cell_size, join_row

ROWS = 4
CELL = 320  # pixels on a cell's long side
MILESTONES = (0.02, 0.06, 0.15, 0.4, 1.0)  # shares of the run at which the outputs are kept
COLOURS = ((255, 190, 90), (120, 200, 255), (200, 140, 255))  # of the curves of a run's first columns
CHART = (280, 200)  # pixels: the least width, and the height


def preview_sheet(engine: Engine, pairing: Pairing, pairs: Sequence[Pair], title: str, path: Path) -> None:
    """Write a sheet of a few pairs: input, output, target."""
    rows = []
    for pair in evenly(pairs, ROWS):
        shown, output, target = apply(engine, pairing, pair)
        rows.append([pairing.preview(shown), output, target])
    sheet = Sheet(title, rows, cell_size(rows[0][2], CELL), ("input", "output", "target"))
    write_picture(path, sheet.draw())


def numbered(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder that are named after a step, in order."""
    return sorted(f for f in folder.glob(f"*{suffix}") if f.stem.isdecimal())


def delete_later_steps(step: int, folder: Path, suffix: str) -> None:
    """Delete those that are of later steps."""
    for file in numbered(folder, suffix):
        if int(file.stem) > step:
            remove(file)


class ProgressSheet:
    """How training went, in ``folder``: the same few pairs at milestones of the run, and the losses.

    ``steps/`` holds a strip of outputs for each milestone, so that a resumed run goes on with the sheet.
    """

    def __init__(self, folder: Path, pairing: Pairing, pairs: Sequence[Pair], total: int) -> None:
        self.folder, self.pairing, self.pairs = folder, pairing, evenly(pairs, ROWS)
        self.milestones = sorted({max(1, round(share * total)) for share in MILESTONES})

    @property
    def sheet(self) -> Path:
        """Return the path of the sheet."""
        return self.folder / "training.png"

    def _strip(self, step: int) -> Path:
        return self.folder / "steps" / f"{step:08d}.png"

    def begin(self, step: int) -> None:
        """Forget what an earlier run left beyond ``step``."""
        delete_later_steps(step, self.folder / "steps", ".png")

    def add(self, step: int, engine: Engine) -> None:
        """Keep the outputs of this step."""
        cells = [apply(engine, self.pairing, pair)[1] for pair in self.pairs]
        height, width = cells[0].shape[:2]
        same = [c for c in cells if c.shape[:2] == (height, width)]
        write_picture(self._strip(step), np.vstack(same))

    def kept(self) -> list[tuple[int, list[np.ndarray]]]:
        """(step, the outputs) of every strip that is there; pictures as large as the first pair's."""
        shape = read_picture(self.pairs[0].target).shape
        count = len(self._alike(shape))
        found = [(int(s.stem), read_picture(s)) for s in numbered(self.folder / "steps", ".png")]
        wanted = (shape[0] * count, shape[1], 3)
        return [(step, np.split(strip, count)) for step, strip in found if strip.shape == wanted]

    def _alike(self, shape: tuple[int, ...]) -> list[tuple[np.ndarray, np.ndarray]]:
        """(input, target) of the pairs of this size: one sheet has one."""
        pairs = [(shown_of(self.pairing, p), read_picture(p.target)) for p in self.pairs]
        return [p for p in pairs if p[1].shape == shape]

    def draw(self, columns: Sequence[str], losses: Sequence[Sequence[float]], scores: Table) -> None:
        """Write the sheet; ``losses`` are the values of the columns at each step."""
        kept = self.kept()
        pairs = self._alike(read_picture(self.pairs[0].target).shape)
        rows = [
            [self.pairing.preview(shown), *(cells[i] for _, cells in kept), target]
            for i, (shown, target) in enumerate(pairs)
        ]
        headings = ("input", *(f"step {step}" for step, _ in kept), "target")
        words = ", ".join(f"{name} {value:.4g}" for name, value in scores.items() if value is not None)
        foot = f"held out: {words}" if words else ""
        sheet = Sheet("how training went", rows, cell_size(pairs[0][1], CELL), headings, foot=foot).draw()
        width = max(sheet.shape[1] // len(COLOURS) - 2 * GAP, CHART[0])
        curves = zip(columns, zip(*losses, strict=True), COLOURS, strict=False)
        charts = [loss_chart(name, values, colour, width) for name, values, colour in curves]
        parts = [sheet, join_row(charts)] if charts else [sheet]
        wide = max(part.shape[1] for part in parts)
        write_picture(self.sheet, np.vstack([np.hstack([p, blank(wide - p.shape[1], len(p))]) for p in parts]))


def loss_chart(name: str, values: Sequence[float], colour: Colour, width: int) -> np.ndarray:
    """Return the running mean of a loss over steps from 1 on, as a picture."""
    curve = thin(np.array(values, np.float64))
    steps = np.arange(1, len(values) + 1)
    mean: list[float] = np.interp(steps, curve.steps, curve.mean).tolist() if len(curve.steps) else []
    title = f"{LOSSES[name].name} (last: {mean[-1]:.3g})" if mean else LOSSES[name].name
    return Chart(title, [ChartCurve("", [None, *mean], colour, 2)]).draw(width, CHART[1])
