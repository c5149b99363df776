"""What ``--dry-run`` says beforehand: time, disk and memory, from a short trial on the first frames.

Nothing is left behind: what a trial writes goes to the system's temporary folder, and is deleted.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np

from vidtrans.config.rendering import RenderingSettings
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.flow_propagation import Carrier, Draft
from vidtrans.rendering.frame_renderer import Inputs, painted, prepared
from vidtrans.rendering.recurrence import Memory
from vidtrans.settings import Table
from vidtrans.temporal.stream import Filter, Sample, filtered
from vidtrans.video.images.picture import encode_png, resize
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.encoder import LosslessWriter
from vidtrans.video.io.encoding import PictureFormat

TRIAL_FRAMES = 12


class Compose(Protocol):
    """Puts a picture together with its source."""

    def __call__(self, sample: Sample, picture: np.ndarray) -> np.ndarray: ...

    def close(self) -> None: ...


class Segment(Protocol):
    """Encodes frames, each at the times at which it is shown."""

    def write(self, picture: np.ndarray, stamps: Sequence[int]) -> None: ...

    def close(self) -> None: ...


class Render(Protocol):
    """What of a render job a trial needs."""

    first: int
    stop: int
    size: tuple[int, int]
    depth: int
    picture: PictureFormat
    pairing: Pairing
    rendering: RenderingSettings
    draft: Draft | None

    def frames(self, size: tuple[int, int], start: int, stop: int) -> Generator[Frame, None, None]: ...

    def inputs(self) -> Inputs: ...

    def memory(self) -> Memory | None: ...

    def segment(self, path: Path) -> Segment: ...

    def composer(self, first: int, stop: int) -> Compose: ...


def estimate(seconds: float, disk_bytes: float, cache_bytes: float = 0, held_bytes: int = 0) -> Table:
    """The table that dry runs report: ``disk`` is what stays as the result, ``cache`` what may be deleted.

    ``held_bytes``: memory that the job will fill, and the trial did not.
    """
    peak = peak_memory()
    return {
        "estimate": {
            "seconds": round(seconds, 1),
            "disk_bytes": round(disk_bytes),
            "cache_bytes": round(cache_bytes),
            "memory_bytes": None if peak is None else peak + held_bytes,
        }
    }


def after(seconds: float, table: Table) -> Table:
    """An estimate with the seconds that reading the clip took before the trial: the job itself spends them too."""
    found = table["estimate"]
    return {"estimate": found | {"seconds": round(found["seconds"] + seconds, 1)}}


def add_up(tables: Sequence[Table]) -> Table:
    """The estimate of several steps, one after another."""
    parts = [t["estimate"] for t in tables]
    memory = [p["memory_bytes"] for p in parts if p["memory_bytes"]]
    sums = {k: sum(p[k] for p in parts) for k in ("seconds", "disk_bytes", "cache_bytes")}
    return {"estimate": sums | {"memory_bytes": max(memory, default=None)}}


def peak_memory() -> int | None:
    """The most memory that this process has held, in bytes: after a trial, what the whole job holds where all of it
    is streamed. None where the system does not say.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def estimate_pictures(frames: Iterator[Sequence[np.ndarray]], num_frames: int) -> Table:
    """Of a dataset: ``frames`` yields the pictures that are stored of each."""
    began, count, size = time.perf_counter(), 0, 0
    for pictures in islice(frames, TRIAL_FRAMES):
        count += 1
        size += sum(len(encode_png(p)) for p in pictures)
    share = num_frames / max(1, count)
    return estimate((time.perf_counter() - began) * share, size * share)


def estimate_render(
    job: Render, engine: Engine, method: Filter, encode: Callable[[np.ndarray], bytes] | None = None
) -> Table:
    """Of a render: the first frames go through all of it, in a temporary folder.

    ``encode``: makes the bytes of a picture, where the result is unpacked into pictures.
    """
    total = job.stop - job.first
    count = min(total, TRIAL_FRAMES)
    engine(_blank_batch(job, engine))  # what the first call costs, it costs once
    began, unpacked = time.perf_counter(), 0
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as place:
        folder = Path(place)
        with (
            closing(job.frames(job.size, job.first, job.first + count)) as frames,
            closing(job.inputs()) as inputs,
            closing(job.segment(folder / "segment.nut")) as segment,
            closing(LosslessWriter(folder / "raw.nut", *job.size, deep=job.depth > 8)) as raw,
            closing(job.composer(job.first, job.first + count)) as compose,
        ):
            shot, known = lambda _: (job.first, job.first + count), lambda _: None
            given = prepared(frames, job.first, shot, inputs, known, job.draft)
            deep, reuse = job.depth > 8, job.rendering.reuse
            samples = painted(given, engine, deep=deep, memory=job.memory(), reuse=reuse)
            if job.draft:
                samples = Carrier()(samples)
            for sample, picture in filtered(samples, method):
                raw.write(sample.output)
                made = compose(sample, picture)
                segment.write(made, (sample.pts,))
                if encode:
                    unpacked += len(encode(resize(made, job.picture.width, job.picture.height)))
        seconds = time.perf_counter() - began
        encoded, kept = ((folder / n).stat().st_size for n in ("segment.nut", "raw.nut"))
    share = total / count
    return estimate(seconds * share, (unpacked or encoded) * share, (encoded + kept) * share)


def _blank_batch(job: Render, engine: Engine) -> np.ndarray:
    width, height = job.size
    return np.zeros((engine.batch, height, width, job.pairing.in_channels), np.uint8)


def spoken(table: Table) -> str:
    """An estimate in words."""
    found = table["estimate"]
    parts = [f"about {duration(found['seconds'])}", f"{size(found['disk_bytes'])} on disk"]
    if found["cache_bytes"]:
        parts.append(f"{size(found['cache_bytes'])} of cache")
    if found["memory_bytes"]:
        parts.append(f"{size(found['memory_bytes'])} of memory")
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 5 min``."""
    if seconds < 100:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def size(num_bytes: float) -> str:
    """``640 kB``, ``1.2 GB``."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if num_bytes >= scale:
            value = num_bytes / scale
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{max(1, round(num_bytes / 1e3))} kB"
