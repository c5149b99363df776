"""Contact sheets: of a clip's frames, of what pairings make of them, of a dataset's pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.clips.sampling import DEFAULT_COUNT, read_clip_frames, spread_numbers
from vidtrans.clips.sampling import segment_centres as segment_centres
from vidtrans.data.dataset import INDEX, Dataset, open_dataset
from vidtrans.errors import MediaError, UsageError
from vidtrans.files import base_name
from vidtrans.flow.survey import VERSION as SURVEY_VERSION
from vidtrans.output.target import produce, refuse_link
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing, input_frames, make_pairing, pairing_record
from vidtrans.pipeline.make_dataset import dataset_digest
from vidtrans.session import Context
from vidtrans.settings import Size, Table
from vidtrans.training.validation import evenly, shown_of
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture, resize, write_picture
from vidtrans.video.plots.layout import Sheet, cell_size

VERSION = 1
CELL = 240  # pixels on a picture's long side
COLUMNS = 6
PAIRING_SIDE = 256  # short side at which pairings see a frame, as in a dataset


def default_output(source: Path) -> Path:
    return Path(f"{base_name(source).removesuffix('.dataset')}.sheet.png")


def make_sheet(
    source: Path,
    output: Path | None,
    context: Context,
    *,
    count: int | None = None,
    pairings: Sequence[str] = (),
) -> Table:
    """Write a contact sheet of a video, a folder of pictures, or a dataset, and return what is reported of it.

    ``count``: how many frames or pairs, 0 for all of them. ``pairings``: what each of these would show a network,
    beside the frame. Raises UsageError, MediaError.
    """
    output = output or refuse_link(default_output(source))
    is_dataset = (source / INDEX).is_file()
    if output.suffix.lower() != ".png":
        raise UsageError(str(output), "a sheet is a picture", f"use -o {output.with_suffix('.png')}")
    made = [make_pairing(PAIRINGS, name, {}) for name in pairings]
    for pairing in made:
        if pairing.needs_target:
            why = "its input is not made of the frame"
            raise UsageError(f"--pairing {pairing.name}", why, "choose one that makes its own pairs")
    if is_dataset and made:
        raise UsageError("--pairing", f"{source} is a dataset, it has one", "give a video")
    request = {
        "command": "sheet",
        "version": [VERSION, SURVEY_VERSION],
        "source": dataset_digest(context, open_dataset(source)) if is_dataset else content_digest(context, source),
        "count": count,
        "pairings": [pairing_record(p) for p in made],
    }

    def draw(path: Path) -> Table:
        if is_dataset:
            sheet = dataset_sheet(open_dataset(source), count)
        elif made:
            sheet = pairing_sheet(open_clip(context, source), made, count, context)
        else:
            sheet = clip_sheet(open_clip(context, source), count, context)
        write_picture(path, sheet.draw())
        return {"frames": sum(len(row) for row in sheet.rows)}

    return produce(context, output, request, [source] if source.is_file() else [], draw)


def clip_sheet(clip: Clip, count: int | None, context: Context) -> Sheet:
    """Frames of a clip with their times and shots, or the names of the pictures."""
    numbers = spread_numbers(clip.index.num_frames, count)
    pictures, notes = [], []
    for frame in read_clip_frames(clip, numbers, FrameFormat(), context):
        pictures.append(resize(frame.rgb, *cell_size(frame.rgb, CELL)))  # at once: a long sheet holds many
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


def pairing_sheet(clip: Clip, pairings: Sequence[Pairing], count: int | None, context: Context) -> Sheet:
    """A few frames, and beside each what a network would see of it, trained with each of the pairings."""
    rows, notes = [], []
    for number in spread_numbers(clip.index.num_frames, count, 3):
        shot = max(s for s in clip.shots if s <= number)
        wanted = sorted({n for p in pairings for n in input_frames(p, number, shot)} | {number})
        seen = {f.index: f.rgb for f in read_clip_frames(clip, wanted, FrameFormat(Size(short=PAIRING_SIDE)), context)}
        rng = np.random.Generator(np.random.Philox(key=number))
        shown = [p.preview(p.training_input([seen[n] for n in input_frames(p, number, shot)], rng)) for p in pairings]
        rows.append([seen[number], *shown])
        notes.append([_moment(clip, number)])
    columns = ("frame", *(p.name for p in pairings))
    return Sheet(f"{clip.path.name}: what a network sees", rows, cell_size(rows[0][0], 300), columns, notes)


def dataset_sheet(dataset: Dataset, count: int | None) -> Sheet:
    """Pairs of a dataset, input beside target, with the names of the pictures to delete."""
    wanted = len(dataset.pairs) if count == 0 else count or DEFAULT_COUNT
    pairing = dataset.pairing
    cells, notes = [], []
    for pair in evenly(dataset.pairs, wanted):
        target = read_picture(pair.target)
        cell = np.hstack([pairing.preview(shown_of(pairing, pair)), target])
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
