"""Imported networks of other tools beside the ones that train here, frames a second through the same engine, on a CPU.

    python -m benchmarks.speed.imported [--rounds 15]

The checkpoints are written by the tool's own names and read back from the file. Each round runs
both networks on the same batch of four frames of 256x256; a ratio is of the rates in one round, the median of all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed.things import machine
from vidtrans.inference.device import CPU
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.interop.checkpoints.checkpoint_format import CheckpointFormat
from vidtrans.interop.exporting.checkpoint_file import their_state
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, initialise
from vidtrans.pairing.base import make_pairing

WARM_UP = 2  # rounds
FRAMES = 4
# What is trained here, and what is imported beside it: generator and norm.
CASES = (
    ("unet-256", "batch", "picture"),
    ("unet-256", "batch", "plain-instance"),
    ("residual", "batch", "plain-instance"),
)


def native(name: str, norm: str) -> tuple[torch.nn.Module, ModelRecord]:
    generator = build_generator(name, {"norm": norm}, 3).eval()
    initialise(generator, 0)
    table = {"name": name, "settings": {"norm": norm}}
    return generator, ModelRecord(table, {"name": "aligned", "settings": {}}, 3, 3, 256, NORMALISATION, {}, {})


def imported(name: str, norm: str, folder: Path) -> torch.nn.Module:
    generator, record = native(name, norm)
    path, form = folder / "net_G.pth", CheckpointFormat()
    torch.save(their_state(record, generator)[1], path)
    return form.load_described(path, form.describe(path), make_pairing("aligned", {}))[0].eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(machine())
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, 256, 256, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for name, own, theirs in CASES:
            engines = TorchEngine(native(name, own)[0], CPU), TorchEngine(imported(name, theirs, Path(folder)), CPU)
            rates: list[list[float]] = []
            for turn in range(rounds + WARM_UP):
                seconds = {}
                for engine in engines if turn % 2 else engines[::-1]:
                    began = time.perf_counter()
                    engine(frames)
                    seconds[engine] = time.perf_counter() - began
                rates.append([FRAMES / seconds[engine] for engine in engines])
            ratios = sorted(b / a for a, b in rates[WARM_UP:])
            first, _, third = statistics.quantiles(ratios, n=4)
            best = max(rate for rate, _ in rates)
            ratio = f"{statistics.median(ratios):.3f} of its rate ({first:.3f} to {third:.3f})"
            print(f"{name}, imported, {theirs} norm, beside ours, {own} norm: {ratio}; that is {best:.1f} a second")


if __name__ == "__main__":
    main()
