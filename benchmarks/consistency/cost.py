"""What the window filter costs beside the network whose frames it filters, in one run, in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.consistency.cases import CLIPS, Missing, read_frames
from benchmarks.consistency.known_flicker import FINE, fine_field, toned
from benchmarks.consistency.methods import run_filter
from benchmarks.consistency.tables import Goal, Table
from vidtrans.core.machine import set_up_heap

ROUNDS = 5
# The side of a middle square, 0 for whole frames; how many frames; the filter's share of the network's time.
SIZES = {
    "256x256": (256, 120, Goal("share ≤ .55", most=0.55)),
    "1280x720": (0, 48, Goal("share ≤ .4", most=0.4)),
}


def tables(data: Path, rounds: int = ROUNDS) -> list[Table]:
    """Milliseconds a frame of both. Raises Missing."""
    import torch

    set_up_heap()  # as renders do
    columns = ["frames", "U-Net 256, ms a frame", "window filter and flow, ms a frame", "share", "goal"]
    table = Table(f"Cost: medians of {rounds} rounds in turns (least – most)", columns)
    for name, (side, count, goal) in SIZES.items():
        clip = CLIPS["juggle"]
        frames = read_frames(data / clip.path, clip.first, count, side)
        if len(frames) < count:
            raise Missing(f"{clip.path} has only {len(frames)} frames")
        network, filtering = _times(frames, rounds)
        shares = [f / n for n, f in zip(network, filtering, strict=True)]
        share = statistics.median(filtering) / statistics.median(network)
        row = [f"{count} of {name}", _spread(network), _spread(filtering)]
        table.rows.append([*row, f"{share:.2f} ({min(shares):.2f} – {max(shares):.2f})", goal.verdict(share)])
    threads = f"torch {torch.get_num_threads()}, OpenCV {cv2.getNumThreads()}"
    table.notes = [f"On {torch.get_num_threads()} cores; threads by default: {threads}."]
    return [table]


def _times(frames: list[np.ndarray], rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds a frame, for each round, of the network and of the filter."""
    infer = _inference(frames)
    rng = np.random.default_rng(0)
    grain = 255 * FINE * np.stack([fine_field(rng, *frames[0].shape[:2]) for _ in range(5)])
    processed = [np.clip(t + grain[i % len(grain)], 0, 255).astype(np.uint8) for i, t in enumerate(toned(frames))]
    infer(), run_filter("window", frames, processed)  # both warm
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for kept, work in zip(taken, (infer, lambda: run_filter("window", frames, processed)), strict=True):
            began = time.perf_counter()
            work()
            kept.append(1000 * (time.perf_counter() - began) / len(frames))
    return taken


def _inference(frames: list[np.ndarray]) -> Callable[[], object]:
    """U-Net 256 as the product runs it; its weights do not matter."""
    from vidtrans.inference.device import resolve_device
    from vidtrans.inference.torch_engine import TorchEngine
    from vidtrans.networks.unet import UNet256, UNetSettings

    engine = TorchEngine(UNet256(3, 3, UNetSettings()).eval(), resolve_device("cpu"))
    batches = [np.stack(frames[i : i + engine.batch]) for i in range(0, len(frames), engine.batch)]
    return lambda: [engine(batch) for batch in batches]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f} – {max(values):.1f})"
