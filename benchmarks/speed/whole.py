"""Whole processes beside the classic route with the same weights: ratios, and the share of the engine's own rate.

    python -m benchmarks.speed.whole [../shared/data] --cache DIR [--model unet-256] [--seconds 10] [--rounds 5]
                                     [--only classic,off,window,draft] [--growth 10,60,300 | --sides 256,512,1024]

Each route is a process of its own, from its start to the finished file with its sound, on the same square clip. The
engine's own rate is that of pictures that lie ready, measured in the same rounds. With ``--growth`` the seconds, and
with ``--sides`` the size, of the clip change, the routes of ours are timed once, and the exponent of a power law is
fitted: 1 is linear (in pixels, for sizes).
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.things import RATE, arguments, clip_in, clip_of, machine, model_of, spread

HERE = Path(__file__).resolve().parent
OURS = {"off": ["--temporal", "off"], "window": ["--temporal", "window"], "draft": ["--temporal", "off", "--draft"]}
ENGINE = """
import sys, time, numpy as np
from pathlib import Path
from vidtrans.inference.device import resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.models.model_file import load_generator
generator, record = load_generator(Path(sys.argv[1]))
engine, side = TorchEngine(generator, resolve_device("auto")), int(sys.argv[2])
shown = np.random.default_rng(0).integers(0, 256, (32, side, side, record.in_channels), np.uint8)
engine(shown[:8])
began = time.perf_counter()
engine(shown)
print(32 / (time.perf_counter() - began))
"""


class Bench:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.source = clip_in(options.data)
        self.model = model_of(options.model, lambda: self.clip(256, 10), options.cache)

    def clip(self, side: int, seconds: float) -> Path:
        name = f"{'flower' if self.source else 'texture'}-{side}-{seconds:g}.mp4"
        return clip_of(self.source, side, seconds, self.options.cache / name).resolve()

    def seconds(self, route: str, clip: Path, side: int) -> float:
        """Of a route, as a process."""
        with tempfile.TemporaryDirectory(dir=self.options.cache) as place:
            if route == "classic":
                command = [sys.executable, str(HERE / "classic.py"), str(clip), str(self.model), "."]
            else:
                more = [*OURS[route], str(self.options.every)] if route == "draft" else OURS[route]
                command = [sys.executable, "-m", "vidtrans", "stylize", str(clip), "--model", str(self.model), "-q"]
                command += ["--size", str(side), "-o", "out.mp4", *more]
            began = time.perf_counter()
            subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
            return time.perf_counter() - began

    def engine_rate(self, side: int) -> float:
        """Pictures a second, of pictures that lie ready."""
        command = [sys.executable, "-c", ENGINE, str(self.model), str(side)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def compare(self, seconds: float, routes: list[str]) -> None:
        clip, rates = self.clip(256, seconds), []
        taken: dict[str, list[float]] = {route: [] for route in routes}
        for _ in range(self.options.rounds):
            for route in routes:
                taken[route].append(self.seconds(route, clip, 256))
            rates.append(self.engine_rate(256))
        print(f"\n| {seconds:g} s of 256x256 | seconds | times as fast | of the engine's {spread(rates, 0)}/s |")
        print("|---|---|---|---|")
        for route, values in taken.items():
            base = taken.get("classic", values)
            ratios = [b / v for b, v in zip(base, values, strict=True)]
            shares = [seconds * RATE / v / rate for v, rate in zip(values, rates, strict=True)]
            print(f"| {route} | {spread(values, 1)} | {spread(ratios)} | {spread([100 * s for s in shares], 0)} % |")

    def grow(self, routes: list[str], cases: list[tuple[int, float]]) -> None:
        """``cases``: sides and seconds."""
        for route in routes:
            spent = [self.seconds(route, self.clip(*case), case[0]) for case in cases]
            pixels = [side * side * seconds for side, seconds in cases]
            slope = np.polyfit(np.log(pixels), np.log(spent), 1)[0]
            told = ", ".join(f"{s}² {t:g} s: {v:.1f} s" for (s, t), v in zip(cases, spent, strict=True))
            steps = [
                math.log(b / a) / math.log(q / p)
                for a, b, p, q in zip(spent[:-1], spent[1:], pixels[:-1], pixels[1:], strict=True)
            ]
            print(f"{route}: {told}; exponent {slope:.2f} (from step to step {', '.join(f'{s:.2f}' for s in steps)})")


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--every", type=int, default=3, help="of the draft")
    parser.add_argument("--only", default="classic,off,window,draft")
    parser.add_argument("--growth", default="")
    parser.add_argument("--sides", default="")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    bench, routes = Bench(options), options.only.split(",")
    print(machine())
    if options.growth:
        bench.grow(routes, [(256, float(seconds)) for seconds in options.growth.split(",")])
    elif options.sides:
        bench.grow(routes, [(int(side), options.seconds) for side in options.sides.split(",")])
    else:
        bench.compare(options.seconds, routes)


if __name__ == "__main__":
    main()
