"""The first step: videos in, a dataset folder out."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidtrans.data.builder import Source, plan_dataset, write_pictures
from vidtrans.data.dataset import INDEX, Dataset, DatasetSettings, open_dataset, write_index
from vidtrans.data.sources import ClipSource, FolderSource, find_pairs
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import (
    complete,
    digest_file,
    digest_of,
    partial_path,
    remove,
    remove_stale_partials,
    sync_folder,
    write_json,
)
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, make_pairing, pairing_record
from vidtrans.pipeline.cache import Entry
from vidtrans.pipeline.context import Clip, Context, content_digest, open_clip
from vidtrans.pipeline.outputs import check_parents
from vidtrans.pipeline.recipe import Recipe
from vidtrans.pipeline.stages import DatasetStage, media_libraries
from vidtrans.settings import Table, Time, parse_size, to_table

SUFFIX = ".dataset"


def default_output(videos: Sequence[Path]) -> Path:
    return Path(videos[0].resolve().stem + SUFFIX)


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
    settings = recipe.settings("dataset", DatasetSettings)
    parse_size(settings.size)
    name, table = recipe.choice("pairing")
    pairing = make_pairing(PAIRINGS, name, table)
    output = output or default_output(videos)
    if output.name in ("", ".."):
        raise UsageError(f"-o {output}", "it is a place, not a name", "give the new folder a name")
    check_parents(output)
    _check_inputs(videos, target, pairing)
    request = digest_of(
        {
            "command": "make-dataset",
            "sources": [_digest(context, v) for v in videos],
            "target": _digest(context, target) if target else None,
            "pairing": pairing_record(pairing),
            "settings": to_table(settings),
            "span": [str(start), str(end)],
            "stage": DatasetStage.id(),
        }
    )
    if not context.dry_run:
        _finish_move(output)
    taught = {n: t for n, t in recipe.from_preset.items() if n in ("generator", "discriminator", "training")}
    held = _existing(output, request, context) if output.exists() else None
    if held is not None and (held.preset, held.recipe) != (recipe.preset, taught) and not context.dry_run:
        held = replace(held, preset=recipe.preset, recipe=taught)
        write_index(output, held)
        context.note(f"the pictures are the same; training will follow preset '{recipe.preset}'")
    if held is not None and not (restore and held.num_missing):
        if held.num_missing:
            context.note(f"{held.num_missing} deleted pictures stay deleted (--restore brings them back)")
        return _result(held, output, began, cached=True)
    sources, described = _open_sources(videos, target, start, end, settings, pairing, context)
    plan = plan_dataset(sources, pairing, settings)
    stage = DatasetStage(described, pairing_record(pairing), to_table(settings), media_libraries())
    dataset = Dataset(
        folder=output,
        key=request,
        preset=recipe.preset,
        recipe=taught,
        size=settings.size,
        pairing_table=pairing_record(pairing),
        sources=tuple(described),
        records=plan.records,
    )
    _check_pairs(dataset, pairing)
    if context.dry_run:
        return _result(dataset.with_all_pictures(), output, began, cached=False) | {"dry_run": True}
    entry = context.cache.entry(stage.name, stage.key)
    with entry.locked():
        folder = entry.folder / "pictures"
        marks = PictureMarks(
            entry, [[n for r in plan.records[a:b] for n in (r.file, r.target) if n] for a, b in plan.chunks]
        )
        write_pictures(sources, plan, settings, folder, marks.is_done, marks.mark, context.report, context.stop)
        if held is not None:
            _restore(folder, dataset, output, held)
        else:
            write_index(folder, dataset)
            _move(folder, output)
        entry.clear()
    context.cache.save_digests()
    return _result(open_dataset(output), output, began, cached=False)


def _check_inputs(videos: Sequence[Path], target: Path | None, pairing: Pairing) -> None:
    folders = [v for v in videos if v.is_dir()]
    if folders and not pairing.needs_target:
        raise UsageError(str(folders[0]), "a folder of pairs", "use --pairing aligned, or give a video")
    if pairing.needs_target and target is None and not folders:
        raise UsageError(
            f"pairing '{pairing.name}'",
            "it needs a second clip",
            "add --target VIDEO, or give a folder of pairs",
        )
    if target is not None and not pairing.needs_target:
        raise UsageError("--target", f"pairing '{pairing.name}' makes its own targets", "use --pairing aligned")
    if target is not None and len(videos) > 1:
        raise UsageError("--target", "one target clip fits one video", "make a dataset for each pair of clips")


def _digest(context: Context, path: Path) -> str:
    """A file's content digest, or that of a folder's pictures."""
    if not path.is_dir():
        return content_digest(context, path)
    names = sorted(p for p in path.rglob("*") if p.is_file())
    return digest_of([[str(p.relative_to(path)), context.cache.digest(p)] for p in names])


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


def _open_sources(
    videos: Sequence[Path],
    target: Path | None,
    start: Time | None,
    end: Time | None,
    settings: DatasetSettings,
    pairing: Pairing,
    context: Context,
) -> tuple[list[Source], list[Table]]:
    sources: list[Source] = []
    described: list[Table] = []
    for video in videos:
        if video.is_dir():
            folder: FolderSource = find_pairs(video, getattr(pairing.settings, "direction", "AtoB"))
            sources.append(folder)
            described.append({"name": folder.name, "digest": _digest(context, video), "pairs": len(folder.pairs)})
            continue
        clip = open_clip(context, video)
        first, stop = clip.trim(start, end)
        other = open_clip(context, target) if target else None
        if other is not None and other.index.num_frames != clip.index.num_frames:
            stop = _common_stop(clip, other, first, stop, context)
        sources.append(
            ClipSource(
                video,
                clip.index,
                clip.shots,
                first,
                stop,
                settings.every,
                target,
                other.index if other else None,
            )
        )
        described.append(
            {
                "name": video.name,
                "digest": clip.digest,
                "first": first,
                "stop": stop,
                "target": other.digest if other else None,
            }
        )
    return sources, described


def _common_stop(clip: Clip, other: Clip, first: int, stop: int, context: Context) -> int:
    common = min(stop, other.index.num_frames)
    if common <= first:
        raise MediaError(str(other.path), f"it has only {other.index.num_frames} frames", "give a clip in step")
    context.note(
        f"{clip.path.name} has {clip.index.num_frames} frames, {other.path.name} {other.index.num_frames}; "
        f"the first {common} are paired",
        "warning",
    )
    return common


def _check_pairs(dataset: Dataset, pairing: Pairing) -> None:
    """Raises MediaError where no shot is long enough to give a pair."""
    shots: dict[tuple[int, int], int] = {}
    for r in dataset.records:
        shots[r.source, r.shot] = shots.get((r.source, r.shot), 0) + 1
    if not any(count >= pairing.min_frames for count in shots.values()):
        names = ", ".join(s["name"] for s in dataset.sources)
        longest = max(shots.values(), default=0)
        raise MediaError(
            names,
            f"pairing '{pairing.name}' needs {pairing.min_frames} frames in a row, the longest shot has {longest}",
            "give a longer clip",
        )


class PictureMarks:
    """Which chunks of pictures are safely written: a small file a chunk, with each picture's SHA-256."""

    def __init__(self, entry: Entry, names: list[list[str]]) -> None:
        self.entry, self.names = entry, names

    def _path(self, chunk: int) -> Path:
        return self.entry.folder / f"chunk-{chunk:06d}.json"

    def is_done(self, chunk: int) -> bool:
        try:
            held = json.loads(self._path(chunk).read_text())
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


