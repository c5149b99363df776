"""The first step: videos in, a dataset folder out."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidtrans.batch.inputs import counterparts, gathered, items_for
from vidtrans.batch.jobs import Options, run_batch
from vidtrans.batch.summary import Outcome
from vidtrans.config.recipe import Recipe
from vidtrans.data.building import write_pictures
from vidtrans.data.dataset import INDEX, Dataset, open_dataset, write_index
from vidtrans.data.planning import SUFFIX, Planned, Request, default_output
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import (
    digest_file,
    digest_of,
    finish_replacing,
    link_target,
    move_into_place,
    partial_path,
    read_small_json,
    remove_stale_partials,
    write_atomically,
    write_json,
)
from vidtrans.output.target import check_parents, refuse_link
from vidtrans.rendering.cost import after, estimate_pictures
from vidtrans.session import Context
from vidtrans.settings import Table, Time
from vidtrans.store.cache import CacheEntry


def make_dataset(
    videos: Sequence[Path],
    output: Path | None,
    recipe: Recipe,
    context: Context,
    *,
    target: Path | None = None,
    start: Time | None = None,
    end: Time | None = None,
    restore: bool = False,
) -> Table:
    """Make a dataset folder from videos, or from a folder of pairs, and return what is reported of it.

    The folder is the user's: once made it is not touched again, pictures deleted from it stay deleted, unless
    ``restore``. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    output = output or refuse_link(default_output(videos))
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it is a place, not a name", "give the new folder a name")
    check_parents(output)
    request = Request(videos, recipe, target, start, end)
    if not context.dry_run:
        finish_replacing(link_target(output))
    held = _existing(output, request.digest(context), context) if output.exists() else None
    if held is not None and (held.preset, held.recipe) != (recipe.preset, request.taught) and not context.dry_run:
        held = replace(held, preset=recipe.preset, recipe=request.taught)
        write_index(output, held)
        context.note(f"the pictures are the same; training will follow preset '{recipe.preset}'")
    if held is not None and not (restore and held.num_missing):
        if held.num_missing:
            context.note(f"{held.num_missing} deleted pictures stay deleted (--restore brings them back)")
        return _result(held, output, began, cached=True)
    planned = request.plan(output, context)
    if context.dry_run:
        reading = time.monotonic() - began
        costs = after(reading, estimate_pictures(planned.first_pictures(), planned.plan.num_stored))
        return _result(planned.dataset, output, began, cached=False) | {"dry_run": True} | costs
    _write(planned, output, held, context)
    context.trim_cache()
    return _result(open_dataset(output), output, began, cached=False)


def make_datasets(
    given: Sequence[Path],
    folder: Path,
    recipe: Recipe,
    context: Context,
    batch: Options,
    *,
    target: Path | None = None,
    **options: Any,
) -> tuple[list[Outcome], Path]:
    """A dataset of each video, in ``folder``; a ``target`` may be a folder of clips of their names.

    Raises UsageError, Interrupted.
    """
    found = clips_for(given, recipe)
    targets = dict(zip(found, counterparts(found, target, "--target"), strict=True)) if target else {}

    def arguments(video: Path, place: Path) -> Table:
        return {"videos": [video], "output": place, "recipe": recipe, "target": targets.get(video), **options}

    items = items_for(found, folder, [SUFFIX] * len(found), arguments)
    return run_batch(items, "vidtrans.pipeline.make_dataset:make_dataset", folder, batch, context)


def clips_for(given: Sequence[Path], recipe: Recipe) -> list[Path]:
    """The clips that files, folders and globs stand for; a folder of guides is one. Raises UsageError."""
    return gathered(given, whole_folders=recipe.choice("pairing")[0] == "stack")


