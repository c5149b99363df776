"""Make a dataset: plan it, write its pictures, or find the one that is there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from vidtrans.core.costs import TRIAL_FRAMES, after, estimate
from vidtrans.core.errors import UsageError
from vidtrans.core.files import finish_replacing, link_target
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Dataset, open_dataset, write_index
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.folder import existing_dataset, write_dataset
from vidtrans.output.places import check_parents
from vidtrans.session import Context
from vidtrans.video.images.picture import encode_png


def make_dataset(wanted: DatasetSpec, output: Path, context: Context, *, restore: bool = False) -> Table:
    """Make a dataset folder, and return what is reported of it.

    The folder is the user's: once made it is not touched again, pictures deleted from it stay deleted, unless
    ``restore``. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it is a place, not a name", "give the new folder a name")
    check_parents(output)
    if not context.dry_run:
        finish_replacing(link_target(output))
    existing = existing_dataset(output, wanted.digest(context), context) if output.exists() else None
    preset, tables = wanted.recipe.preset, wanted.training_tables
    if existing is not None and (existing.preset, existing.recipe) != (preset, tables) and not context.dry_run:
        existing = replace(existing, preset=preset, recipe=tables)
        write_index(output, existing)
        context.note(f"the pictures are the same; training will follow preset '{preset}'")
    if existing is not None and not (restore and existing.num_missing):
        if existing.num_missing:
            context.note(f"{existing.num_missing} deleted pictures stay deleted (--restore brings them back)")
        return _report(existing, output, began, cached=True)
    planned = wanted.plan(output, context)
    if context.dry_run:
        reading = time.monotonic() - began
        costs = after(reading, estimate_pictures(planned.first_pictures(), planned.plan.num_stored))
        return _report(planned.dataset, output, began, cached=False) | {"dry_run": True} | costs
    write_dataset(planned, output, existing, context)
    context.trim_cache()
    return _report(open_dataset(output), output, began, cached=False)


def estimate_pictures(frames: Iterator[Sequence[np.ndarray]], num_frames: int) -> Table:
    """Estimate the cost of a dataset: ``frames`` yields the pictures that are stored of each."""
    began = time.perf_counter()
    sizes = [sum(len(encode_png(p)) for p in pictures) for pictures in islice(frames, TRIAL_FRAMES)]
    share = num_frames / max(1, len(sizes))
    return estimate((time.perf_counter() - began) * share, sum(sizes) * share)


def _report(dataset: Dataset, output: Path, began: float, *, cached: bool) -> Table:
    return {
        "output": str(output),
        "frames": sum(bool(r.names) for r in dataset.records) - dataset.num_missing,
        "left_out": sum(r.role == "dropped" for r in dataset.records),
        "pairs": len(dataset.pairs),
        "held_out": len(dataset.role("val")),
        "shots": len({(r.source, r.shot) for r in dataset.records}),
        "pairing": dataset.pairing_table["name"],
        **({"domains": [_domain_report(dataset, k) for k in range(len(dataset.domains))]} if dataset.domains else {}),
        "seconds": round(time.monotonic() - began, 3),
        "cached": cached,
    }


def _domain_report(dataset: Dataset, number: int) -> Table:
    own = [pair for pair in dataset.pairs if pair.domain == number]
    held_out = sum(pair.role == "val" for pair in own)
    return {"name": dataset.domains[number], "frames": len(own), "held_out": held_out}
