"""What the window filter costs beside the network whose frames it filters, in one run, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.consistency.cases import CLIPS, read_frames
from benchmarks.consistency.known_flicker import FINE, fine_field, toned
from benchmarks.consistency.methods import run_filter
from benchmarks.harness import Missing, in_turns, machine, ratios, spread
from benchmarks.tables import Goal, Table
from vidtrans.core.machine import set_up_heap
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks.unet import UNet256, UNetSettings

ROUNDS = 5
# The side of a middle square, 0 for whole frames; how many frames; the filter's share of the network's time.
SIZES = {
    "256x256": (256, 120, Goal("share ≤ .55", most=0.55)),
    "1280x720": (0, 48, Goal("share ≤ .4", most=0.4)),
}


def table(data: Path, rounds: int = ROUNDS) -> Table:
    """Return the milliseconds a frame of both. Raises Missing."""
    set_up_heap()  # as renders do
    columns = ["frames", "U-Net 256, ms a frame", "window filter and flow, ms a frame", "share", "goal"]
    made = Table(f"Cost: medians of {rounds} rounds in turns (least – most)", columns)
    for name, (side, count, goal) in SIZES.items():
        clip = CLIPS["juggle"]
        frames = read_frames(data / clip.path, clip.first, count, side)
        if len(frames) < count:
            raise Missing(f"{clip.path} has only {len(frames)} frames")
        works = {"network": _inference(frames), "filter": _filtering(frames)}
        taken = {w: [1000 * s / count for s in seconds] for w, seconds in in_turns(works, rounds).items()}
        share = statistics.median(taken["filter"]) / statistics.median(taken["network"])
        shares = spread(ratios(taken["filter"], taken["network"]))
        row = [f"{count} of {name}", spread(taken["network"], 1), spread(taken["filter"], 1), shares]
        made.rows.append([*row, goal.verdict(share)])
    made.notes = [f"On {machine()}."]
    return made


def _filtering(frames: list[np.ndarray]) -> Callable[[], object]:
    rng = np.random.default_rng(0)
    grain = 255 * FINE * np.stack([fine_field(rng, *frames[0].shape[:2]) for _ in range(5)])
    processed = [np.clip(t + grain[i % len(grain)], 0, 255).astype(np.uint8) for i, t in enumerate(toned(frames))]
    return lambda: run_filter("window", frames, processed)


def _inference(frames: list[np.ndarray]) -> Callable[[], object]:
    """U-Net 256 as the product runs it; its weights do not matter."""
    engine = TorchEngine(UNet256(3, 3, UNetSettings()).eval(), resolve_device("cpu"))
    batches = [np.stack(frames[i : i + engine.batch]) for i in range(0, len(frames), engine.batch)]
    return lambda: [engine(batch) for batch in batches]