def _write(planned: Planned, output: Path, held: Dataset | None, context: Context) -> None:
    """Write the pictures into the cache, and move them to their place; to ``held``, only what it lacks."""
    plan = planned.plan
    entry = context.cache.entry(planned.stage.name, planned.stage.key)
    with entry.locked():
        folder = entry.folder / "pictures"
        marks = PictureMarks(entry, [[n for r in chunk for n in r.names] for chunk in plan.chunks])
        write_pictures(
            planned.sources, plan, planned.settings, folder, marks.is_done, marks.mark, context.report, context.stop
        )
        if held is not None:
            _restore(folder, planned.dataset, output, held)
        else:
            write_index(folder, planned.dataset)
            _move(folder, link_target(output))
        entry.clear()
    context.cache.save_digests()


def _existing(output: Path, request: str, context: Context) -> Dataset | None:
    """The dataset that is there, if this very command made it; None where it may be replaced.

    Raises UsageError on anything else.
    """
    if not output.is_dir():
        raise UsageError(str(output), "it exists and is a file", "choose another folder with -o")
    held: Dataset | None = None
    with suppress(MediaError):
        held = open_dataset(output)
    if held is not None and held.key == request:
        return held
    if not (output / INDEX).exists() and any(output.iterdir()):
        # Never delete a folder that is not known to be a dataset, whatever was asked for.
        raise UsageError(str(output), "it exists and is not a dataset", "choose another folder with -o")
    if not context.overwrite and any(output.iterdir()):
        why = "it exists, made from other inputs or options" if held else "it exists, and is damaged"
        raise UsageError(str(output), why, "use --overwrite, or another name with -o")
    return None


class PictureMarks:
    """Which chunks of pictures are safely written: a small file a chunk, with each picture's SHA-256."""

    def __init__(self, entry: CacheEntry, names: list[list[str]]) -> None:
        self.entry, self.names = entry, names

    def _path(self, chunk: int) -> Path:
        return self.entry.folder / f"chunk-{chunk:06d}.json"

    def is_done(self, chunk: int) -> bool:
        try:
            held = read_small_json(self._path(chunk))
            return bool(held == self._digests(chunk))
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            self.entry.damaged(f"chunk {chunk}: {error}")
            return False

    def mark(self, chunk: int) -> None:
        write_json(self._path(chunk), self._digests(chunk))

    def _digests(self, chunk: int) -> dict[str, Any]:
        return {name: digest_file(self.entry.folder / "pictures" / name) for name in self.names[chunk]}


def _move(folder: Path, output: Path) -> None:
    """Give a finished folder its final name in one step; on another disk it is copied beside it first."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if os.stat(folder).st_dev != os.stat(output.parent).st_dev:
        beside = partial_path(output)
        remove_stale_partials(output)
        shutil.copytree(folder, beside)
        folder = beside
    move_into_place(folder, output)


def _restore(folder: Path, made: Dataset, output: Path, held: Dataset) -> None:
    """Put back the pictures that were deleted, and only those, under the names that they had."""
    for old, new in zip(held.records, made.records, strict=True):
        for name, source in zip(old.names, new.names, strict=True):
            if not (output / name).is_file():
                with write_atomically(output / name) as temporary:
                    shutil.copyfile(folder / source, temporary)


def _result(dataset: Dataset, output: Path, began: float, *, cached: bool) -> Table:
    held_out = len(dataset.role("held-out"))
    return {
        "output": str(output),
        "frames": sum(bool(r.names) for r in dataset.records) - dataset.num_missing,
        "left_out": sum(r.role == "thinned" for r in dataset.records),
        "pairs": len(dataset.pairs),
        "held_out": held_out,
        "shots": len({(r.source, r.shot) for r in dataset.records}),
        "pairing": dataset.pairing_table["name"],
        "seconds": round(time.monotonic() - began, 3),
        "cached": cached,
    }


def dataset_digest(context: Context, dataset: Dataset) -> str:
    """What training depends on: the index and the content of the pictures that are there."""
    index = dataset.folder / INDEX
    return digest_of(
        [
            context.cache.digest(index),
            *([n, context.cache.digest(dataset.folder / n)] for n in dataset.files()),
        ]
    )
