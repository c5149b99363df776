"""Compare the output of an exported file with the model's, before the file gets its final name."""

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
from vidtrans.networks.ports import with_planes
from vidtrans.pairing.look_pairing import LookPairing
from vidtrans.pairing.operators import PairingOperators
from vidtrans.video.images.picture import resize

Run = Callable[[np.ndarray], np.ndarray]
LARGEST_DIFFERENCE = 1e-3  # largest difference of a network's output, for colours in [−1, 1]
LEVEL = 1 / 127.5  # one grey level of 8 bits, for colours in [−1, 1]
# Share of a whole file's values that may differ by more than a level. Another library may round a value between two
# levels of the network's input differently, which changes the output around it.
MOST_OFF = 0.01
MARGIN = 1e-5  # for rounding in float32
SMALLEST = 64  # smallest side in pixels of the compared pictures


@dataclass(frozen=True)
class Comparison:
    """The differences between an exported file and its model for one picture.

    Attributes:
        output: Absolute difference of each output value, an array of the output's shape, for colours in [−1, 1].
        net_input: Largest difference between the network's input in the exported graph and in a render, in grey levels
            of 8 bits; 0 for a file that holds the network alone.
    """

    output: np.ndarray
    net_input: float = 0.0


def check_file(subject: ExportSubject, graph: NetworkGraph | WholeGraph, run: Run) -> Table:
    """Run a file on synthetic pictures of three sizes, compare it with its model, and return figures for the report.

    Args:
        subject: The model.
        graph: The module that was written to the file.
        run: Runs the file. With the pairing: (H, W, 3) uint8 → (H', W', 3) uint8; the network alone: (C, H, W) float32
            in [−1, 1] → (3, H, W).

    Raises:
        ModelError: The file's output differs from the model's.
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
        why = f"the exported file's output differs from the model's (by up to {values.max():.3g})"
        raise ModelError(f"model '{subject.name}'", why, "no file was written; please report this with the model")
    return report


def _compare_network(subject: ExportSubject, run: Run, frame: np.ndarray) -> Comparison:
    count = subject.in_channels
    planes = np.concatenate([np.roll(frame, 7 * n, 0) for n in range(-(-count // 3))], axis=2)[..., :count]
    x = np.ascontiguousarray(planes.transpose(2, 0, 1), np.float32) / 127.5 - 1
    return Comparison(np.abs(run(x) - run_model(subject, torch.from_numpy(x)[None])[0].numpy()))


def _compare_whole(subject: ExportSubject, operators: PairingOperators, run: Run, frame: np.ndarray) -> Comparison:
    """Compare the input by ``operators`` with a render's, and the file's output with the model's for that input."""
    guide, expected = render_input(subject, frame)
    with torch.no_grad():
        levels = operators(torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)))[None].float())
    seen = levels[0].permute(1, 2, 0).numpy()
    output = to_pictures(run_model(subject, levels / 127.5 - 1), deep=False)[0]
    finished = subject.pairing.finish(guide, output, expected)
    output_difference = np.abs(run(frame).astype(np.float32) - finished) / 127.5
    return Comparison(output_difference, float(np.abs(seen - expected).max()))


def render_input(subject: ExportSubject, frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame (H, W, 3) uint8 at its render size, and the network's input that a render makes from it."""
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
    """Return the output (N, 3, H, W) of the network before export for ``x`` (N, C, H, W) float32 in [−1, 1]."""
    height, width = x.shape[2:]
    output: Tensor = subject.generator(pad_by_mirroring(x, subject.generator.multiple))
    return output[:, :, :height, :width].float()


def made_up_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Return a synthetic picture with smooth colours, discs and noise, (height, width, 3) uint8; fixed by ``seed``."""
    rng = np.random.default_rng(seed)
    soft = cv2.resize(rng.random((5, 7, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    for _ in range(12):
        at = (int(rng.integers(width)), int(rng.integers(height)))
        radius = int(rng.integers(2, max(3, min(height, width) // 4)))
        cv2.circle(soft, at, radius, [float(v) for v in rng.random(3)], -1)
    noisy = soft * 225 + 15 + rng.normal(0, 3, soft.shape)
    return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)
