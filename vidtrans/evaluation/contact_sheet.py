"""Contact sheets of a clip's frames, of pairings' inputs, and of a dataset's pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import DEFAULT_COUNT, read_clip_frames, spread_numbers
from vidtrans.data.dataset import Dataset
from vidtrans.errors import MediaError
from vidtrans.pairing.base import Pairing, input_frames
from vidtrans.session import Context
from vidtrans.settings import Size
from vidtrans.training.validation import evenly, pair_input
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture, resize
from vidtrans.video.plots.layout import Sheet, cell_size

CELL = 240  # pixels on a picture's long side
COLUMNS = 6
PAIRING_SIDE = 256  # short side at which pairings see a frame, as in a dataset


def clip_sheet(clip: Clip, span: range, count: int | None, context: Context) -> Sheet:
    """Draw ``count`` of the frames ``span`` with their times and shots, or the names of the pictures."""
    numbers = [span[n] for n in spread_numbers(len(span), count)]
    pictures, notes = [], []
    for frame in read_clip_frames(clip, numbers, FrameFormat(), context):
        pictures.append(resize(frame.rgb, *cell_size(frame.rgb, CELL)))
        notes.append(_moment(clip, frame.index))
    index = clip.index
    title = f"{clip.path.name}: {index.num_frames} frames, {index.width}x{index.height}, {len(clip.shots)} shots"
    return _in_columns(title, pictures, notes)


def _moment(clip: Clip, number: int) -> str:
    if clip.index.names:
        return clip.index.names[number]
    seconds = float((clip.index.pts[number] - clip.index.pts[0]) * clip.index.time_base)
    shot = sum(first <= number for first in clip.shots)
    return f"{seconds:.2f} s  frame {number}" + (f"  shot {shot}" if len(clip.shots) > 1 else "")


def pairing_sheet(clip: Clip, pairings: Sequence[Pairing], span: range, count: int | None, context: Context) -> Sheet:
    """Draw a few frames, and beside each its input with each of the pairings."""
    rows, notes = [], []
    for number in (span[n] for n in spread_numbers(len(span), count, 3)):
        shot = max(s for s in clip.shots if s <= number)
        wanted = sorted({n for p in pairings for n in input_frames(p, number, shot)} | {number})
        frames = {
            f.index: f.rgb for f in read_clip_frames(clip, wanted, FrameFormat(Size(short=PAIRING_SIDE)), context)
        }
        rng = np.random.Generator(np.random.Philox(key=number))
        inputs = [
            p.preview(p.training_input([frames[n] for n in input_frames(p, number, shot)], rng)) for p in pairings
        ]
        rows.append([frames[number], *inputs])
        notes.append([_moment(clip, number)])
    columns = ("frame", *(p.name for p in pairings))
    return Sheet(f"{clip.path.name}: what a network sees", rows, cell_size(rows[0][0], 300), columns, notes)


def dataset_sheet(dataset: Dataset, count: int | None) -> Sheet:
    """Draw pairs of a dataset, input beside target, with the names of the pictures to delete."""
    wanted = len(dataset.pairs) if count == 0 else count or DEFAULT_COUNT
    pairing = dataset.pairing
    cells, notes = [], []
    for pair in evenly(dataset.pairs, wanted):
        target = read_picture(pair.target)
        cell = np.hstack([pairing.preview(pair_input(pairing, pair)), target])
        cells.append(resize(cell, *cell_size(cell, 2 * CELL)))
        name = pair.target.relative_to(dataset.folder).as_posix()
        notes.append(name if pair.role == "train" else f"{name}  (held out)")
    if not cells:
        raise MediaError(str(dataset.folder), "it has no pairs", "make it again, or --restore its pictures")
    title = f"{dataset.folder.name}: {len(dataset.pairs)} pairs, '{pairing.name}'; delete a picture and its pair goes"
    return _in_columns(title, cells, notes, columns=COLUMNS // 2, side=2 * CELL)


def _in_columns(
    title: str, pictures: Sequence[np.ndarray], notes: Sequence[str], columns: int = COLUMNS, side: int = CELL
) -> Sheet:
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    lines = [notes[i : i + columns] for i in range(0, len(notes), columns)]
    return Sheet(title, rows, cell_size(pictures[0], side), (), lines)
