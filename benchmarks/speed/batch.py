"""What a batch costs beside its jobs, and whether memory grows with their number.

    python -m benchmarks.speed.batch CLIP --cache DIR [--clips 8] [--frames 60] [--rounds 3] [--jobs 1,2] [--model NAME]
    python -m benchmarks.speed.batch --tiny 10000 --cache DIR

The first renders parts of a clip one after another in one process, by the same function, and then as batches, in turns:
the ratio is what processes, messages and the summary cost, or with several at a time what they gain. The second makes
so many clips of two frames, renders them unchanged, and prints the memory of both processes on the way (Linux).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

ALONE = """
import sys
from pathlib import Path
from vidtrans.session import Context
from vidtrans.config.recipe import render_recipe
from vidtrans.stylizing.requested_render import StylizeRequest, stylize
context = Context()
for path in sorted(Path("clips").iterdir()):
    output = Path("out") / f"{path.stem}.{sys.argv[1]}.mp4"
    stylize(StylizeRequest(path, (sys.argv[1],), output, render_recipe(None, {}), in_batch=True), context)
"""


def parts_of(clip: Path, folder: Path, count: int, frames: int) -> None:
    """Clips of so many frames at 256 lines, one after another of a longer one, which is gone through again."""
    with closing(av.open(str(clip))) as container:
        shown = [f.reformat(height=256, width=f.width * 256 // f.height // 2 * 2) for f in container.decode(video=0)]
    for number in range(count):
        write(folder / f"{number:03d}.mp4", [shown[(number * 7 + i) % len(shown)] for i in range(frames)])


def write(path: Path, frames: list[av.VideoFrame]) -> None:
    with closing(av.open(str(path), "w")) as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def seconds(command: list[str], place: Path) -> float:
    for old in (".vidtrans", "out"):
        shutil.rmtree(place / old, ignore_errors=True)
    began = time.perf_counter()
    subprocess.run([sys.executable, *command], cwd=place, check=True, capture_output=True)
    return time.perf_counter() - began


def compare(options: argparse.Namespace, place: Path) -> None:
    (place / "clips").mkdir()
    parts_of(options.clip, place / "clips", options.clips, options.frames)
    routes = {"one after another, one process": ["-c", ALONE, options.model]}
    for jobs in options.jobs.split(","):
        batch = ["-m", "vidtrans", "stylize", "clips", "--model", options.model, "-o", "out", "-q", "--jobs", jobs]
        routes[f"a batch, --jobs {jobs}"] = batch
    taken: dict[str, list[float]] = {route: [] for route in routes}
    made = []
    for _ in range(options.rounds):
        for route, command in routes.items():
            taken[route].append(seconds(command, place))
            made.append([p.read_bytes() for p in sorted((place / "out").glob("*.mp4"))])
    base = next(iter(taken.values()))
    print(f"{options.clips} clips of {options.frames} frames; results alike: {all(m == made[0] for m in made)}")
    print("| | seconds | over one process |\n|---|---|---|")
    for route, values in taken.items():
        ratios = [v / b for v, b in zip(values, base, strict=True)]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"
        print(f"| {route} | {statistics.median(values):.1f} | {spread} |")


def many(count: int, place: Path) -> None:
    (place / "clips").mkdir()
    for number in range(count):
        shades = [np.full((32, 32, 3), (number * 7 + step * 50) % 256, np.uint8) for step in range(2)]
        frames = [av.VideoFrame.from_ndarray(shade, format="rgb24") for shade in shades]
        write(place / "clips" / f"{number:05d}.mp4", frames)
    command = [sys.executable, "-m", "vidtrans", "stylize", "clips", "--model", "identity", "-o", "out", "-q"]
    began = time.monotonic()
    batch = subprocess.Popen(command, cwd=place)
    print("| done | seconds | MB, gives the jobs | MB, does them |\n|---|---|---|---|")
    shown = 0
    while batch.poll() is None:
        done = sum(1 for _ in (place / "out").glob("*.mp4")) if (place / "out").exists() else 0
        if done >= shown:
            told = subprocess.run(["pgrep", "-P", str(batch.pid)], capture_output=True, text=True).stdout.split()
            sizes = [memory(batch.pid), *(memory(int(pid)) for pid in told[:1])]
            print(f"| {done} | {time.monotonic() - began:.1f} | {' | '.join(f'{s:.0f}' for s in sizes)} |", flush=True)
            shown = done + max(1, count // 10)
        time.sleep(0.2)
    spent = time.monotonic() - began
    summary = json.loads((place / "out" / "vidtrans-batch.json").read_text())
    jobs = sum(row["seconds"] for row in summary["items"])
    print(f"\n{summary['done']} done, {summary['failed']} failed in {spent:.1f} s; the jobs took {jobs:.1f} s of it")


def memory(pid: int) -> float:
    """Resident, in MB; 0 where the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=lambda text: Path(text).resolve(), nargs="?")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--model", default="flower")
    parser.add_argument("--tiny", type=int, default=0)
    options = parser.parse_args()
    place = options.cache.resolve() / "batch"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    if options.tiny:
        many(options.tiny, place)
    elif options.clip:
        compare(options, place)
    else:
        parser.error("give a clip, or --tiny")
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
