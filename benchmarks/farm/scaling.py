"""Measure the time and memory that a batch of ten thousand clips costs the command that submits them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.farm.work import THREADS, Row, Work
from benchmarks.harness import Missing, environment, resident_mb
from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.inputs import Item
from vidtrans.batch.jobs import run_batch
from vidtrans.core.events import BatchStatus, Event
from vidtrans.session import Context
from vidtrans.store.cache import FOLDER

MANY = 10_000
LOOK_EVERY = 1_000


def job(number: int, context: Any) -> dict[str, Any]:
    """A clip that takes no time, with a table as long as a clip's."""
    told = {f"figure_{n}": float(number) for n in range(24)}
    return {"output": f"renders/{number:05d}.mp4", "frames": 3, "seconds": 0.0, "cached": False, **told}


def drive(folder: Path) -> None:
    """Run ten thousand clips on a cluster of this machine; print its seconds and what memory it took on the way."""
    held: dict[int, float] = {}

    def look(event: Event) -> None:
        if isinstance(event, BatchStatus) and event.done // LOOK_EVERY not in held:
            held[event.done // LOOK_EVERY] = resident_mb()

    items = [Item(Path(f"{n:05d}.mp4"), Path(f"renders/{n:05d}.mp4"), partial(job, n), 1) for n in range(MANY)]
    context = Context(cache_dir=folder / FOLDER, device="cpu", report=look)
    began, own = time.monotonic(), time.process_time()
    outcomes, summary = run_batch(items, "stylize", folder, BatchOptions(executor="ray"), context)
    seconds, own = time.monotonic() - began, time.process_time() - own
    done = sum(outcome.state == "done" for outcome in outcomes)
    size = summary.stat().st_size
    print(json.dumps({"seconds": seconds, "own_s": own, "done": done, "held": held, "summary": size}))


def measure_driver(work: Work) -> Iterator[Row]:
    """Yield what ten thousand clips cost the process that hands them out. Raises Missing without Ray."""
    if find_spec("ray") is None:
        raise Missing("Ray is not installed: pip install 'vidtrans[cluster]'")
    place = work.fresh("driver")
    command = [sys.executable, "-c", f"from benchmarks.farm.scaling import drive, Path; drive(Path({str(place)!r}))"]
    done = subprocess.run(command, env=environment(**THREADS), capture_output=True, text=True, check=True)
    table = json.loads(done.stdout.splitlines()[-1])
    held = {int(thousand): mb for thousand, mb in table["held"].items()}
    first, last = held[min(k for k in held if k > 0)], held[max(held)]
    own = f"{1e3 * table['own_s'] / MANY:.1f} ms of the command's own time for each"
    yield Row(f"{MANY} clips", f"{table['done']} done, {own}", table["seconds"])
    yield Row("memory after 1,000", f"{first:.0f} MB")
    yield Row("memory at the end", f"{last:.0f} MB, {1e3 * (last - first) / (MANY - LOOK_EVERY):.1f} kB for each clip")
    yield Row("summary", f"{table['summary'] / 1e6:.1f} MB")
