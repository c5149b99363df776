"""Held-out pairs that are also kept at their source's size, to score what a render delivers: it enlarges outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from vidtrans.clips.sampling import passes, spread_numbers
from vidtrans.core.settings import Size, parse_size
from vidtrans.data.dataset import FrameRecord
from vidtrans.data.pair_folders import FolderSource
from vidtrans.data.settings import DatasetSettings
from vidtrans.data.sources import ClipSource

FULL = "full"  # in the name of the folders: NAME.full/, NAME.full.target/
Source = ClipSource | FolderSource


def with_full_size(
    records: Sequence[FrameRecord], sources: Sequence[Source], settings: DatasetSettings
) -> list[FrameRecord]:
    """Return the records of a dataset; evenly spaced held-out ones get the names of their full-size pictures.

    At most ``settings.full_size_pairs`` of those whose source is larger than the stored size. Raises MediaError if a
    picture of a folder of pairs cannot be read.
    """
    found = list(records)
    if not settings.full_size_pairs:
        return found
    size = parse_size(settings.size)
    able = [i for i, r in enumerate(records) if r.role == "val" and _is_larger(sources[r.source], r.index, size)]
    for place in spread_numbers(len(able), settings.full_size_pairs):
        record = records[able[place]]
        folder, _, name = record.file.partition("/")
        found[able[place]] = replace(record, full=(f"{folder}.{FULL}/{name}", f"{folder}.{FULL}.target/{name}"))
    return found


def _is_larger(source: Source, number: int, size: Size) -> bool:
    """Return whether a pair can be kept at full size, and both sides are longer there than at the stored ``size``."""
    full = source.full_size(number)
    return full is not None and all(whole > stored for whole, stored in zip(full, size.of(*full), strict=True))


def full_size_pictures(
    source: Source, records: Sequence[FrameRecord]
) -> Iterator[tuple[FrameRecord, tuple[np.ndarray, ...]]]:
    """Yield the ``records`` of a source that have full-size pictures, in order, with (source, target).

    Both are (H, W, 3) uint8, of the source's size. Raises MediaError on unreadable sources.
    """
    by_number = {record.index: record for record in records if record.full}
    if not by_number:
        return
    # The pairs of a folder are of several sizes, and the frames of a clip are read in one pass if they are close.
    groups = [[number] for number in by_number] if isinstance(source, FolderSource) else passes(list(by_number))
    for numbers in groups:
        full = source.full_size(numbers[0])
        for number, pictures in zip(numbers, source.pictures(list(numbers), Size(exact=full)), strict=True):
            yield by_number[number], pictures
