"""The FCN-score of a training: does a labeller find in the held-out outputs the labels that they were painted from?

Isola et al., CVPR 2017, section 3.2.
"""

from __future__ import annotations

from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Dataset
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.label_scores import LabelCounts
from vidtrans.models.model_file import load_generator
from vidtrans.rendering.extraction import Labeller
from vidtrans.session import Context
from vidtrans.training.validation import MAX_SCORED, apply, evenly
from vidtrans.video.images.picture import read_picture

LEAST = 0.5  # share of the pixels of an input that have a class of the labeller


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
