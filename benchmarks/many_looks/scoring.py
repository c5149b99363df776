"""Scores of a model with many looks, on frames of a world that were not learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.many_looks.world import World
from vidtrans.inference.codes import code_of
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.picture_quality import psnr, ssim
from vidtrans.models.model_file import load_generator
from vidtrans.networks.code_planes import plane_values, with_planes
from vidtrans.pairing.base import Pairing, make_pairing
from vidtrans.training.picture_codes import mean_distance
from vidtrans.video.images.picture import read_picture

LOOKS, SCORED = 10, 6  # draws, and frames
ON = 127  # a line is lighter


def score_model(model: Path, world: World, seed: int = 0) -> dict[str, float]:
    """Score a model file.

    ``difference``: mean pairwise distance of ten drawn looks of a frame over that of its real grades. ``edges``:
    F-score of the lines of drawn looks and of the frame, a pixel apart at most, over that of the real grades' lines.
    ``psnr``, ``ssim``: by the code of a frame in a look, other frames in it. ``psnr_middle``: the same with the middle
    of all codes: what is lost where a code says nothing.
    """
    generator, record = load_generator(model)
    engine = TorchEngine(generator, resolve_device("cpu"), "fp32", batch=1)
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    mean, spread = (np.array(record.codes[name]) for name in ("mean", "spread"))
    codes = mean + spread * np.random.default_rng(seed).standard_normal((LOOKS, len(mean)))
    frames = [world.frames[n] for n in np.linspace(0, len(world.frames) - 1, SCORED).astype(int)]
    rows: list[dict[str, float]] = []
    for frame in frames:
        given = pairing.input([frame])
        drawn = [_paint(engine, given, code) for code in codes]
        real = [world.target(frame, k) for k in range(len(world.grades))]
        rows.append(
            {
                "difference": mean_distance(drawn) / mean_distance(real),
                "edges": _agreement(pairing, given, drawn) / _agreement(pairing, given, real),
            }
        )
        for look, target in enumerate(real):
            reference = read_picture(sorted(world.folders[look].iterdir())[0])
            like = _paint(engine, given, code_of(generator.encoder, reference))
            middle = _paint(engine, given, mean)
            rows.append({"psnr": psnr(like, target), "ssim": ssim(like, target), "psnr_middle": psnr(middle, target)})
    return {name: round(float(np.mean([row[name] for row in rows if name in row])), 3) for name in rows[0] | rows[1]}


def _paint(engine: TorchEngine, given: np.ndarray, code: np.ndarray) -> np.ndarray:
    painted: np.ndarray = engine(with_planes(given, plane_values(code))[None])[0]
    return painted


def _agreement(pairing: Pairing, given: np.ndarray, pictures: Sequence[np.ndarray]) -> float:
    """Return the mean F-score of the lines of pictures and of an input."""
    return float(np.mean([f_score(given[..., 0], pairing.input([picture])[..., 0]) for picture in pictures]))


def f_score(first: np.ndarray, second: np.ndarray) -> float:
    """Return how well lines, (H, W) uint8, white on black, agree within a pixel: 0 to 1."""
    a, b = (lines > ON for lines in (first, second))
    near_a, near_b = (cv2.dilate(lines.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0 for lines in (a, b))
    precision, recall = (b & near_a).sum() / max(b.sum(), 1), (a & near_b).sum() / max(a.sum(), 1)
    return float(2 * precision * recall / max(precision + recall, 1e-9))
