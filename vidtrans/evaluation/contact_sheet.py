"""Draw contact sheets of a clip's frames, of the network inputs that pairings make, and of a dataset's pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import DEFAULT_COUNT, read_clip_frames, spread_numbers
from vidtrans.core.costs import count as plural
from vidtrans.core.errors import MediaError
from vidtrans.core.settings import Size
from vidtrans.data.dataset import Dataset, Pair
from vidtrans.pairing.base import Pairing, input_frames
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.rendering.extraction import FrameExtractor, resized
from vidtrans.session import Context
from vidtrans.training.validation import pair_input, pick_evenly
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import read_picture, resize
from vidtrans.video.io.clip import Frame
from vidtrans.video.plots import MAX_CELL_HEIGHT_PX, ContactSheet, cell_size

CELL_SIDE_PX = 240  # Long side of a picture on a sheet, in pixels
COLUMNS = 6  # Number of pictures in a row of a sheet
PAIRING_SIDE_PX = 256  # Short side of the frames from which pairings make inputs, as in a dataset, in pixels


def clip_sheet(clip: Clip, span: range, count: int | None, context: Context) -> ContactSheet:
    """Return a sheet of ``count`` frames of ``span`` with their times and shots, or with the names of picture files."""
    numbers = [span[n] for n in spread_numbers(len(span), count)]
    pictures, notes = [], []
    for frame in read_clip_frames(clip, numbers, FrameFormat(), context):
        pictures.append(resize(frame.rgb, *cell_size(frame.rgb, CELL_SIDE_PX)))
        notes.append(_moment(clip, frame.index))
    index = clip.index
    frames, shots = plural(index.num_frames, "frame"), plural(len(clip.shots), "shot")
    title = f"{clip.path.name}: {frames}, {index.width}x{index.height}, {shots}"
    return _in_columns(title, pictures, notes)


def _moment(clip: Clip, number: int) -> str:
    """Return the label of a frame: time, frame number and shot, or the name of its picture file."""
    if clip.index.names:
        return clip.index.names[number]
    seconds = float((clip.index.pts[number] - clip.index.pts[0]) * clip.index.time_base)
    shot = sum(first <= number for first in clip.shots)
    return f"{seconds:.2f} s  frame {number}" + (f"  shot {shot}" if len(clip.shots) > 1 else "")


@dataclass(frozen=True)
class SheetPairing:
    """A pairing whose inputs are shown, with the network that makes its input (an extractor), if it needs one."""

    pairing: Pairing
    extractor: FrameExtractor | None = None

    @classmethod
    def of(cls, text: str, context: Context) -> SheetPairing:
        """Parse a pairing, such as ``edges`` or ``model:FILE``. Raises UsageError, ModelError."""
        name, _, file = text.partition(":")
        pairing = make_pairing(name, {"model": file} if file else {})
        extractor = FrameExtractor.of_pairing(pairing, context)
        return cls(pairing if extractor is None else make_pairing(name, extractor.for_record()), extractor)

    def picture(self, frames: Sequence[Frame], rng: np.random.Generator) -> np.ndarray:
        """Return a preview of the network's input, (H, W, 3) uint8, for source frames, oldest first."""
        size = Size(short=PAIRING_SIDE_PX).of(*frames[0].rgb.shape[1::-1])
        small = [resized(frame, size, self.extractor).pictures for frame in frames]
        pictures = [p for picture, *others in small for p in (self.pairing.stored(picture), *others)]
        return self.pairing.preview(self.pairing.training_input(pictures, rng))


def pairing_sheet(
    clip: Clip, pairings: Sequence[SheetPairing], span: range, count: int | None, context: Context
) -> ContactSheet:
    """Return a sheet with a few frames, each next to the inputs that the pairings make from it."""
    rows, notes = [], []
    form = FrameFormat() if any(one.extractor for one in pairings) else FrameFormat(Size(short=PAIRING_SIDE_PX))
    for number in (span[n] for n in spread_numbers(len(span), count, 3)):
        shot = max(s for s in clip.shots if s <= number)
        wanted = sorted({n for one in pairings for n in input_frames(one.pairing, number, shot)} | {number})
        frames = {f.index: f for f in read_clip_frames(clip, wanted, form, context)}
        rng = np.random.Generator(np.random.Philox(key=number))
        inputs = [one.picture([frames[n] for n in input_frames(one.pairing, number, shot)], rng) for one in pairings]
        rows.append([frames[number].rgb, *inputs])
        notes.append([_moment(clip, number)])
    columns = ("frame", *(one.pairing.name for one in pairings))
    return ContactSheet(
        f"{clip.path.name}: what a network sees", rows, cell_size(rows[0][0], 300, MAX_CELL_HEIGHT_PX), columns, notes
    )


