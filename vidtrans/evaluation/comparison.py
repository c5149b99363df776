"""Compare clips side by side in labelled panels, as a video with the first clip's times, or as a contact sheet."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.clips.aligned_clip import match_frames
from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import spread_numbers
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Table
from vidtrans.evaluation.scoring import AlignedSource
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.output.delivery import Delivery
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.rendering.extraction import FrameExtractor, resized
from vidtrans.rendering.frame_renderer import ModelInputs
from vidtrans.session import Context
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.io.clip import Frame
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import join
from vidtrans.video.plots import GAP, MAX_CELL_HEIGHT_PX, ContactSheet, blank_picture, cell_size, letterbox, text_band

MAX_WIDTH_PX = 1920  # Largest width of a comparison, in pixels
SHEET_FRAMES = 4  # Default number of rows (compared frames) of a sheet


@dataclass(frozen=True)
class Panel:
    """A labelled panel; ``frames`` yields a picture, (H, W, 3) uint8, for each frame number of the first clip."""

    label: str
    frames: Callable[[list[int]], Generator[np.ndarray, None, None]]


def clip_panel(clip: Clip, first: Clip, span: range, label: str, context: Context) -> Panel:
    """Return a panel that shows ``clip``, aligned with the frames ``span`` of the clip ``first``."""
    steps, note = match_frames(first.index, clip.index, span.start, span.stop, name=first.path.name)
    if note:
        context.note(f"{clip.path.name}: {note}", "warning")

    def frames(numbers: list[int]) -> Generator[np.ndarray, None, None]:
        """Yield the clip's pictures for these frame numbers of the first clip."""
        return AlignedSource(clip, [steps[n - span.start] for n in numbers]).pictures(context)

    return Panel(label, frames)


def input_panel(clip: Clip, model: LoadedModel, context: Context) -> Panel:
    """Return a panel that shows a model's input for each frame of a clip, at the training size. Raises UsageError."""
    pairing = model.pairing
    if len(pairing.offsets) > 1 or pairing.guides:
        why = f"pairing '{pairing.name}' makes the network's input from more than one frame"
        raise UsageError("--input", why, "leave out --input")
    size, inputs = model.working_size("auto", (clip.index.width, clip.index.height)), ModelInputs(pairing)
    extractor = FrameExtractor.of(model, RenderingSettings(), context)

    def frames(numbers: list[int]) -> Generator[np.ndarray, None, None]:
        """Yield the model's inputs for these frame numbers."""
        for number, rgb in zip(numbers, AlignedSource(clip, numbers).pictures(context), strict=True):
            yield pairing.preview(inputs([resized(Frame(number, 0, rgb), size, extractor)]))

    return Panel(f"what {model.name} sees", frames)


def draw_sheet(panels: Sequence[Panel], span: range, path: Path, count: int | None) -> Table:
    """Write a sheet with a row for each of ``count`` frames of ``span`` and a column per panel; return the report."""
    numbers = [span[n] for n in spread_numbers(len(span), count, SHEET_FRAMES)]
    side = min(480, MAX_WIDTH_PX // len(panels))
    columns = [[resize(f, *cell_size(f, side, MAX_CELL_HEIGHT_PX)) for f in p.frames(numbers)] for p in panels]
    rows = list(zip(*columns, strict=True))
    cell = cell_size(rows[0][0], side, MAX_CELL_HEIGHT_PX)
    write_picture(path, ContactSheet("", rows, cell, [p.label for p in panels]).draw())
    return {"frames": len(rows), "panels": len(panels)}


def delivery_of(first: Clip, span: range) -> Delivery:
    """Return the times and sound of the frames ``span`` of the first clip, as for a render; the codec is not used."""
    return Delivery(first, span, EncodingSettings(codec="ffv1"), trimmed=len(span) < first.index.num_frames)


def write_video(
    first: Clip,
    panels: Sequence[Panel],
    span: range,
    path: Path,
    columns: int,
    encoding: EncodingSettings,
    context: Context,
) -> Table:
    """Write a video of the panels in a grid, with the times and the sound of the frames ``span`` of the first clip.

    ``columns``: the number of panels in a row.
    """
    index, numbers = first.index, list(span)
    layout = _Grid.of((index.width, index.height), [p.label for p in panels], columns)
    with tempfile.TemporaryDirectory(prefix="vidtrans-") as place, ExitStack() as stack:
        segment = Path(place) / "segment.nut"
        form = PictureFormat(*layout.size, index.sample_aspect_ratio, index.time_base, index.rate)
        writer = stack.enter_context(closing(SegmentWriter(segment, form, encoding)))
        streams = [stack.enter_context(closing(p.frames(numbers))) for p in panels]
        for done, pictures in enumerate(zip(*streams, strict=True)):
            writer.write(layout.draw(pictures), index.pts[numbers[done]])
            context.stop.check()
            context.report(Progress("comparing", done + 1, len(numbers)))
        stack.close()
        delivery = delivery_of(first, span)
        copied = delivery.assembly(folder=False).copied
        join([segment], delivery.times.timing, path, copied, context.report, context.stop)
    return {"frames": len(numbers), "panels": len(panels), "size": list(layout.size)}


@dataclass(frozen=True)
class _Grid:
    """The layout of panels in a grid: ``cell``, the (width, height) of a picture; ``bands``, the label pictures."""

    cell: tuple[int, int]
    columns: int
    bands: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, picture: tuple[int, int], labels: Sequence[str], columns: int) -> _Grid:
        """Return the layout for pictures of a (width, height) with these labels, within ``MAX_WIDTH_PX``."""
        columns = max(1, min(columns, len(labels)))
        width = min(picture[0], (MAX_WIDTH_PX - GAP) // columns - GAP)
        height = max(1, round(picture[1] * width / picture[0]))
        return cls((width, height), columns, tuple(text_band(label, width) for label in labels))

    @property
    def size(self) -> tuple[int, int]:
        """Return the (width, height) of the whole grid, which are even numbers for video codecs."""
        rows = -(-len(self.bands) // self.columns)
        width = self.columns * (self.cell[0] + GAP) + GAP
        height = rows * (self.cell[1] + self.bands[0].shape[0] + GAP)
        return width + width % 2, height + height % 2

    def draw(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Draw one picture per panel below its label; return the grid, (H, W, 3) uint8."""
        whole = blank_picture(*self.size)
        label_height = self.bands[0].shape[0]
        for at, (picture, band) in enumerate(zip(pictures, self.bands, strict=True)):
            x = GAP + at % self.columns * (self.cell[0] + GAP)
            y = at // self.columns * (self.cell[1] + label_height + GAP)
            whole[y : y + label_height, x : x + self.cell[0]] = band
            whole[y + label_height : y + label_height + self.cell[1], x : x + self.cell[0]] = letterbox(
                picture, *self.cell
            )
        return whole
