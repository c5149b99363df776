"""Write a dataset folder chunk by chunk, so that an interrupted build can continue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.events import Progress, Report, Stop
from vidtrans.core.files import naming_disk_errors, sync_file, sync_folder
from vidtrans.core.settings import parse_size
from vidtrans.data.dataset import Dataset, FrameRecord, Role
from vidtrans.data.full_size import Source, full_size_pictures, with_full_size
from vidtrans.data.match_search import MatchedSource, keep_apart
from vidtrans.data.pair_folders import FolderSource
from vidtrans.data.settings import DatasetSettings
from vidtrans.data.sources import ClipSource
from vidtrans.flow.survey import Survey, find_blurred, find_near_duplicates
from vidtrans.pairing.aligned import Unpaired
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import MatteChannel
from vidtrans.pairing.pose import Pose
from vidtrans.store.stages import DatasetStage
from vidtrans.video.images.picture import encode_png

CHUNK_PICTURES = 50
# Endings of the names of folders: of pictures that another network made of the frames, and of mattes.
EXTRACTED, MATTE, KEEP = "extracted", "matte", "keep"


@dataclass(frozen=True)
class DatasetPlan:
    """The frame records of a dataset, and the chunks in which pictures are written; a chunk is of one source.

    The ``pairing`` makes the pictures that are stored of frames.
    """

    records: tuple[FrameRecord, ...]
    chunks: tuple[tuple[FrameRecord, ...], ...]
    pairing: Pairing

    @property
    def num_stored(self) -> int:
        """Return the number of frames with stored pictures."""
        return sum(map(len, self.chunks))

    @property
    def full_size(self) -> list[FrameRecord]:
        """Return the records of the frames that are also stored at their source's size."""
        return [record for record in self.records if record.full]


@dataclass(frozen=True)
class PlannedDataset:
    """A dataset before its pictures are written."""

    dataset: Dataset
    plan: DatasetPlan
    sources: list[Source]
    settings: DatasetSettings
    stage: DatasetStage

    def first_pictures(self) -> Iterator[Sequence[np.ndarray]]:
        """Yield the pictures of the first chunk, frame by frame; see ``ClipSource.pictures``."""
        first = self.plan.chunks[0]
        rows = self.sources[first[0].source].pictures([r.index for r in first], parse_size(self.settings.size))
        return ((self.plan.pairing.stored(frame), *others) for frame, *others in rows)


def plan_dataset(sources: Sequence[Source], pairing: Pairing, settings: DatasetSettings) -> DatasetPlan:
    """Return the plan of a dataset: file names and roles of frames, and chunks.

    Nothing is read but the headers of the held-out pictures of a folder of pairs. Raises MediaError if one is damaged.
    """
    records: list[FrameRecord] = []
    chunks: list[tuple[FrameRecord, ...]] = []
    for number, (source, folder) in enumerate(zip(sources, _folder_names(sources), strict=True)):
        unpaired = isinstance(pairing, Unpaired)
        for record in _records(source, settings, may_drop=not pairing.needs_target, unpaired=unpaired):
            name = f"{record.index:06d}.png"
            target = f"{folder}.target/{name}" if pairing.needs_target else None
            guides = () if isinstance(pairing, Pose) else source.guides  # its one picture is the frame
            first, *others = [f"{folder}.{g}/{name}" for g in guides] or [f"{folder}/{name}"]
            others += [f"{folder}.{EXTRACTED}/{name}"] if pairing.extraction else []
            others += [f"{folder}.{MATTE}/{name}"] if isinstance(pairing, MatteChannel) else []
            keep = f"{folder}.{KEEP}/{name}" if isinstance(source, ClipSource) and source.mask else None
            records.append(replace(record, source=number, file=first, target=target, guides=tuple(others), keep=keep))
    if pairing.needs_target and not pairing.at_source_size and pairing.class_colours is None:
        records = with_full_size(records, sources, settings)
    for _, own in groupby(records, key=lambda record: record.source):
        stored = [r for r in own if r.names]
        chunks += [tuple(stored[at : at + CHUNK_PICTURES]) for at in range(0, len(stored), CHUNK_PICTURES)]
    return DatasetPlan(tuple(records), tuple(chunks), pairing)


