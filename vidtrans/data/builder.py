"""Writes a dataset folder, a chunk of pictures at a time, so that a stopped build goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vidtrans.data.dataset import DatasetSettings, FrameRecord
from vidtrans.data.sources import ClipSource, FolderSource
from vidtrans.data.split import split_roles
from vidtrans.events import Progress, Report, Stop
from vidtrans.files import sync_file, sync_folder
from vidtrans.pairing.base import Pairing
from vidtrans.settings import parse_size
from vidtrans.video.picture import encode_png

CHUNK_PICTURES = 50
Source = ClipSource | FolderSource


@dataclass(frozen=True)
class Plan:
    """The frame records of a dataset, and in which chunks their pictures are written."""

    records: tuple[FrameRecord, ...]
    chunks: tuple[tuple[int, int], ...]  # [first, stop) into records; a chunk never spans two sources

    @property
    def num_frames(self) -> int:
        return len(self.records)


def plan_dataset(sources: Sequence[Source], pairing: Pairing, settings: DatasetSettings) -> Plan:
    """Lay out folders, roles and chunks; reads nothing."""
    records: list[FrameRecord] = []
    chunks: list[tuple[int, int]] = []
    for number, (source, folder) in enumerate(zip(sources, _folder_names(sources), strict=True)):
        first = len(records)
        for record in _records(source, settings):
            name = f"{record.index:06d}.png"
            target = f"{folder}.target/{name}" if pairing.needs_target else None
            records.append(replace(record, source=number, file=f"{folder}/{name}", target=target))
        for at in range(first, len(records), CHUNK_PICTURES):
            chunks.append((at, min(at + CHUNK_PICTURES, len(records))))
    return Plan(tuple(records), tuple(chunks))


def _records(source: Source, settings: DatasetSettings) -> Iterator[FrameRecord]:
    """The source's frames with shot and role; names and source number are filled in by the plan."""
    numbers = source.numbers()
    if isinstance(source, FolderSource):
        # Pairs without an order in time: single ones are held out, and no gap is needed.
        drawn = split_roles(len(numbers), settings.hold_out, 1, 0)
        known = any(r == "held-out" for r in source.roles)
        for i in numbers:
            role = source.roles[i] if known and source.roles[i] else drawn[i]
            yield FrameRecord("", 0, i, i, i, role or "train")
        return
    starts = sorted({source.first, *(s for s in source.shots if source.first < s < source.stop)})
    for shot, (a, b) in enumerate(zip(starts, [*starts[1:], source.stop], strict=True)):
        inside = [n for n in numbers if a <= n < b]
        roles = split_roles(len(inside), settings.hold_out, settings.block, settings.gap)
        for n, role in zip(inside, roles, strict=True):
            yield FrameRecord("", 0, n, source.index.pts[n], shot, role)


def _folder_names(sources: Sequence[Source]) -> list[str]:
    """One folder a source, named after it; equal names are numbered."""
    names: list[str] = []
    for source in sources:
        plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in source.name).strip("_") or "clip"
        name, k = plain, 2
        while name in names:
            name, k = f"{plain}-{k}", k + 1
        names.append(name)
    return names


def write_pictures(
    sources: Sequence[Source],
    plan: Plan,
    settings: DatasetSettings,
    folder: Path,
    is_done: Callable[[int], bool],
    mark_done: Callable[[int], None],
    report: Report,
    stop: Stop,
) -> None:
    """Write the pictures of every chunk that is not done yet; a chunk is marked when it is safe on disk.

    Raises Interrupted at the next picture when asked to stop, MediaError on unreadable sources.
    """
    size = parse_size(settings.size)
    done = 0
    for number, (first, last) in enumerate(plan.chunks):
        records = plan.records[first:last]
        if not is_done(number):
            pictures = sources[records[0].source].pictures([r.index for r in records], size)
            for count, (record, (picture, target)) in enumerate(zip(records, pictures, strict=True)):
                stop.check()
                report(Progress("frames", done + count, plan.num_frames))
                _store(folder / record.file, picture)
                if record.target and target is not None:
                    _store(folder / record.target, target)
            sync_folder((folder / records[0].file).parent)
            mark_done(number)
        done += len(records)
        report(Progress("frames", done, plan.num_frames))


def _store(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_png(picture))
    sync_file(path)
