"""Engines beside eager fp32 at batch 1, with the same weights: pictures a second, and how far off they are.

    python -m benchmarks.speed.engine [../shared/data] --cache DIR [--model unet-256] [--rounds 7] [--sizes 256,512]
                                      [--engines torch,compile,onnx,openvino]

The reference is what the classic test script runs: the network alone in fp32 at batch 1, in train mode (dropout and
batch statistics are on unless it is told otherwise) and in eval mode; the time of an engine includes what it does from
uint8 pictures to uint8 pictures. PSNR is to the eval mode in fp32. Rounds are interleaved: only ratios mean anything.
"""

from __future__ import annotations

import copy
import math
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.speed.things import arguments, clip_in, clip_of, frames_of, machine, model_of, spread
from vidtrans.core.errors import VidtransError
from vidtrans.inference import ENGINES
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import to_pictures
from vidtrans.models.model_file import load_generator
from vidtrans.pairing.base import make_pairing

COUNT = 8  # pictures a round


def seconds_of(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) / COUNT


def main() -> None:
    parser = arguments(__doc__, rounds=7)
    parser.add_argument("--sizes", default="256,512")
    parser.add_argument("--engines", default=",".join(ENGINES))
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    source = clip_in(options.data)
    clip = lambda: clip_of(source, 256, 10, options.cache / "clip-256-10.mp4")  # noqa: E731
    generator, record = load_generator(model_of(options.model, clip, options.cache))
    pairing = make_pairing(record.pairing["name"], record.pairing["settings"])
    device = resolve_device("auto")
    print(machine())
    for side in map(int, options.sizes.split(",")):
        frames = frames_of(source, side)[: COUNT * 4 : 4]
        shown = np.stack([pairing.input([frame]) for frame in frames])
        x = torch.from_numpy(shown).permute(0, 3, 1, 2).float().to(device.torch) / 127.5 - 1
        trained, evaluated = copy.deepcopy(generator).train().to(device.torch), generator.eval().to(device.torch)

        def alone(network: torch.nn.Module, x: torch.Tensor = x) -> torch.Tensor:
            with torch.no_grad():
                return torch.cat([network(picture[None]) for picture in x])

        exact = to_pictures(alone(evaluated), deep=False).astype(float)
        runs: dict[str, Callable[[], object]] = {
            "fp32, batch 1, as it tests": lambda alone=alone, network=trained: alone(network),
            "fp32, batch 1, eval": lambda alone=alone, network=evaluated: alone(network),
        }
        first, off = {}, {}
        for name in options.engines.split(","):
            began = time.perf_counter()
            try:
                engine = ENGINES.load(name)(generator, device)
                made = engine(shown[: engine.batch])
            except VidtransError as error:
                print(f"{name}: {error}")
                continue
            first[name] = time.perf_counter() - began
            made = engine(shown).astype(float)
            off[name] = 10 * math.log10(255**2 / max(1e-9, float(np.mean((made - exact) ** 2))))
            runs[name] = lambda engine=engine, shown=shown: engine(shown)
        taken: dict[str, list[float]] = {name: [] for name in runs}
        for turn in range(options.rounds + 1):
            for name, run in runs.items():
                seconds = seconds_of(run)
                if turn:  # the first round warms up
                    taken[name].append(seconds)
        print(f"\n| {side}x{side} | ms a picture | times as fast as it tests | as eval | PSNR | first, s |")
        print("|---|---|---|---|---|---|")
        bases = list(taken.values())[:2]
        for name, values in taken.items():
            ratios = [spread([b / v for b, v in zip(base, values, strict=True)]) for base in bases]
            more = f"{off[name]:.1f} | {first[name]:.1f}" if name in off else "– | –"
            print(f"| {name} | {statistics.median(values) * 1e3:.1f} | {ratios[0]} | {ratios[1]} | {more} |")


if __name__ == "__main__":
    main()