def _records(source: Source, settings: DatasetSettings, *, may_drop: bool, unpaired: bool) -> Iterator[FrameRecord]:
    """Yield a source's frame records, without file names; ``may_drop``: drop near-duplicate and blurred frames."""
    if isinstance(source, ClipSource) and unpaired and source.shows_single_pictures:
        yield from _single_pictures(source, settings)
        return
    if isinstance(source, FolderSource):
        # Pairs without an order in time: single ones are held out, and no gap is needed.
        roles = split_roles(len(source.pairs), settings.val_fraction, 1, 0)
        has_val = "val" in source.roles
        for i, (given, drawn) in enumerate(zip(source.roles, roles, strict=True)):
            yield FrameRecord("", 0, i, i, i, given if has_val and given else drawn)
        return
    for shot, inside in enumerate(source.shots()):
        # A separate target may move while the source rests, so nothing is dropped then.
        dropped = _dropped(source.survey, inside, settings) if may_drop else source.left_out
        stored = [n for n in inside if n not in dropped]
        roles = split_roles(len(stored), settings.val_fraction, settings.val_block_size, settings.val_gap)
        by_number = dict(zip(stored, roles, strict=True))
        if isinstance(source, MatchedSource):
            by_number = keep_apart(by_number, source.matches, settings.val_gap)
        for n in inside:
            yield FrameRecord("", 0, n, source.index.pts[n], shot, by_number.get(n, "dropped"))


def _single_pictures(source: ClipSource, settings: DatasetSettings) -> Iterator[FrameRecord]:
    """Yield the records of a folder of unrelated pictures: those held out are single, not in blocks of a shot."""
    numbers = [(n, shot) for shot, inside in enumerate(source.shots()) for n in inside]
    dropped = _dropped(source.survey, [n for n, _ in numbers], replace(settings, min_sharpness=0.0))
    roles = iter(split_roles(len(numbers) - len(dropped), settings.val_fraction, 1, 0))
    for n, shot in numbers:
        yield FrameRecord("", 0, n, source.index.pts[n], shot, "dropped" if n in dropped else next(roles))


def split_roles(num_frames: int, fraction: float, block: int, gap: int) -> list[Role]:
    """Return the role of each frame of a shot: about ``fraction`` is held out, in evenly spaced blocks of ``block``.

    Neighbouring frames are nearly identical, so ``gap`` frames on either side of a block are unused. A shot too
    short for a block and its gaps is all for training.
    """
    roles: list[Role] = ["train"] * num_frames
    span = block + 2 * gap
    # At least half of every stretch stays for training.
    count = min(round(num_frames * fraction / block) or 1, num_frames // (2 * span)) if fraction > 0 else 0
    for middle in segment_centres(num_frames, count):
        first = middle - span // 2
        for i in range(first, first + span):
            roles[i] = "val" if gap <= i - first < gap + block else "gap"
    return roles


def _dropped(survey: Survey, numbers: list[int], settings: DatasetSettings) -> set[int]:
    """Return the near-duplicates and blurred frames among ``numbers``, frames of one shot."""
    dropped = find_near_duplicates(survey.looks, numbers) if settings.drop_duplicates else set()
    if settings.min_sharpness:
        dropped |= find_blurred(survey.sharpness, [n for n in numbers if n not in dropped], settings.min_sharpness)
    return dropped


def _folder_names(sources: Sequence[Source]) -> list[str]:
    """Return a folder name for each source; equal names are numbered."""
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
    plan: DatasetPlan,
    settings: DatasetSettings,
    folder: Path,
    is_done: Callable[[int], bool],
    mark_done: Callable[[int], None],
    report: Report,
    stop: Stop,
) -> None:
    """Write the pictures of all unfinished chunks; a chunk is marked once it is safe on disk.

    Raises Interrupted between pictures on a stop request, MediaError on unreadable sources.
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
                    _store(folder / name, picture)
            for record, pictures in full_size_pictures(sources[records[0].source], records):
                stop.check()
                for name, picture in zip(record.full, pictures, strict=True):
                    _store(folder / name, picture)
            for place in {(folder / name).parent for record in records for name in record.names}:
                sync_folder(place)
            mark_done(number)
        done += len(records)
        report(Progress("reading frames", done, plan.num_stored))


def _store(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming_disk_errors(path):
        path.write_bytes(encode_png(picture))
        sync_file(path)
