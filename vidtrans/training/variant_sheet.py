"""The comparison sheet of an ablation's or a sweep's variants, held-out outputs with scores; and the FCN-score.

The FCN-score measures how well a labeller recovers the input labels from the held-out outputs (Isola et al., CVPR 2017,
section 3.2).
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
from vidtrans.training.validation import MAX_SCORED, pair_input, pick_evenly, render_pair
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.plots import FAINT, INK, ContactSheet, cell_size, join_row, text_band, text_width

NUM_ROWS = 4  # Number of pairs (rows) in a sheet.
CELL_SIDE_PX = 280  # Long side of a picture in a sheet, in pixels.
MIN_COLUMN_PX, MAX_COLUMN_PX = 200, 480  # Range of a column's minimum width, which its heading needs, in pixels.
MIN_LABELLED_SHARE = 0.5  # Minimum share of an input's pixels that have a colour of one of the labeller's classes.


def draw_sheet(path: Path, title: str, rows: Sequence[Table], dataset: Dataset, context: Context) -> None:
    """Write a sheet to ``path`` with a column of outputs for each variant in ``rows``, between input and target.

    Each of ``rows`` has a ``label``, the ``settings`` that a sweep varies, the path of a ``model``, and its
    ``held_out`` scores.
    """
    pairing = dataset.pairing
    held_out = dataset.role("val")
    pairs = pick_evenly(held_out or dataset.role("train"), NUM_ROWS)
    columns = [[pairing.preview(pair_input(pairing, pair)) for pair in pairs]]
    for row in rows:
        engine = TorchEngine(load_generator(Path(row["model"]))[0], resolve_device(context.device), batch=1)
        columns.append([render_pair(engine, pairing, pair)[1] for pair in pairs])
        context.stop.check()
    if pairing.has_target:
        columns.append([read_picture(pair.target) for pair in pairs])
    cell = _cell_size(columns[-1][0], [row["label"] for row in rows])
    headings = ("input", *(row["label"] for row in rows), "target")[: len(columns)]
    note = "None of these frames was trained on" if held_out else "Nothing was held out: all of these were trained on"
    chance = (
        "" if any("seed" in row["settings"] for row in rows) else ", with one seed: small differences may be chance"
    )
    foot = f"{note}. One run each{chance}."
    pictures = ContactSheet(title, list(zip(*columns, strict=True)), cell, headings).draw()
    scored = [_draw_scores(name, [row["held_out"].get(name) for row in rows], cell[0]) for name in _score_names(rows)]
    write_picture(path, np.vstack([pictures, *scored, text_band(foot, pictures.shape[1], colour=FAINT)]))


def _cell_size(picture: np.ndarray, labels: Sequence[str]) -> tuple[int, int]:
    """Return the (width, height) of a sheet's cells in pixels; small pictures are enlarged, so that text fits."""
    width, height = cell_size(picture, CELL_SIDE_PX)
    longest = max(text_width(label) for label in labels)
    scale = max(1.0, max(MIN_COLUMN_PX, min(longest, MAX_COLUMN_PX)) / width)
    return round(width * scale), round(height * scale)


def _score_names(rows: Sequence[Table]) -> list[str]:
    """Return the names of the scores that all variants have, without ``pairs``."""
    return [n for n in SCORE_LABELS if all(row["held_out"].get(n) is not None for row in rows)]


def _draw_scores(name: str, values: Sequence[float], width: int) -> np.ndarray:
    """Draw a line of the table: a score's name, and its value below each variant, the best value bright."""
    label = SCORE_LABELS[name]
    best = label.best(values)
    # The font for text in pictures has no character ×.
    bands = [text_band(f"{label.name} {label.unit.replace('×', 'x')}".strip(), width, colour=INK)]
    bands += [text_band(figure(v), width, colour=INK if v == best else FAINT) for v in values]
    return join_row([*bands, text_band("", width)])


def check_labels(labeller: Labeller, dataset: Dataset) -> None:
    """Raise UsageError if inputs are not label maps in the colours of the labeller, a segmentation model."""
    held_out = dataset.role("val")
    if not held_out:
        remedy = "make the dataset with --set dataset.val_fraction=0.1"
        raise UsageError("--labeller", "the dataset has no held-out pairs to read", remedy)
    picture = read_picture(held_out[0].inputs[0])  # The stored picture, without the pairing's conversion.
    if (labeller.classes.labels(picture, clean=True) >= 0).mean() < MIN_LABELLED_SHARE:
        why = f"the inputs of {dataset.folder.name} are not label maps in the colours of {labeller.model.name}"
        raise UsageError("--labeller", why, "train it on the same label maps: make-dataset --pairing segment")


def read_back(labeller: Labeller, dataset: Dataset, model: Path, context: Context) -> Table:
    """Return the FCN-scores of a model that paints label maps: how well a labeller finds the labels in its outputs.

    The accuracies are from 0 to 1, on held-out pairs. ``fcn_of_targets``: the pixel accuracy on the targets, which is
    the upper limit for outputs.
    """
    engine = TorchEngine(load_generator(model)[0], resolve_device(context.device), batch=1)
    read, classes, pairing = labeller.reader(), labeller.classes, dataset.pairing
    of_outputs: list[LabelCounts] = []
    of_targets: list[LabelCounts] = []
    for pair in pick_evenly(dataset.role("val"), MAX_SCORED):
        _, output, _ = render_pair(engine, pairing, pair)
        labels = classes.labels(read_picture(pair.inputs[0]), clean=True)
        for counts, picture in ((of_outputs, output), (of_targets, read_picture(pair.target))):
            counts.append(LabelCounts.of(classes.labels(read(picture)), labels, len(classes)))
        context.stop.check()
    total = LabelCounts.total(of_outputs)
    table = {
        "fcn_pixel_accuracy": total.pixel_accuracy,
        "fcn_class_accuracy": total.class_accuracy,
        "fcn_iou": total.mean_iou,
        "fcn_of_targets": LabelCounts.total(of_targets).pixel_accuracy,
    }
    return {name: None if value is None else round(value, 4) for name, value in table.items()}
