"""The first step: videos in, a dataset folder out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vidtrans.batch.inputs import counterparts, gathered, items_for
from vidtrans.batch.jobs import Options, run_batch
from vidtrans.batch.summary import Outcome
from vidtrans.config.recipe import Recipe
from vidtrans.data.dataset import Dataset, open_dataset, write_index
from vidtrans.data.dataset_planning import SUFFIX, DatasetSpec, default_output
from vidtrans.data.folder import existing_dataset, write_dataset
from vidtrans.errors import UsageError
from vidtrans.files import finish_replacing, link_target
from vidtrans.output.target import check_parents, refuse_link
from vidtrans.rendering.cost import after, estimate_pictures
from vidtrans.requests import MakeDatasetRequest
from vidtrans.session import Context
from vidtrans.settings import Table


def make_dataset(request: MakeDatasetRequest, context: Context) -> Table:
    """Make a dataset folder from videos, or from a folder of pairs, and return what is reported of it.

    The folder is the user's: once made it is not touched again, pictures deleted from it stay deleted, unless
    ``restore``. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    output, preset = request.output or refuse_link(default_output(request.videos)), request.recipe.preset
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it is a place, not a name", "give the new folder a name")
    check_parents(output)
    wanted = DatasetSpec(request.videos, request.recipe, request.target, request.start, request.end)
    if not context.dry_run:
        finish_replacing(link_target(output))
    held = existing_dataset(output, wanted.digest(context), context) if output.exists() else None
    if held is not None and (held.preset, held.recipe) != (preset, wanted.training_tables) and not context.dry_run:
        held = replace(held, preset=preset, recipe=wanted.training_tables)
        write_index(output, held)
        context.note(f"the pictures are the same; training will follow preset '{preset}'")
    if held is not None and not (request.restore and held.num_missing):
        if held.num_missing:
            context.note(f"{held.num_missing} deleted pictures stay deleted (--restore brings them back)")
        return _result(held, output, began, cached=True)
    planned = wanted.plan(output, context)
    if context.dry_run:
        reading = time.monotonic() - began
        costs = after(reading, estimate_pictures(planned.first_pictures(), planned.plan.num_stored))
        return _result(planned.dataset, output, began, cached=False) | {"dry_run": True} | costs
    write_dataset(planned, output, held, context)
    context.trim_cache()
    return _result(open_dataset(output), output, began, cached=False)


def make_datasets(request: MakeDatasetRequest, batch: Options, context: Context) -> tuple[list[Outcome], Path]:
    """Make a dataset of each video, in the output folder; ``target`` may be a folder of clips of their names.

    Raises UsageError, Interrupted.
    """
    found, target = clips_for(request.videos, request.recipe), request.target
    targets = dict(zip(found, counterparts(found, target, "--target"), strict=True)) if target else {}

    def work(video: Path, place: Path) -> partial[Table]:
        own = replace(request, videos=(video,), output=place, target=targets.get(video))
        return partial(make_dataset, own)

    folder = request.output or Path()
    return run_batch(items_for(found, folder, [SUFFIX] * len(found), work), "make-dataset", folder, batch, context)


def clips_for(given: Sequence[Path], recipe: Recipe) -> list[Path]:
    """Return the clips that files, folders and globs stand for; a folder of guides is one. Raises UsageError."""
    return gathered(given, whole_folders=recipe.choice("pairing")[0] == "stack")


def _result(dataset: Dataset, output: Path, began: float, *, cached: bool) -> Table:
    held_out = len(dataset.role("val"))
    return {
        "output": str(output),
        "frames": sum(bool(r.names) for r in dataset.records) - dataset.num_missing,
        "left_out": sum(r.role == "dropped" for r in dataset.records),
        "pairs": len(dataset.pairs),
        "held_out": held_out,
        "shots": len({(r.source, r.shot) for r in dataset.records}),
        "pairing": dataset.pairing_table["name"],
        "seconds": round(time.monotonic() - began, 3),
        "cached": cached,
    }
