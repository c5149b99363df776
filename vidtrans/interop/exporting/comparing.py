"""Compare what a file computes with what the model computes, before the file gets its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from vidtrans.core.errors import ModelError
from vidtrans.core.settings import Table
from vidtrans.inference.torch_engine import pad_by_mirroring, to_pictures
from vidtrans.interop.exporting.base import ExportSubject
from vidtrans.interop.exporting.graphs import NetworkGraph, WholeGraph
from vidtrans.networks.code_planes import with_planes
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.pairing.operators.base import PairingOperators
from vidtrans.video.images.picture import resize

Run = Callable[[np.ndarray], np.ndarray]
LARGEST_DIFFERENCE = 1e-3  # of the network's output, where colours are from −1 to 1
LEVEL = 1 / 127.5  # a grey level of 8 bits there
# Of a whole file: share of values that may be further off than a level. A stroke's grey that lies between two levels
# may be rounded the other way by another library, and the network answers to that around it.
MOST_OFF = 0.01
MARGIN = 1e-5  # of float32
SMALLEST = 64  # pixels a side that are compared


@dataclass(frozen=True)
class Comparison:
    """How far a file is from its model on one picture.

    Attributes:
        output: Absolute differences where colours are from −1 to 1, of any shape.
        net_input: Largest difference of what the network sees, in grey levels; 0 of a network alone.
    """

    output: np.ndarray
    net_input: float = 0.0


def check_file(subject: ExportSubject, graph: NetworkGraph | WholeGraph, run: Run) -> Table:
    """Run a file on made-up pictures of three sizes, compare it with its model, and return what is reported of it.

    Args:
        subject: The model.
        graph: What was written.
        run: Runs the file: for a whole one (H, W, 3) uint8 → (H', W', 3) uint8; else (C, H, W) float32 in [−1, 1] →
            (3, H, W).

    Raises:
        ModelError: The file computes something else.
    """
    network = graph.network if isinstance(graph, WholeGraph) else graph
    least = graph.pairing.smallest if isinstance(graph, WholeGraph) else 1
    side = max(network.smallest, network.multiple, SMALLEST, least)
    sizes = ((side, side), (side + side // 3 + 1, side + 3), (side + 1, 2 * side - 7))
    pictures = [made_up_picture(height, width, seed) for seed, (height, width) in enumerate(sizes)]
    if isinstance(graph, WholeGraph):
        compared = [_compare_whole(subject, graph.pairing, run, picture) for picture in pictures]
    else:
        compared = [_compare_network(subject, run, picture) for picture in pictures]
    values = np.concatenate([one.output.ravel() for one in compared])
    report: Table = {
        "max_difference": float(values.max()),
        "compared_sizes": [f"{width}x{height}" for height, width in sizes],
    }
    if subject.whole:
        report["input_difference"] = max(one.net_input for one in compared)
    off = float((values > LEVEL + MARGIN).mean())
    good = off <= MOST_OFF and report["input_difference"] <= 1 if subject.whole else values.max() <= LARGEST_DIFFERENCE
    if not good or not np.isfinite(values).all():
        why = f"the exported file computes something else (up to {values.max():.3g} off)"
        raise ModelError(f"model '{subject.name}'", why, "nothing was written; please report this with the model")
    return report


def _compare_network(subject: ExportSubject, run: Run, frame: np.ndarray) -> Comparison:
    count = subject.in_channels
    planes = np.concatenate([np.roll(frame, 7 * n, 0) for n in range(-(-count // 3))], axis=2)[..., :count]
    x = np.ascontiguousarray(planes.transpose(2, 0, 1), np.float32) / 127.5 - 1
    return Comparison(np.abs(run(x) - run_model(subject, torch.from_numpy(x)[None])[0].numpy()))


def _compare_whole(subject: ExportSubject, operators: PairingOperators, run: Run, frame: np.ndarray) -> Comparison:
    """Compare what the network sees with what the pairing makes, and the rest with what the model makes of that."""
    guide, expected = render_input(subject, frame)
    with torch.no_grad():
        levels = operators(torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None].float())
    seen = levels[0].permute(1, 2, 0).numpy()
    output = to_pictures(run_model(subject, levels / 127.5 - 1), deep=False)[0]
    finished = subject.pairing.finish(guide, output, expected)
    output_difference = np.abs(run(frame).astype(np.float32) - finished) / 127.5
    return Comparison(output_difference, float(np.abs(seen - expected).max()))


def render_input(subject: ExportSubject, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame, (H, W, 3) uint8, at the size of its render, and what a render makes of it for the network."""
    pairing = subject.pairing
    if pairing.upscale_factor > 1:
        height, width = (side * pairing.upscale_factor for side in frame.shape[:2])
        frame = resize(frame, width, height)
    if isinstance(pairing, LookPairing):
        *shares, stroke = subject.conditions
        return frame, pairing.conditioned(frame, np.array(shares), stroke)
    made = pairing.input([frame])
    if subject.record.code_size:
        made = with_planes(made, np.rint(255 * np.array(subject.conditions)).astype(np.uint8))
    return frame, made


@torch.no_grad()
def run_model(subject: ExportSubject, x: Tensor) -> Tensor:
    """Return what the model's own network makes of (N, C, H, W) float32 in [−1, 1]: (N, 3, H, W)."""
    height, width = x.shape[2:]
    output: Tensor = subject.generator(pad_by_mirroring(x, subject.generator.multiple))
    return output[:, :, :height, :width].float()


def made_up_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Return a picture with smooth colours, outlines and some noise, (height, width, 3) uint8; the same everywhere."""
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.random((5, 7, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(12):
        at = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.integers(2, max(3, min(height, width) // 4)))
        cv2.circle(soft, at, radius, [float(v) for v in rng.random(3)], -1)
    noisy = soft * 225 + 15 + rng.normal(0, 3, soft.shape)
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
