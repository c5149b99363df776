"""Clips side by side, with names over them: a video with the first one's timing and sound, or a sheet of frames."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.clips.matte import match_frames
from vidtrans.clips.sampling import spread_numbers
from vidtrans.errors import UsageError
from vidtrans.evaluation.scoring import Beside
from vidtrans.events import Progress
from vidtrans.files import base_name
from vidtrans.models.loaded_model import Look, find_look
from vidtrans.output.target import produce, refuse_link
from vidtrans.pairing.base import pairing_record
from vidtrans.rendering.frame_renderer import Inputs
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join
from vidtrans.video.io.pictures import is_picture_source
from vidtrans.video.io.stream_copy import StreamCopy
from vidtrans.video.plots.layout import GAP, Sheet, blank, cell_size, fit, text_band

VERSION = 1
WIDEST = 1920  # pixels, of a comparison
SHEET_FRAMES = 4


@dataclass(frozen=True)
class Panel:
    """One place of a comparison: ``frames`` yields its picture for each frame of the first clip."""

    label: str
    frames: Callable[[list[int]], Generator[np.ndarray, None, None]]


def default_output(clips: Sequence[Path]) -> Path:
    return Path(f"{base_name(clips[0])}.compare{'.png' if is_picture_source(clips[0]) else '.mp4'}")


def compare(
    clips: Sequence[Path],
    output: Path | None,
    context: Context,
    *,
    labels: Sequence[str] = (),
    columns: int | None = None,
    input_of: str | None = None,
    count: int | None = None,
) -> Table:
    """Write a labelled comparison of clips and return what is reported of it.

    Frames go together by number where there are as many, else by time. ``input_of``: also show what this model
    sees of the first clip. A ``.png`` is a sheet of ``count`` frames. Raises UsageError, MediaError, ModelError.
    """
    output = output or refuse_link(default_output(clips))
    if len(labels) > len(clips):
        raise UsageError("--label", f"{len(labels)} labels for {len(clips)} clips", "give one a clip, in order")
    as_sheet = output.suffix.lower() == ".png"
    encoding = EncodingSettings(codec="h264")
    if not as_sheet:
        encoding.check_container(output, single=False)
    look = find_look(input_of, context) if input_of else None
    names = [*labels, *(c.name for c in clips[len(labels) :])]
    request: Table = {
        "command": "compare",
        "version": VERSION,
        "clips": [content_digest(context, c) for c in clips],
        "labels": names,
        "columns": None if as_sheet else columns,
        "input": [look.digest, pairing_record(look.pairing)] if look else None,
        "count": count if as_sheet else None,
        "sheet": as_sheet,
    }

    def make(path: Path) -> Table:
        opened = [open_clip(context, c) for c in clips]
        panels = [_panel(clip, opened[0], label, context) for clip, label in zip(opened, names, strict=True)]
        if look is not None:
            panels.insert(1, _input_panel(opened[0], look, context))
        if as_sheet:
            return draw_sheet(opened[0], panels, path, count)
        return write_video(opened[0], panels, path, columns or min(3, len(panels)), encoding, context)

    return produce(context, output, request, clips, make)


def _panel(clip: Clip, first: Clip, label: str, context: Context) -> Panel:
    steps, told = match_frames(first.index, clip.index, 0, first.index.num_frames, name=first.path.name)
    if told:
        context.note(f"{clip.path.name}: {told}", "warning")

    def frames(numbers: list[int]) -> Generator[np.ndarray, None, None]:
        return Beside(clip, [steps[n] for n in numbers]).pictures(context)

    return Panel(label, frames)


def _input_panel(clip: Clip, look: Look, context: Context) -> Panel:
    """What a network sees of the clip at the size that it was trained at."""
    pairing = look.pairing
    if len(pairing.offsets) > 1 or pairing.guides:
        why = f"pairing '{pairing.name}' shows it more than the frame"
        raise UsageError("--input", why, "compare without it")
    size = look.working_size("trained", (clip.index.width, clip.index.height))

    inputs = Inputs(pairing)

    def frames(numbers: list[int]) -> Generator[np.ndarray, None, None]:
        for number, rgb in zip(numbers, Beside(clip, numbers).pictures(context), strict=True):
            yield pairing.preview(inputs([Frame(number, 0, resize(rgb, *size))]))

    return Panel(f"what {look.name} sees", frames)


def draw_sheet(first: Clip, panels: Sequence[Panel], path: Path, count: int | None) -> Table:
    """A row for each of a few frames, a column for each panel."""
    numbers = spread_numbers(first.index.num_frames, count, SHEET_FRAMES)
    side = min(480, WIDEST // len(panels))
    columns = [[resize(f, *cell_size(f, side)) for f in p.frames(numbers)] for p in panels]
    rows = list(zip(*columns, strict=True))
    cell = cell_size(rows[0][0], side)
    write_picture(path, Sheet("", rows, cell, [p.label for p in panels]).draw())
    return {"frames": len(rows), "panels": len(panels)}


def write_video(
    first: Clip, panels: Sequence[Panel], path: Path, columns: int, encoding: EncodingSettings, context: Context
) -> Table:
    """The panels in a grid, with the first clip's timestamps and sound."""
    index = first.index
    layout = Grid.of((index.width, index.height), [p.label for p in panels], columns)
    numbers = list(range(index.num_frames))
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as place, ExitStack() as stack:
        segment = Path(place) / "segment.nut"
        form = PictureFormat(*layout.size, index.sample_aspect_ratio, index.time_base, index.rate)
        writer = stack.enter_context(closing(SegmentWriter(segment, form, encoding)))
        streams = [stack.enter_context(closing(p.frames(numbers))) for p in panels]
        for number, pictures in zip(numbers, zip(*streams, strict=True), strict=True):
            writer.write(layout.draw(pictures), index.pts[number])
            context.stop.check()
            context.report(Progress("comparing", number + 1, len(numbers)))
        stack.close()
        begin = index.before_zero
        carried = (
            None if first.is_pictures else StreamCopy(first.path, shift_s=-begin * index.time_base, rate=index.rate)
        )
        timing = Timing([p - begin for p in index.pts], index.durations(), index.time_base)
        join([segment], timing, path, carried, context.report, context.stop)
    return {"frames": len(numbers), "panels": len(panels), "size": list(layout.size)}


