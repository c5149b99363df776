"""The comparison of an ablation's or a sweep's variants: a sheet of held-out outputs with scores, and the FCN-score.

The FCN-score: does a labeller find in the held-out outputs the labels that they were painted from? Isola et al., CVPR
2017, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Dataset
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.label_scores import LabelCounts
from vidtrans.models.model_file import load_generator
from vidtrans.rendering.extraction import Labeller
from vidtrans.session import Context
from vidtrans.training.training_words import SCORE_LABELS, figure
from vidtrans.training.validation import MAX_SCORED, apply, evenly, pair_input
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots import FAINT, INK, ContactSheet, cell_size, join_row, text_band, text_width

ROWS = 4
# Pixels: of a picture's long side; bounds of a column's width, for its heading.
CELL, NARROWEST, WIDEST = 280, 200, 480
LEAST = 0.5  # Share of an input's pixels that must have a class of the labeller.


def draw_sheet(path: Path, title: str, rows: Sequence[Table], dataset: Dataset, context: Context) -> None:
    """Write a sheet to ``path`` with a column of outputs for each of ``rows``, between input and target.

    A row has a ``label``, the ``settings`` that a sweep varies, the path of a ``model``, and its ``held_out`` scores.
    """
    pairing = dataset.pairing
    held_out = dataset.role("val")
    pairs = evenly(held_out or dataset.role("train"), ROWS)
    columns = [[pairing.preview(pair_input(pairing, pair)) for pair in pairs]]
    for row in rows:
        engine = TorchEngine(load_generator(Path(row["model"]))[0], resolve_device(context.device), batch=1)
        columns.append([apply(engine, pairing, pair)[1] for pair in pairs])
        context.stop.check()
    if pairing.has_target:
        columns.append([read_picture(pair.target) for pair in pairs])
    cell = _cell(columns[-1][0], [row["label"] for row in rows])
    headings = ("input", *(row["label"] for row in rows), "target")[: len(columns)]
    note = "None of these frames was trained on" if held_out else "Nothing was held out: all of these were trained on"
    chance = (
        "" if any("seed" in row["settings"] for row in rows) else ", with one seed: small differences may be chance"
    )
    foot = f"{note}. One run each{chance}."
    pictures = ContactSheet(title, list(zip(*columns, strict=True)), cell, headings).draw()
    scored = [_scores(name, [row["held_out"].get(name) for row in rows], cell[0]) for name in _names(rows)]
    write_picture(path, np.vstack([pictures, *scored, text_band(foot, pictures.shape[1], colour=FAINT)]))


def _cell(picture: np.ndarray, labels: Sequence[str]) -> tuple[int, int]:
    """Return the (width, height) of cells; small pictures are enlarged, so that text fits."""
    width, height = cell_size(picture, CELL)
    longest = max(text_width(label) for label in labels)
    scale = max(1.0, max(NARROWEST, min(longest, WIDEST)) / width)
    return round(width * scale), round(height * scale)


def _names(rows: Sequence[Table]) -> list[str]:
    """Return the names of the scores that all variants have, without ``pairs``."""
    return [n for n in SCORE_LABELS if all(row["held_out"].get(n) is not None for row in rows)]


def _scores(name: str, values: Sequence[float], width: int) -> np.ndarray:
    """Draw a line of the table: a name and a value below each variant, the best one bright."""
    label = SCORE_LABELS[name]
    best = label.best(values)
    # The font of pictures has no ×.
    bands = [text_band(f"{label.name} {label.unit.replace('×', 'x')}".strip(), width, colour=INK)]
    bands += [text_band(figure(v), width, colour=INK if v == best else FAINT) for v in values]
    return join_row([*bands, text_band("", width)])


def check_labels(labeller: Labeller, dataset: Dataset) -> None:
    """Raise UsageError if the inputs of a dataset are not label maps in the labeller's colours."""
    held_out = dataset.role("val")
    if not held_out:
        remedy = "make the dataset with --set dataset.val_fraction=0.1"
        raise UsageError("--labeller", "the dataset has no held-out pairs to read", remedy)
    given = read_picture(held_out[0].inputs[0])  # as it was given, whatever the pairing makes of it
    if (labeller.classes.labels(given, clean=True) >= 0).mean() < LEAST:
        why = f"the inputs of {dataset.folder.name} are not label maps in the colours of {labeller.model.name}"
        raise UsageError("--labeller", why, "train it on the same label maps: make-dataset --pairing segment")


def read_back(labeller: Labeller, dataset: Dataset, model: Path, context: Context) -> Table:
    """Return the scores of the labels that a labeller finds in a model's held-out outputs.

    ``fcn_of_targets``: the pixel accuracy on the targets themselves, which is what outputs could reach.
    """
    engine = TorchEngine(load_generator(model)[0], resolve_device(context.device), batch=1)
    read, classes, pairing = labeller.reader(), labeller.classes, dataset.pairing
    painted: list[LabelCounts] = []
    real: list[LabelCounts] = []
    for pair in evenly(dataset.role("val"), MAX_SCORED):
        _, output, _ = apply(engine, pairing, pair)
        labels = classes.labels(read_picture(pair.inputs[0]), clean=True)
        for found, picture in ((painted, output), (real, read_picture(pair.target))):
            found.append(LabelCounts.of(classes.labels(read(picture)), labels, len(classes)))
        context.stop.check()
    whole, truth = LabelCounts.total(painted), LabelCounts.total(real)
    table = {
        "fcn_pixel_accuracy": whole.pixel_accuracy,
        "fcn_class_accuracy": whole.class_accuracy,
        "fcn_iou": whole.mean_iou,
        "fcn_of_targets": truth.pixel_accuracy,
    }
    return {name: None if value is None else round(value, 4) for name, value in table.items()}