def check_has_pictures(dataset: Dataset) -> None:
    """Raise MediaError for an empty dataset."""
    if not dataset.pairs:
        what = "frames" if dataset.domains else "pairs"
        raise MediaError(
            str(dataset.folder), f"it has no {what}", "make it again, or add --restore to its make-dataset command"
        )


def dataset_sheet(dataset: Dataset, count: int | None) -> ContactSheet:
    """Return a sheet with a dataset's pairs, the input next to the target, labelled with file names.

    For an unpaired dataset, it shows the frames of each domain side by side.
    """
    if dataset.domains:
        return _domain_sheet(dataset, count)
    wanted = len(dataset.pairs) if count == 0 else count or DEFAULT_COUNT
    pairing = dataset.pairing
    cells, notes = [], []
    for pair in pick_evenly(dataset.pairs, wanted):
        target = read_picture(pair.target)
        cell = np.hstack([pairing.preview(pair_input(pairing, pair)), target])
        cells.append(resize(cell, *cell_size(cell, 2 * CELL_SIDE_PX)))
        notes.append(_name(dataset, pair))
    pairs = plural(len(dataset.pairs), "pair")
    title = f"{dataset.folder.name}: {pairs}, '{pairing.name}'; delete a picture to remove its pair"
    return _in_columns(title, cells, notes, columns=COLUMNS // 2, side=2 * CELL_SIDE_PX)


def _domain_sheet(dataset: Dataset, count: int | None) -> ContactSheet:
    """Return a sheet of ``count`` frames in columns below each domain's name; a small domain shows all frames."""
    domains, columns = dataset.domains, max(1, COLUMNS // len(dataset.domains))
    frames = [[p for p in dataset.pairs if p.domain == k] for k in range(len(domains))]
    wanted = max(map(len, frames)) if count == 0 else -(-(count or DEFAULT_COUNT) // len(domains))
    chosen = [pick_evenly(own, wanted) for own in frames]
    pictures = [
        [resize(picture, *cell_size(picture, CELL_SIDE_PX)) for picture in (read_picture(pair.target) for pair in own)]
        for own in chosen
    ]
    rows, notes = [], []
    for first in range(0, max(map(len, chosen)), columns):
        blank: list[None] = [None] * columns
        part = slice(first, first + columns)
        rows.append([p for own in pictures for p in (*own[part], *blank[len(own[part]) :])])
        names = [[_name(dataset, pair) for pair in own[part]] for own in chosen]
        notes.append([n for own in names for n in (*own, *[""] * (columns - len(own)))])
    sizes = [picture.shape for own in pictures for picture in own]
    cell = max(width for _, width, _ in sizes), max(height for height, *_ in sizes)
    headings = [h for name in domains for h in (name, *[""] * (columns - 1))]
    counts = ", ".join(f"{plural(len(own), 'frame')} of {name}" for name, own in zip(domains, frames, strict=True))
    title = f"{dataset.folder.name}: {counts}; delete a picture to leave it out of training"
    return ContactSheet(title, rows, cell, headings, notes)


def _name(dataset: Dataset, pair: Pair) -> str:
    """Return the path of a pair's target in the dataset, marked if the pair is held out from training."""
    name = pair.target.relative_to(dataset.folder).as_posix()
    return name if pair.role == "train" else f"{name}  (held out)"


def _in_columns(
    title: str, pictures: Sequence[np.ndarray], notes: Sequence[str], columns: int = COLUMNS, side: int = CELL_SIDE_PX
) -> ContactSheet:
    """Return a sheet with pictures in rows of ``columns``, each with its note below.

    ``side``: the long side of each picture, in pixels.
    """
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    lines = [notes[i : i + columns] for i in range(0, len(notes), columns)]
    return ContactSheet(title, rows, cell_size(pictures[0], side), (), lines)
