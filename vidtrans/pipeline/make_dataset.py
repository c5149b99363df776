"""``vidtrans make-dataset``: videos in, a dataset folder out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vidtrans.batch.inputs import counterparts, expand_sources, make_items
from vidtrans.batch.jobs import run_batch
from vidtrans.batch.options import BatchOptions
from vidtrans.batch.summary import Outcome
from vidtrans.config.recipe import Recipe
from vidtrans.data.dataset import Dataset, open_dataset, write_index
from vidtrans.data.dataset_planning import SUFFIX, DatasetSpec, default_output
from vidtrans.data.domains import Domain, find_domains
from vidtrans.data.folder import existing_dataset, write_dataset
from vidtrans.errors import UsageError
from vidtrans.files import finish_replacing, link_target
from vidtrans.output.target import check_parents, refuse_link
from vidtrans.pairing.base import make_pairing
from vidtrans.rendering.cost import after, estimate_pictures
from vidtrans.rendering.extraction import FrameExtractor
from vidtrans.requests import MakeDatasetRequest
from vidtrans.session import Context
from vidtrans.settings import Table


def make_dataset(request: MakeDatasetRequest, context: Context) -> Table:
    """Make a dataset folder from videos, or from a folder of pairs, and return what is reported of it.

    The folder is the user's: once made it is not touched again, pictures deleted from it stay deleted, unless
    ``restore``. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    domains, preset = _domains(request), request.recipe.preset
    output = request.output or refuse_link(default_output(request.videos, domains))
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it is a place, not a name", "give the new folder a name")
    check_parents(output)
    extractor = FrameExtractor.of_pairing(make_pairing(*request.recipe.choice("pairing")), context)
    videos = [video for domain in domains for video in domain.videos] or request.videos
    wanted = DatasetSpec(videos, request.recipe, request.target, request.start, request.end, extractor, domains)
    if not context.dry_run:
        finish_replacing(link_target(output))
    existing = existing_dataset(output, wanted.digest(context), context) if output.exists() else None
    if (
        existing is not None
        and (existing.preset, existing.recipe) != (preset, wanted.training_tables)
        and not context.dry_run
    ):
        existing = replace(existing, preset=preset, recipe=wanted.training_tables)
        write_index(output, existing)
        context.note(f"the pictures are the same; training will follow preset '{preset}'")
    if existing is not None and not (request.restore and existing.num_missing):
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


def make_datasets(request: MakeDatasetRequest, batch: BatchOptions, context: Context) -> tuple[list[Outcome], Path]:
    """Make a dataset of each video, in the output folder; ``target`` may be a folder of clips of their names.

    Raises UsageError, Interrupted.
    """
    videos, target = clips_for(request.videos, request.recipe), request.target
    targets = dict(zip(videos, counterparts(videos, target, "--target"), strict=True)) if target else {}

    def work(video: Path, place: Path) -> partial[Table]:
        own = replace(request, videos=(video,), output=place, target=targets.get(video))
        return partial(make_dataset, own)

    folder = request.output or Path()
    return run_batch(make_items(videos, folder, [SUFFIX] * len(videos), work), "make-dataset", folder, batch, context)


def clips_for(paths: Sequence[Path], recipe: Recipe) -> list[Path]:
    """Return the clips that files, folders and globs stand for; a folder of guides is one. Raises UsageError."""
    return expand_sources(paths, whole_folders=recipe.choice("pairing")[0] == "stack")


def _domains(request: MakeDatasetRequest) -> tuple[Domain, ...]:
    """Return the domains of a dataset without pairs, the source first; none for one of pairs. Raises UsageError."""
    if not request.unpaired:
        return ()
    groups = [request.videos, *((path,) for path in request.unpaired)]
    return find_domains(groups, partial(clips_for, recipe=request.recipe))


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
