"""What a batch costs beside its jobs, and whether memory grows with their number.

    python -m benchmarks.speed.batch CLIP [--clips 8] [--frames 60] [--rounds 3] [--jobs 1,2] [--model NAME]
    python -m benchmarks.speed.batch --tiny 10000

The first renders parts of a clip one after another in one process, by the same function, and then as batches, in turns:
the ratio is what processes, messages and the summary cost, or with several at a time what they gain. The second makes
so many clips of two frames, renders them unchanged, and prints the memory of both processes on the way (Linux).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.clips import write_clip, write_parts
from benchmarks.tables import head, row

ALONE = """
import sys
from pathlib import Path
from vidtrans.session import Context
from vidtrans.config.recipe import render_recipe
from vidtrans.stylizing.requested_render import stylize
from vidtrans.stylizing.requests import StylizeRequest
context = Context()
for path in sorted(Path("clips").iterdir()):
    output = Path("out") / f"{path.stem}.{sys.argv[1]}.mp4"
    stylize(StylizeRequest(path, (sys.argv[1],), output, render_recipe(None, {}), in_batch=True), context)
"""


def compare(options: argparse.Namespace, place: Path) -> None:
    """Print the seconds of clips in one process, and as batches."""
    write_parts(place / "clips", options.clip, options.clips, options.frames)
    made: list[str] = []

    def render(command: list[str]) -> None:
        for old in (".vidtrans", "out"):
            shutil.rmtree(place / old, ignore_errors=True)
        subprocess.run(command, cwd=place, check=True, capture_output=True)

    def timed(work: partial[None]) -> float:
        seconds = harness.seconds_of(work)
        made.append(harness.digest_tree(place / "out", ["vidtrans-batch.json"]))
        return seconds

    works = {"one after another, one process": partial(render, [sys.executable, "-c", ALONE, options.model])}
    for jobs in options.jobs:
        batch = ("stylize", "clips", "--model", options.model, "-o", "out", "-q", "--jobs", jobs)
        works[f"a batch, --jobs {jobs}"] = partial(render, harness.vidtrans_command(*batch))
    taken = harness.in_turns(works, options.rounds, warm_up=0, measure=timed)
    print(f"{options.clips} clips of {options.frames} frames; results alike: {len(set(made)) == 1}")
    head("", "seconds", "over one process")
    base = next(iter(taken.values()))
    for route, values in taken.items():
        row(route, harness.spread(values, 1), harness.spread(harness.ratios(values, base), 3))


def many(count: int, place: Path) -> None:
    """Print memory and seconds while so many clips are rendered unchanged."""
    (place / "clips").mkdir()
    for number in range(count):
        shades = [np.full((32, 32, 3), (number * 7 + step * 50) % 256, np.uint8) for step in range(2)]
        write_clip(place / "clips" / f"{number:05d}.mp4", shades)
    began = time.monotonic()
    command = harness.vidtrans_command("stylize", "clips", "--model", "identity", "-o", "out", "-q")
    batch = subprocess.Popen(command, cwd=place)
    head("done", "seconds", "MB, gives the jobs", "MB, does them")
    shown = 0
    while batch.poll() is None:
        done = sum(1 for _ in (place / "out").glob("*.mp4"))
        if done >= shown:
            workers = subprocess.run(["pgrep", "-P", str(batch.pid)], capture_output=True, text=True).stdout.split()
            sizes = [f"{harness.resident_mb(pid):.0f}" for pid in (batch.pid, *workers[:1])]
            row(done, f"{time.monotonic() - began:.1f}", *sizes)
            shown = done + max(1, count // 10)
        time.sleep(0.2)
    spent = time.monotonic() - began
    summary = json.loads((place / "out" / "vidtrans-batch.json").read_text())
    jobs = sum(item["seconds"] for item in summary["items"])
    print(f"\n{summary['done']} done, {summary['failed']} failed in {spent:.1f} s; the jobs took {jobs:.1f} s of it")


def main() -> None:
    parser = harness.parser(__doc__, rounds=3)
    parser.add_argument("clip", type=Path, nargs="?")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--jobs", type=harness.comma_list, default=["1", "2"])
    parser.add_argument("--model", default="flower")
    parser.add_argument("--tiny", type=int, default=0)
    options = parser.parse_args()
    if not options.tiny and not options.clip:
        parser.error("give a clip, or --tiny")
    with harness.work_folder() as place:
        if options.tiny:
            many(options.tiny, place)
        else:
            compare(options, place)


if __name__ == "__main__":
    harness.run(main)