@dataclass(frozen=True)
class Grid:
    """Where panels go: ``cell`` is (width, height) of a panel's picture; ``bands`` are the labels over them."""

    cell: tuple[int, int]
    columns: int
    bands: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, picture: tuple[int, int], labels: Sequence[str], columns: int) -> Grid:
        """For panels as large as ``picture`` (width, height), or smaller where the whole would grow too wide."""
        columns = max(1, min(columns, len(labels)))
        width = min(picture[0], (WIDEST - GAP) // columns - GAP)
        height = max(1, round(picture[1] * width / picture[0]))
        return cls((width, height), columns, tuple(text_band(label, width) for label in labels))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the whole, even in both."""
        rows = -(-len(self.bands) // self.columns)
        width = self.columns * (self.cell[0] + GAP) + GAP
        height = rows * (self.cell[1] + self.bands[0].shape[0] + GAP)
        return width + width % 2, height + height % 2

    def draw(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """One (H, W, 3) uint8 picture a panel → the whole."""
        whole = blank(*self.size)
        label_height = self.bands[0].shape[0]
        for at, (picture, band) in enumerate(zip(pictures, self.bands, strict=True)):
            x = GAP + at % self.columns * (self.cell[0] + GAP)
            y = at // self.columns * (self.cell[1] + label_height + GAP)
            whole[y : y + label_height, x : x + self.cell[0]] = band
            whole[y + label_height : y + label_height + self.cell[1], x : x + self.cell[0]] = fit(picture, *self.cell)
        return whole