def _replaced(output: Path) -> Path:
    """Where the old folder waits while the new one gets its name."""
    return output.with_name(f".{output.name}.replaced")


def _finish_move(output: Path) -> None:
    """Clean up after a run that was killed while it gave the new folder its name."""
    old = _replaced(output)
    if old.exists() and not output.exists():
        os.replace(old, output)
    remove(old)


def _move(folder: Path, output: Path) -> None:
    """Give a finished folder its final name in one step; on another disk it is copied beside it first."""
    output.parent.mkdir(parents=True, exist_ok=True)
    if os.stat(folder).st_dev != os.stat(output.parent).st_dev:
        beside = partial_path(output)
        remove_stale_partials(output)
        shutil.copytree(folder, beside)
        folder = beside
    if output.exists():
        os.replace(output, _replaced(output))
    os.replace(folder, output)
    sync_folder(output.parent)
    remove(_replaced(output))


def _restore(folder: Path, made: Dataset, output: Path, held: Dataset) -> None:
    """Put back the pictures that were deleted, and only those, under the names that they had."""
    for old, new in zip(held.records, made.records, strict=True):
        for name, source in ((old.file, new.file), (old.target, new.target)):
            if name and source and not (output / name).is_file():
                with complete(output / name) as temporary:
                    shutil.copyfile(folder / source, temporary)


def _result(dataset: Dataset, output: Path, began: float, *, cached: bool) -> Table:
    held_out = len(dataset.role("held-out"))
    return {
        "output": str(output),
        "frames": len(dataset.records) - dataset.num_missing,
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
