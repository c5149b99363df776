"""Whole processes beside the classic route with the same weights: ratios, and the share of the engine's own rate.

    python -m benchmarks.speed.whole [DATA] --cache DIR [--model unet-256] [--seconds 10] [--rounds 5]
                                     [--only classic,off,window,draft] [--growth 10,60,300 | --sides 256,512,1024]

Each route is a process of its own, from its start to the finished file with its sound, on the same square clip. The
engine's own rate is that of pictures that lie ready, measured in the same rounds. With ``--growth`` the seconds, and
with ``--sides`` the size, of the clip change, the routes of ours are timed once, and the exponent of a power law is
fitted: 1 is linear (in pixels, for sizes).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.speed.inputs import RATE, model_path, source_of, square_clip
from benchmarks.tables import head, row

CLASSIC = Path(__file__).resolve().with_name("classic.py")
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


class Routes:
    """The ways from a clip to its render, on clips and a model that are made where they are not there."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.source = options, source_of(options.data)
        self.model = model_path(options.model, self.source, options.cache)

    def run(self, route: str, clip: Path, side: int) -> None:
        with tempfile.TemporaryDirectory(dir=self.options.cache) as place:
            if route == "classic":
                command = [sys.executable, str(CLASSIC), str(clip), str(self.model), "."]
                subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
                return
            more = [*OURS[route], *([self.options.every] if route == "draft" else [])]
            render = ("stylize", clip, "--model", self.model, "-q", "--size", side, "-o", "out.mp4")
            harness.vidtrans(*render, *more, folder=Path(place))

    def engine_rate(self) -> float:
        """Return the pictures a second of pictures that lie ready."""
        command = [sys.executable, "-c", ENGINE, str(self.model), "256"]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def compare(self, seconds: float, routes: list[str]) -> None:
        """Print the seconds of all routes, the ratios and the share of the engine's rate."""
        clip, rates = square_clip(self.source, 256, seconds, self.options.cache), list[float]()
        works = {route: partial(self.run, route, clip, 256) for route in routes}
        works["engine"] = lambda: rates.append(self.engine_rate())
        taken = harness.in_turns(works, self.options.rounds, warm_up=0)
        taken.pop("engine")
        head(f"{seconds:g} s of 256x256", "seconds", "times as fast", f"of the engine's {harness.spread(rates, 0)}/s")
        for route, values in taken.items():
            found = harness.spread(harness.ratios(taken.get("classic", values), values))
            shares = [100 * seconds * RATE / v / rate for v, rate in zip(values, rates, strict=True)]
            row(route, harness.spread(values, 1), found, f"{harness.spread(shares, 0)} %")

    def grow(self, routes: list[str], cases: list[tuple[int, float]]) -> None:
        """Print seconds over sides and seconds of a clip, and the exponent of their growth in pixels."""
        pixels = [side * side * seconds for side, seconds in cases]
        for route in routes:
            clips = [square_clip(self.source, *case, self.options.cache) for case in cases]
            spent = [
                harness.seconds_of(partial(self.run, route, clip, side))
                for clip, (side, _) in zip(clips, cases, strict=True)
            ]
            slope = np.polyfit(np.log(pixels), np.log(spent), 1)[0]
            told = ", ".join(f"{s}² {t:g} s: {v:.1f} s" for (s, t), v in zip(cases, spent, strict=True))
            print(f"{route}: {told}; exponent {slope:.2f}", flush=True)


def main() -> None:
    parser = harness.parser(__doc__, cache=True, rounds=5)
    parser.add_argument("data", type=Path, nargs="?", help="a moving texture is rendered without it")
    parser.add_argument("--model", default="unet-256")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--every", type=int, default=3, help="of the draft")
    parser.add_argument("--only", type=harness.comma_list, default=["classic", *OURS])
    parser.add_argument("--growth", type=harness.comma_list)
    parser.add_argument("--sides", type=harness.comma_list)
    options = parser.parse_args()
    routes = Routes(options)
    print(harness.machine())
    if options.growth:
        routes.grow(options.only, [(256, float(seconds)) for seconds in options.growth])
    elif options.sides:
        routes.grow(options.only, [(int(side), options.seconds) for side in options.sides])
    else:
        routes.compare(options.seconds, options.only)


if __name__ == "__main__":
    harness.run(main)
