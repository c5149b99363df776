"""How large a farm can be: the driver with ten thousand clips, and a night simulated with chunks that were rendered."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.farm.cluster import THREADS
from benchmarks.farm.work import Row, Work, environment, vidtrans
from vidtrans.batch.report.farm_report import finish_s
from vidtrans.rendering.parts import MIN_PART_FRAMES
from vidtrans.store.cache_folder import FOLDER
from vidtrans.store.render_log import RenderLog

MANY = 10_000
LOOK_EVERY = 1_000
CHUNK_FRAMES = 30
SOURCE_FRAMES = 240  # that are rendered, to know how long chunks take
NIGHT_CLIPS, NIGHT_CHUNKS = 200, 12
LONG_CHUNKS = 2_400  # of one clip: 48 minutes at 25 frames a second
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
BENDS = 0.8  # of what as many workers could do


def job(number: int, context: Any) -> dict[str, Any]:
    """A clip that takes no time, with a table as long as a clip's."""
    told = {f"figure_{n}": float(number) for n in range(24)}
    return {"output": f"renders/{number:05d}.mp4", "frames": 3, "seconds": 0.0, "cached": False, **told}


def memory_mb() -> float:
    """Return how much memory this process holds."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def drive(folder: Path) -> None:
    """Run ten thousand clips on a cluster of this machine; print its seconds and what memory it took on the way."""
    from vidtrans.batch.batch_options import BatchOptions
    from vidtrans.batch.inputs import Item
    from vidtrans.batch.jobs import run_batch
    from vidtrans.core.events import BatchStatus, Event
    from vidtrans.session import Context

    held: dict[int, float] = {}

    def look(event: Event) -> None:
        if isinstance(event, BatchStatus) and event.done // LOOK_EVERY not in held:
            held[event.done // LOOK_EVERY] = memory_mb()

    items = [Item(Path(f"{n:05d}.mp4"), Path(f"renders/{n:05d}.mp4"), partial(job, n), 1) for n in range(MANY)]
    context = Context(cache_dir=folder / FOLDER, device="cpu", report=look)
    began, own = time.monotonic(), time.process_time()
    outcomes, summary = run_batch(items, "stylize", folder, BatchOptions(executor="ray"), context)
    seconds, own = time.monotonic() - began, time.process_time() - own
    done = sum(outcome.state == "done" for outcome in outcomes)
    size = summary.stat().st_size
    print(json.dumps({"seconds": seconds, "own_s": own, "done": done, "held": held, "summary": size}))


def measure_driver(work: Work) -> Iterator[Row]:
    """Yield what ten thousand clips cost the process that hands them out."""
    table = _drive(work)
    held = {int(thousand): mb for thousand, mb in table["held"].items()}
    first, last = held[min(k for k in held if k > 0)], held[max(held)]
    own = f"{1e3 * table['own_s'] / MANY:.1f} ms of the command's own time for each"
    yield Row(f"{MANY} clips", f"{table['done']} done, {own}", table["seconds"])
    yield Row("memory after 1,000", f"{first:.0f} MB")
    yield Row("memory at the end", f"{last:.0f} MB, {1e3 * (last - first) / (MANY - LOOK_EVERY):.1f} kB for each clip")
    yield Row("summary", f"{table['summary'] / 1e6:.1f} MB")


def _drive(work: Work) -> dict[str, Any]:
    place = work.fresh("driver")
    command = [sys.executable, "-c", f"from benchmarks.farm.scaling import drive, Path; drive(Path({str(place)!r}))"]
    variables = environment(OMP_NUM_THREADS=THREADS, PYTHONPATH=os.getcwd())
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    table: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return table


def draw_curve(work: Work) -> Iterator[Row]:
    """Yield how much faster so many workers are, of whole clips and of one long one, and where each bends.

    Seconds of chunks, of what a clip takes beside them, of a start and of a handing out are measured here; chunks of a
    night are drawn from those that were rendered.
    """
    chunks, task_s, start_s = _measure_chunks(work)
    dispatch_s = _drive(work)["own_s"] / MANY
    mean = sum(chunks) / len(chunks)
    yield Row("a chunk", f"{mean:.2f} s ({min(chunks):.2f} to {max(chunks):.2f})")
    yield Row("beside a clip's chunks", f"{task_s:.2f} s; start {start_s:.1f} s; handing out {1e3 * dispatch_s:.1f} ms")
    drawn = random.Random(0)
    clips = [sum(drawn.choices(chunks, k=NIGHT_CHUNKS)) for _ in range(NIGHT_CLIPS)]
    long = drawn.choices(chunks, k=LONG_CHUNKS)
    for what, ideal, tasks_of in (
        (f"{NIGHT_CLIPS} clips of {NIGHT_CHUNKS} chunks", sum(clips), lambda workers: clips),
        (f"one clip of {LONG_CHUNKS} chunks", sum(long), partial(_parts, long)),
    ):
        speeds = {
            n: ideal / finish_s(tasks_of(n), n, start_s=start_s, task_s=task_s, dispatch_s=dispatch_s) for n in WORKERS
        }
        for workers, speed in speeds.items():
            share = f"{speed / workers:.2f} of what they could"
            yield Row(f"{what}, {workers} workers", f"{speed:.1f} times as fast, {share}")
        bent = [workers for workers, speed in speeds.items() if speed / workers < BENDS]
        yield Row(f"{what} bends", f"at {bent[0]} workers" if bent else "not")


def _parts(chunks: Sequence[float], workers: int) -> list[float]:
    """Return the seconds of the parts that so many workers get, of neighbouring chunks."""
    count = min(workers, len(chunks) * CHUNK_FRAMES // MIN_PART_FRAMES)
    edges = [len(chunks) * n // count for n in range(count + 1)]
    return [sum(chunks[first:stop]) for first, stop in pairwise(edges)]


def _measure_chunks(work: Work) -> tuple[list[float], float, float]:
    """Render the clip at its own size; return seconds of its chunks, of what is beside them, and of a start."""
    place = work.fresh("chunks")
    flags = ("--set", f"rendering.chunk_frames={CHUNK_FRAMES}", "--end", SOURCE_FRAMES, "--json")
    began = time.monotonic()
    done = vidtrans(
        *("stylize", work.clip, "--model", work.model, "-o", "made.mp4", *flags), folder=place, OMP_NUM_THREADS=THREADS
    )
    wall = time.monotonic() - began
    table = json.loads(done.stdout)
    chunks = [line["ended"] - line["began"] for line in RenderLog(place / FOLDER).lines()]
    return chunks, table["seconds"] - sum(chunks), wall - table["seconds"]
