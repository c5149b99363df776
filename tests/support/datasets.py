"""Small datasets made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from clips import scene

from vidtrans.data.dataset import Dataset, FrameRecord, write_index
from vidtrans.pairing.pairing_records import make_pairing, pairing_record
from vidtrans.video.images.picture import write_picture


def put(path: Path, seed: int = 0, size: tuple[int, int] = (20, 16)) -> Path:
    write_picture(path, scene(*size, seed=seed))
    return path


def make_dataset(folder: Path, pairing: str = "next-frame", frames: int = 12, size: tuple[int, int] = (40, 32)) -> Path:
    """Two shots of six frames, the last two of them held out."""
    made, table = make_pairing(pairing, {}), []
    for i in range(frames):
        name = put(folder / "clip" / f"{i:06d}.png", i, size).relative_to(folder).as_posix()
        target = put(folder / "clip.target" / f"{i:06d}.png", i, size) if made.needs_target else None
        role = "val" if i >= frames - 2 else "train"
        record = FrameRecord(name, 0, i, i * 512, int(i >= 6), role)
        table.append(replace(record, target=target.relative_to(folder).as_posix()) if target else record)
    source = {"name": "clip.mp4"}
    write_index(folder, Dataset(folder, "key", "edges", {}, "32", pairing_record(made), (source,), tuple(table)))
    return folder


def numbered(size: tuple[int, int], number: int) -> np.ndarray:
    """A picture (H, W, 3) uint8 whose red and green are the pixel's place, and whose blue is a number."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    return np.dstack([3 * x, 3 * y, np.full((height, width), number)]).astype(np.uint8)


def make_domains(
    folder: Path, counts: Sequence[int] = (8, 5), sizes: Sequence[tuple[int, int]] = ((40, 32), (30, 48)), cut: int = 3
) -> Path:
    """A dataset without pairs: of domain k ``counts[k]`` frames, numbered from 50 k on, with a cut in each."""
    table = []
    for k, (count, size) in enumerate(zip(counts, sizes, strict=True)):
        for i in range(count):
            path = folder / f"clip{k}" / f"{i:06d}.png"
            write_picture(path, numbered(size, 50 * k + i))
            table.append(FrameRecord(path.relative_to(folder).as_posix(), k, i, i * 512, int(i >= cut), "train"))
    names = [f"domain{k}" for k in range(len(counts))]
    made = pairing_record(make_pairing("unpaired", {"domains": names}))
    sources = tuple({"name": f"clip{k}.mp4", "domain": k} for k in range(len(counts)))
    write_index(folder, Dataset(folder, "key", "unpaired", {}, "32", made, sources, tuple(table)))
    return folder
