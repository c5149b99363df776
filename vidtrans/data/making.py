"""Making of a dataset: write it atomically, or reuse the existing dataset and restore deleted pictures on request.

Pictures are written chunk by chunk, so that an interrupted run can be continued.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vidtrans.clips.sampling import reading_passes
from vidtrans.config.recipe import Recipe, make_recipe
from vidtrans.core.costs import TRIAL_FRAMES, add_estimates, add_seconds, estimate
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.core.events import Progress, Report, Stop
from vidtrans.core.files import (
    DATASET_FILE,
    convert_disk_errors,
    copy,
    digest_file,
    digest_of,
    finish_replacing,
    link_target,
    move_into_place,
    read_small_json,
    sync_file,
    sync_folder,
    write_atomically,
    write_json,
)
from vidtrans.core.settings import Size, Table, parse_size
from vidtrans.data.dataset import Dataset, FrameRecord, open_dataset, write_index
from vidtrans.data.dataset_planning import DatasetPlan, DatasetSpec, PlannedDataset
from vidtrans.data.settings import DatasetSettings
from vidtrans.data.sources import FolderSource, Source
from vidtrans.output.result import check_parents
from vidtrans.session import Context
from vidtrans.store.cache import CacheEntry
from vidtrans.video.images.picture import encode_png


def make_dataset(spec: DatasetSpec, output: Path, context: Context, *, restore: bool = False) -> Table:
    """Make a dataset folder, or reuse the existing folder; return the report.

    The folder belongs to the user: a finished dataset is not changed, and deleted pictures are not written again unless
    ``restore``. Raises UsageError, MediaError, Interrupted.
    """
    began = time.monotonic()
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it does not end in a folder name", "add one, as in -o look.dataset")
    check_parents(output)
    if not context.dry_run:
        finish_replacing(link_target(output))
    existing = existing_dataset(output, spec.digest(context), context) if output.exists() else None
    preset, tables = spec.recipe.preset, spec.training_tables
    if existing is not None and (existing.preset, existing.recipe) != (preset, tables) and not context.dry_run:
        existing = replace(existing, preset=preset, recipe=tables)
        write_index(output, existing)
        context.note(f"the pictures of the dataset stay as they are; training will follow preset '{preset}'")
    if existing is not None and not (restore and existing.num_missing):
        if existing.num_missing:
            context.note(f"{existing.num_missing} deleted pictures stay deleted (--restore brings them back)")
        return _dataset_report(existing, output, began, cached=True)
    planned = spec.plan(output, context)
    has_given_pairs = spec.recipe.choice("pairing")[0] == "aligned"
    if len(planned.dataset.pairs) == 1 and not has_given_pairs:
        text = f"{output.name}: from one picture a model learns that picture alone"
        context.note(f"{text}; its style is painted by: vidtrans stylize VIDEO --look PICTURE", "warning")
    if context.dry_run:
        reading = time.monotonic() - began
        costs = add_seconds(reading, estimate_pictures(planned))
        return _dataset_report(planned.dataset, output, began, cached=False) | {"dry_run": True} | costs
    write_dataset(planned, output, existing, context)
    context.trim_cache()
    return _dataset_report(open_dataset(output), output, began, cached=False)


def estimate_pictures(planned: PlannedDataset) -> Table:
    """Estimate the time and disk space to write the pictures of a dataset, from a sample of the pictures."""
    plan = planned.plan
    table = _estimate(planned.first_pictures(), plan.num_stored)
    if not (full := plan.full_size):
        return table
    frames = full_size_pictures(planned.sources[full[0].source], full[:1])
    return add_estimates([table, _estimate((pictures for _, pictures in frames), len(full))])


def _estimate(frames: Iterator[Sequence[np.ndarray]], num_frames: int) -> Table:
    """Estimate time and disk space of ``num_frames`` frames from the pictures of sample ``frames``.

    ``frames``: pictures of a sample of frames.
    """
    began = time.perf_counter()
    sizes = [sum(len(encode_png(p)) for p in pictures) for pictures in islice(frames, TRIAL_FRAMES)]
    share = num_frames / max(1, len(sizes))
    return estimate((time.perf_counter() - began) * share, sum(sizes) * share)


def _dataset_report(dataset: Dataset, output: Path, began: float, *, cached: bool) -> Table:
    """Return the report of a dataset: output path, numbers of frames and pairs, shots, domains and seconds.

    ``began``: the clock's value in seconds at the start. ``cached``: whether an existing dataset is reused.
    """
    gone = set(dataset.names()) - set(dataset.files()) if dataset.num_missing else set()
    full = sum(pair.full is not None for pair in dataset.pairs)
    return {
        "output": str(output),
        "frames": sum(bool(r.pair_names) and gone.isdisjoint(r.pair_names) for r in dataset.records),
        "left_out": sum(r.role == "dropped" for r in dataset.records),
        "pairs": len(dataset.pairs),
        "held_out": len(dataset.role("val")),
        **({"full_size_pairs": full} if full else {}),
        "shots": len({(r.source, r.shot) for r in dataset.records}),
        "pairing": dataset.pairing_table["name"],
        **({"domains": [_domain_report(dataset, k) for k in range(len(dataset.domains))]} if dataset.domains else {}),
        "seconds": round(time.monotonic() - began, 3),
        "cached": cached,
    }


def _domain_report(dataset: Dataset, number: int) -> Table:
    """Return the name of domain ``number``, and its numbers of frames and held-out frames."""
    domain_pairs = [pair for pair in dataset.pairs if pair.domain == number]
    held_out = sum(pair.role == "val" for pair in domain_pairs)
    return {"name": dataset.domains[number], "frames": len(domain_pairs), "held_out": held_out}


def train_recipe(folder: Path, preset: str | None, flags: Mapping[str, Table]) -> Recipe:
    """Return the recipe to train on the dataset in ``folder``: a preset (None: the dataset's), changed by ``flags``.

    ``flags``: tables of settings from the command line.
    """
    dataset = open_dataset(folder)
    return make_recipe(preset, dataset.preset or None, flags, dataset.recipe)


def existing_dataset(output: Path, key: str, context: Context) -> Dataset | None:
    """Return the dataset in the folder ``output`` if it was made with this ``key``; None if a dataset may be written.

    ``key``: the digest of all inputs of a dataset. Raises UsageError otherwise.
    """
    if not output.is_dir():
        raise UsageError(str(output), "it exists and is a file", "choose another folder with -o")
    existing: Dataset | None = None
    with suppress(MediaError):
        existing = open_dataset(output)
    if existing is not None and existing.key == key:
        return existing
    if not (output / DATASET_FILE).exists() and any(output.iterdir()):
        # Never delete a folder that is not known to be a dataset, not even with --overwrite.
        raise UsageError(str(output), "it exists and is not a dataset", "choose another folder with -o")
    if not context.overwrite and any(output.iterdir()):
        made = "it exists, made from other inputs, by another command or with other options"
        why = made if existing else "it exists, and is damaged"
        raise UsageError(str(output), why, "use --overwrite, or another name with -o")
    return None


def write_dataset(planned: PlannedDataset, output: Path, existing: Dataset | None, context: Context) -> None:
    """Write the pictures into the cache and move them into place.

    To an ``existing`` dataset only add missing pictures.
    """
    plan = planned.plan
    entry = context.cache.entry(planned.stage.name, planned.stage.key)
    with entry.locked():
        folder = entry.folder / "pictures"
        marks = PictureMarks(entry, [[n for r in chunk for n in r.names] for chunk in plan.chunks])
        write_pictures(
            planned.sources, plan, planned.settings, folder, marks.is_done, marks.mark, context.report, context.stop
        )
        if existing is not None:
            _restore_deleted(folder, planned.dataset, output, existing)
        else:
            write_index(folder, planned.dataset)
            _move_into_place(folder, link_target(output))
        entry.clear()
    context.cache.save_digests()


def write_pictures(
    sources: Sequence[Source],
    plan: DatasetPlan,
    settings: DatasetSettings,
    folder: Path,
    is_done: Callable[[int], bool],
    mark_done: Callable[[int], None],
    report: Report,
    stop: Stop,
) -> None:
    """Write the pictures of all unfinished chunks; mark each chunk once its files are synchronised to disk.

    ``is_done``, ``mark_done``: test and set the mark of a chunk, by its number. Raises Interrupted between pictures on
    a stop request, MediaError on unreadable sources.
    """
    size = parse_size(settings.size)
    done = 0
    for number, records in enumerate(plan.chunks):
        if not is_done(number):
            rows = sources[records[0].source].pictures([r.index for r in records], size)
            for count, (record, (frame, *others)) in enumerate(zip(records, rows, strict=True)):
                stop.check()
                report(Progress("reading frames", done + count, plan.num_stored))
                pictures = (plan.pairing.stored(frame), *others)
                for name, picture in zip((*record.pair_names, *record.mattes), pictures, strict=True):
                    _write_png(folder / name, picture)
            for record, pictures in full_size_pictures(sources[records[0].source], records):
                stop.check()
                for name, picture in zip(record.full, pictures, strict=True):
                    _write_png(folder / name, picture)
            for parent in {(folder / name).parent for record in records for name in record.names}:
                sync_folder(parent)
            mark_done(number)
        done += len(records)
        report(Progress("reading frames", done, plan.num_stored))


def _write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture as a PNG file, and synchronise the file to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with convert_disk_errors(path):
        path.write_bytes(encode_png(picture))
        sync_file(path)


def full_size_pictures(
    source: Source, records: Sequence[FrameRecord]
) -> Iterator[tuple[FrameRecord, tuple[np.ndarray, ...]]]:
    """Yield the ``records`` that have full-size pictures, in order, with (source, target).

    Both are (H, W, 3) uint8, of the source's size. Raises MediaError on unreadable sources.
    """
    by_number = {record.index: record for record in records if record.full}
    if not by_number:
        return
    # A folder's pairs may differ in size, so each is read separately; close frames of a clip are read in one pass.
    groups = [[number] for number in by_number] if isinstance(source, FolderSource) else reading_passes(list(by_number))
    for numbers in groups:
        full = source.full_size(numbers[0])
        for number, pictures in zip(numbers, source.pictures(list(numbers), Size(exact=full)), strict=True):
            yield by_number[number], pictures


class PictureMarks:
    """The marks of completely written chunks: one small file per chunk, with the SHA-256 of each picture.

    ``names``: the names of the pictures of each chunk.
    """

    def __init__(self, entry: CacheEntry, names: list[list[str]]) -> None:
        self.entry, self.names = entry, names

    def _path(self, chunk: int) -> Path:
        """Return the path of the mark of a chunk."""
        return self.entry.folder / f"chunk-{chunk:06d}.json"

    def is_done(self, chunk: int) -> bool:
        """Return whether a chunk is completely written and undamaged."""
        try:
            return bool(read_small_json(self._path(chunk)) == self._digests(chunk))
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            self.entry.warn_damaged(f"chunk {chunk}: {error}")
            return False

    def mark(self, chunk: int) -> None:
        """Mark a chunk as completely written."""
        write_json(self._path(chunk), self._digests(chunk))

    def _digests(self, chunk: int) -> dict[str, Any]:
        """Return the SHA-256 of each picture of a chunk, by the picture's name."""
        return {name: digest_file(self.entry.folder / "pictures" / name) for name in self.names[chunk]}


def _move_into_place(folder: Path, output: Path) -> None:
    """Move a finished folder to its final name atomically; a folder on another disk is first copied next to it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if os.stat(folder).st_dev == os.stat(output.parent).st_dev:
        move_into_place(folder, output)
        return
    with write_atomically(output) as temporary:
        copy(folder, temporary)


def _restore_deleted(folder: Path, planned: Dataset, output: Path, existing: Dataset) -> None:
    """Restore the deleted pictures of the dataset ``existing`` at ``output``, from the complete copy in ``folder``.

    ``planned``: the index of the copy, with as many records, whose file names may differ.
    """
    for old, new in zip(existing.records, planned.records, strict=True):
        for name, source in zip(old.names, new.names, strict=True):
            if not (output / name).is_file():
                with write_atomically(output / name) as temporary:
                    shutil.copyfile(folder / source, temporary)


def dataset_digest(context: Context, dataset: Dataset) -> str:
    """Return the digest of the index and of the existing pictures, for the cache key of a training."""
    pictures = [[n, context.cache.digest(dataset.path(n))] for n in dataset.files()]
    return digest_of([context.cache.digest(dataset.folder / DATASET_FILE), *pictures])
