"""Engines beside eager fp32 at batch 1, with the same weights: pictures a second, and how far off they are.

    python -m benchmarks.speed.engine [DATA] --cache DIR [--model unet-256] [--rounds 7] [--sizes 256,512]
                                      [--engines torch,compile,onnx,openvino]

The reference is what the classic test script runs: the network alone in fp32 at batch 1, in train mode (dropout and
batch statistics are on unless it is told otherwise) and in eval mode; the time of an engine includes what it does from
uint8 pictures to uint8 pictures. PSNR is to the eval mode in fp32. Rounds are interleaved: only ratios mean anything.
"""

from __future__ import annotations

import copy
import math
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks import harness
from benchmarks.clips import square_frames
from benchmarks.speed.inputs import model_path, source_of
from benchmarks.tables import head, row
from vidtrans.core.errors import VidtransError
from vidtrans.inference import ENGINES
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.models.model_file import load_generator
from vidtrans.pairing.pairing_records import make_pairing

COUNT = 8  # pictures a round


def alone(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([network(picture[None]) for picture in x])


def main() -> None:
    parser = harness.parser(__doc__, cache=True, rounds=7)
    parser.add_argument("data", type=Path, nargs="?", help="a moving texture is rendered without it")
    parser.add_argument("--model", default="unet-256")
    parser.add_argument("--sizes", type=harness.comma_list, default=["256", "512"])
    parser.add_argument("--engines", type=harness.comma_list, default=list(ENGINES))
    options = parser.parse_args()
    source = source_of(options.data)
    generator, record = load_generator(model_path(options.model, source, options.cache))
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    device = resolve_device("auto")
    print(harness.machine())
    for side in map(int, options.sizes):
        shown = np.stack([pairing.input([frame]) for frame in square_frames(source, side)[: COUNT * 4 : 4]])
        x = torch.from_numpy(shown).permute(0, 3, 1, 2).float().to(device.torch) / 127.5 - 1
        trained, evaluated = copy.deepcopy(generator).train().to(device.torch), generator.eval().to(device.torch)
        exact = to_pictures(alone(evaluated, x), deep=False).astype(float)
        works: dict[str, Callable[[], object]] = {
            "fp32, batch 1, as it tests": partial(alone, trained, x),
            "fp32, batch 1, eval": partial(alone, evaluated, x),
        }
        more: dict[str, tuple[float, float]] = {}
        for name in options.engines:
            try:
                engine = ENGINES.load(name)(generator, device)
                first = harness.seconds_of(partial(engine, shown[: engine.batch]))
            except VidtransError as error:
                harness.skip(name, error)
                continue
            error_power = float(np.mean((engine(shown).astype(float) - exact) ** 2))
            more[name] = 10 * math.log10(255**2 / max(1e-9, error_power)), first
            works[name] = partial(engine, shown)
        taken = harness.in_turns(works, options.rounds)
        print()
        head(f"{side}x{side}", "ms a picture", "times as fast as it tests", "as eval", "PSNR", "first, s")
        bases = list(taken.values())[:2]
        for name, values in taken.items():
            found = [harness.spread(harness.ratios(base, values)) for base in bases]
            row(name, f"{statistics.median(values) / COUNT * 1e3:.1f}", *found, *more.get(name, (None, None)))


if __name__ == "__main__":
    harness.run(main)
