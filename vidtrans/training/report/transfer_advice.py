"""Advice for ``--from``: which parts to train, by how much data there is and how alike it is to the model's own.

The four cases of transfer learning (Yosinski et al., "How transferable are features in deep neural networks?", NIPS
2014), decided by two measures: the effective number of distinct pictures, and how well the model does on the new pairs
before any training. Thresholds and advice were chosen on fine-tunings of small models on clips, where freezing paid
only for alike pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import cv2
import numpy as np

from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.picture_quality import l1
from vidtrans.models.model_file import load_generator
from vidtrans.networks.init import inner_generator
from vidtrans.training.validation import apply, evenly
from vidtrans.video.images.picture import read_picture

if TYPE_CHECKING:
    from vidtrans.training.set_up import TrainingSetup

TRIED, COMPARED = 12, 200  # pairs that the model is tried on, and pictures that are compared, at most
THUMBNAIL, WIDTH = 16, 0.05  # side in pixels; root mean square difference, 0 to 1, from which pictures are distinct
FEW = 12.0  # distinct pictures
ALIKE = 0.5  # of the error of a flat picture, the share that the model has removed before it is trained
FIRST_PARTS = ("stem", "entrance", "begin", "down")  # of generators: what finds edges and textures


def transfer(setup: TrainingSetup, total: int) -> Table:
    """Return ``{"transfer": …}`` of a run of ``total`` steps from a model: the measures and the advice.

    {} where a model's pictures cannot be set against targets: without ``--from``, for unpaired domains, label maps,
    plates and models with a history. Raises ModelError.
    """
    record = setup.settings
    is_plain = not (setup.dataset.domains or setup.pairing.class_colours or record.background_plate or setup.memory)
    if setup.start is None or not is_plain or not setup.pairing.has_target:
        return {}
    generator, _ = load_generator(setup.start)
    engine = TorchEngine(generator, setup.device)
    alike = likeness(apply(engine, setup.pairing, pair)[1:] for pair in evenly(setup.pairs, TRIED))
    distinct = effective_number(setup.pairs)
    names = [name for name, _ in inner_generator(generator).named_children()]
    first = [name for name in names if name in FIRST_PARTS]
    return {
        "transfer": {"distinct": round(distinct, 1), "likeness": round(alike, 3)}
        | advice(distinct, alike, first, setup.settings.lr, total)
    }


def advice(distinct: float, alike: float, first: list[str], lr: float, total: int) -> Table:
    """Return which settings and steps suit, and why; ``first``: the parts of the generator that may be frozen."""
    is_few, is_alike = distinct < FEW, alike > ALIKE
    settings: Table = {"training.lr": lr / 2} if is_alike else {}
    if is_alike:
        steps = total // 4 if is_few else total // 2
        if is_few and first:
            settings = {"training.freeze": first} | settings
            why = "few pictures like its own: keep its first layers and train the others, briefly"
        else:
            why = "many pictures like its own: train all of it, gently" if not is_few else "few pictures: train briefly"
    elif is_few:
        steps, why = total // 2, "few pictures unlike its own: train all of it; more pictures would help most"
    else:
        steps, why = total, "many pictures unlike its own: train all of it; its weights only save some steps"
    return {"advice": why, "settings": settings, "steps": max(steps, 1)}


def likeness(pictures: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """Return how much of a flat picture's error a model has removed: 1 all, 0 none, less where it is worse.

    ``pictures``: (output, target), (H, W, 3) uint8 each. The flat picture has the target's median colour.
    """
    errors = [(l1(made, target), l1(_flat(target), target)) for made, target in pictures]
    own, flat = np.mean(errors, 0)
    return float(1 - own / max(flat, 1e-6))


def effective_number(pairs: list[Pair]) -> float:
    """Return the number of distinct targets: 1 if all are alike, at most ``COMPARED``.

    The exponential of the entropy of the eigenvalues of a Gaussian kernel of thumbnails (Friedman and Dieng, "The Vendi
    Score", TMLR 2023).
    """
    size = (THUMBNAIL, THUMBNAIL)
    pictures = [read_picture(pair.target) for pair in evenly(pairs, COMPARED)]
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(float) / 255 for picture in pictures]
    values = np.stack(small).reshape(len(small), -1)
    squares = (values**2).sum(1)
    apart = (squares[:, None] + squares - 2 * values @ values.T).clip(0) / values.shape[1]
    shares = np.linalg.eigvalsh(np.exp(-apart / (2 * WIDTH**2)) / len(values)).clip(1e-12)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _flat(target: np.ndarray) -> np.ndarray:
    return np.broadcast_to(np.median(target, (0, 1)).astype(np.uint8), target.shape)
