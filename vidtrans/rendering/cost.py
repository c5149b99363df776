"""The cost that ``--dry-run`` estimates: time, disk and memory, from a short trial on the first frames.

What a trial writes goes to the system's temporary folder, and is deleted.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from vidtrans.inference.engine import Engine
from vidtrans.rendering.composite import Composer
from vidtrans.rendering.plan import RenderPlan
from vidtrans.settings import Table
from vidtrans.system import peak_memory
from vidtrans.temporal.window import filter_samples
from vidtrans.video.images.picture import encode_png, resize
from vidtrans.video.io.encoder import LosslessWriter
from vidtrans.video.io.sequence import picture_encoder

TRIAL_FRAMES = 12


def estimate(seconds: float, disk_bytes: float, cache_bytes: float = 0, held_bytes: int = 0) -> Table:
    """Return the table of a dry run: ``disk`` is the size of the result, ``cache`` what may be deleted.

    ``held_bytes``: memory that the job will fill, and the trial did not.
    """
    return {
        "estimate": {
            "seconds": round(seconds, 1),
            "disk_bytes": round(disk_bytes),
            "cache_bytes": round(cache_bytes),
            "memory_bytes": peak_memory() + held_bytes,  # a job that streams its frames needs no more than its trial
        }
    }


def after(seconds: float, table: Table) -> Table:
    """Add the seconds of reading the clip before the trial to an estimate: the job spends them too."""
    cost = table["estimate"]
    return {"estimate": cost | {"seconds": round(cost["seconds"] + seconds, 1)}}


def add_up(tables: Sequence[Table]) -> Table:
    """Add up the estimates of consecutive steps."""
    parts = [t["estimate"] for t in tables]
    memory = [p["memory_bytes"] for p in parts if p["memory_bytes"]]
    sums = {k: sum(p[k] for p in parts) for k in ("seconds", "disk_bytes", "cache_bytes")}
    return {"estimate": sums | {"memory_bytes": max(memory, default=None)}}


def without_result(table: Table) -> Table:
    """Return the estimate of a step that leaves nothing but what it caches."""
    return {"estimate": table["estimate"] | {"disk_bytes": 0}}


def estimate_pictures(frames: Iterator[Sequence[np.ndarray]], num_frames: int) -> Table:
    """Estimate the cost of a dataset: ``frames`` yields the pictures that are stored of each."""
    began = time.perf_counter()
    sizes = [sum(len(encode_png(p)) for p in pictures) for pictures in islice(frames, TRIAL_FRAMES)]
    share = num_frames / max(1, len(sizes))
    return estimate((time.perf_counter() - began) * share, sum(sizes) * share)


def estimate_render(plan: RenderPlan, engine: Engine) -> Table:
    """Estimate the cost of a render: the first frames go through all of it, in a temporary folder."""
    encoding, form, (width, height) = plan.settings.encoding, plan.picture, plan.input_size
    encode = picture_encoder(encoding.codec) if encoding.makes_pictures else None
    optimises = plan.model.optimises
    count = 1 if optimises else min(plan.num_frames, TRIAL_FRAMES)
    stop = plan.first + count
    if not optimises:  # what the first call costs, it costs once
        engine(np.zeros((engine.batch, height, width, plan.pairing.in_channels), np.uint8))
    began, unpacked = time.perf_counter(), 0
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as temporary, ExitStack() as stack:
        folder = Path(temporary)
        reader = stack.enter_context(plan.clip.reader(plan.form(plan.size), plan.threads))
        frames = stack.enter_context(closing(reader.frames(plan.first, stop, plan.clip.index)))
        renderer = stack.enter_context(closing(plan.renderer(engine)))
        compose = stack.enter_context(closing(Composer(plan, plan.first, stop))) if plan.is_composed else None
        with (
            closing(plan.segment(folder / "segment.nut")) as segment,
            closing(LosslessWriter(folder / "raw.nut", *plan.size, deep=plan.is_deep)) as raw,
        ):
            if plan.extraction is not None:  # any picture costs as much as the right one
                frames = (replace(frame, guides=(frame.rgb,)) for frame in frames)
            samples = renderer.stream(renderer.prepare(frame, (plan.first, stop)) for frame in frames)
            for sample, picture in filter_samples(samples, plan.settings.make_filter()):
                raw.write(sample.output)
                result = picture if compose is None else compose(sample, picture)
                segment.write(result, sample.pts)
                if encode:
                    unpacked += len(encode(resize(result, form.width, form.height)))
        seconds = time.perf_counter() - began
        encoded, raw_bytes = ((folder / n).stat().st_size for n in ("segment.nut", "raw.nut"))
    share = plan.num_frames / count
    return estimate(
        seconds * (_frames_like_the_first(plan) if optimises else share),
        (unpacked or encoded) * share,
        (encoded + raw_bytes) * share,
    )


def _frames_like_the_first(plan: RenderPlan) -> float:
    """Return as how many first frames of a shot a render by optimisation counts: the others take fewer steps."""
    assert plan.model.record is not None
    settings = plan.model.record.generator["settings"]
    shots = len({chunk.shot_first for chunk in plan.chunks})
    return float(shots + (plan.num_frames - shots) * settings["next_steps"] / settings["first_steps"])


def format_cost(table: Table) -> str:
    """Return an estimate in words."""
    cost = table["estimate"]
    parts = [f"about {duration(cost['seconds'])}", f"{size(cost['disk_bytes'])} on disk"]
    if cost["cache_bytes"]:
        parts.append(f"{size(cost['cache_bytes'])} of cache")
    if cost["memory_bytes"]:
        parts.append(f"{size(cost['memory_bytes'])} of memory")
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
