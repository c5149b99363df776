"""Scores of a generator on held-out pairs."""

from __future__ import annotations

from collections.abc import Sequence
from zlib import crc32

import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.data.loading import condition_position
from vidtrans.inference.codes import encode_style
from vidtrans.inference.engine import Engine
from vidtrans.metrics.label_scores import LabelCounts
from vidtrans.metrics.picture_quality import SSIM_WINDOW, detail_ratio, l1_distance, psnr, ssim
from vidtrans.networks.code_planes import append_planes, plane_values
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.class_colours import ClassColours
from vidtrans.pairing.next_frame import ClipConditions, append_condition_planes
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs
from vidtrans.video.images.picture import read_picture

MAX_SCORED = 64  # Maximum number of held-out pairs that are scored.


def pick_evenly(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """Return at most ``count`` pairs, evenly spaced."""
    if len(pairs) <= count:
        return list(pairs)
    return [pairs[i] for i in segment_centres(len(pairs), count)]


def pair_input(pairing: Pairing, pair: Pair) -> np.ndarray:
    """Return the network's input for a pair, (H, W, C) uint8; random parts of the input are the same in every call."""
    rng = np.random.Generator(np.random.Philox(key=crc32(pair.target.name.encode())))
    conditions = None if (position := condition_position(pair)) is None else ClipConditions(position)
    return append_condition_planes(pairing.training_input([read_picture(p) for p in pair.inputs], rng), conditions)


def render_pair(
    engine: Engine, pairing: Pairing, pair: Pair, like: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Render a pair's input; return (input, output, target), (H, W, C) uint8, at the size of the dataset.

    A model with style codes uses the style code of the picture ``like``, by default of the target if there is one.
    """
    given, target = pair_input(pairing, pair), read_picture(pair.target)
    if like is None and pairing.has_target:
        like = target
    network_input, encoder = given, getattr(engine, "encoder", None)
    if encoder is not None and like is not None:
        network_input = append_planes(given, plane_values(encode_style(encoder, like)))
    return given, FrameRenderer(ModelInputs(pairing), engine).picture(network_input, target), target


def score(engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
    """Return mean L1 (0 to 1), PSNR in dB, SSIM, and sharpness (``detail_ratio``), over held-out pairs.

    SSIM is None if a picture is smaller than its window. ``segmentation``: the agreement of the input with the input
    recovered from the output, for pairings that support it. For targets with classes: ``pixel_accuracy``,
    ``class_accuracy`` and ``mean_iou`` over all pixels.
    """
    if pairing.class_colours is not None:
        return _score_classes(engine, pairing, pairing.class_colours, pick_evenly(pairs, MAX_SCORED))
    rows = []
    for pair in pick_evenly(pairs, MAX_SCORED):
        given, output, target = render_pair(engine, pairing, pair)
        similarity = ssim(output, target) if min(target.shape[:2]) >= SSIM_WINDOW else None
        row = (l1_distance(output, target), min(psnr(output, target), 99.0), similarity, detail_ratio(output, target))
        agreement = pairing.agreement(given, output)
        rows.append(row if agreement is None else (*row, agreement))
    names = ("l1", "psnr", "ssim", "sharpness", "segmentation")[: len(rows[0])]
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    means = {n: None if None in column else round(float(np.mean(column)), 4) for n, column in columns.items()}
    return {"pairs": len(rows)} | means


def _score_classes(engine: Engine, pairing: Pairing, classes: ClassColours, pairs: Sequence[Pair]) -> Table:
    """Return the pixel accuracy, class accuracy and mean IoU of output labels, 0 to 1, over all pixels of ``pairs``."""
    counts = LabelCounts.total(
        LabelCounts.of(classes.labels(output), classes.labels(target), len(classes))
        for _, output, target in (render_pair(engine, pairing, pair) for pair in pairs)
    )
    scores = {"pixel_accuracy": counts.pixel_accuracy, "class_accuracy": counts.class_accuracy}
    scores |= {"mean_iou": counts.mean_iou}
    return {"pairs": len(pairs)} | {name: None if value is None else round(value, 4) for name, value in scores.items()}
