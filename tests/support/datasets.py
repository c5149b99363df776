"""Small datasets made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clips import scene

from vidtrans.data.dataset import Dataset, FrameRecord, write_index
from vidtrans.pairing.base import make_pairing, pairing_record
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
