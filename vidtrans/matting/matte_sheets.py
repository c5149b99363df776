"""Sheets of pictures beside mattes: what is cut out of painted frames, and of frames of the whole clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.files import write_atomically
from vidtrans.core.settings import Size
from vidtrans.matting.found_mattes import FoundMattes
from vidtrans.matting.things import PaintedFrame
from vidtrans.output.places import check_parents, check_place, refuse_link
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture
from vidtrans.video.plots.layout import ContactSheet, cell_size

FRAMES, CELL, COLUMNS = 12, 480, 3
SHADE = 0.3  # of what is outside


@dataclass(frozen=True)
class MatteSheets:
    """The sheets beside a result, ``output``, of mattes of a clip. ``sources``: files that they must not replace."""

    output: Path
    sources: Sequence[Path]
    clip: Clip
    context: Context

    def check(self) -> None:
        """Raise UsageError where a sheet would replace a source, or lie behind a link."""
        for what in ("painted", "sheet"):
            self._beside(what)

    @property
    def place(self) -> Path:
        """Return the path of the sheet of the whole clip."""
        return self._beside("sheet")

    def _beside(self, what: str) -> Path:
        path = refuse_link(self.output.parent / f"{self.output.name}.{what}.png")
        check_place(path, self.sources, folder=False)
        return path

    def show_painted(self, painted: Mapping[int, PaintedFrame]) -> None:
        """Write the sheet of the painted frames, before anything that takes long."""
        pictures = [shown(one.picture, np.maximum.reduce([*one.mattes.values()])) for one in painted.values()]
        notes = [f"frame {frame}" + (", from strokes" if one.grown else "") for frame, one in painted.items()]
        path = self._beside("painted")
        self._write(path, pictures, notes, f"{self.clip.name}: painted frames")
        self.context.note(f"what is cut out of the painted frames: {path}")

    def show_frames(self, mattes: Mapping[str, FoundMattes], span: tuple[int, int]) -> Path:
        """Write the sheet of frames of the whole span, with the confidence; return its path."""
        first, stop = span
        numbers = [first + n for n in segment_centres(stop - first, min(FRAMES, stop - first))]
        size = next(iter(mattes.values())).source.size
        pictures, notes = [], []
        for frame in read_clip_frames(self.clip, numbers, FrameFormat(Size(exact=size)), self.context):
            found = [one.at(frame.index) for one in mattes.values()]
            whole = np.maximum.reduce([one.matte for one in found])
            pictures.append(shown(frame.rgb, np.rint(255 * whole).astype(np.uint8)))
            notes.append(f"frame {frame.index}, confidence {min(one.confidence for one in found):.2f}")
        self._write(self.place, pictures, notes, self.clip.name)
        return self.place

    def _write(self, path: Path, pictures: Sequence[np.ndarray], notes: Sequence[str], title: str) -> None:
        rows = [pictures[n : n + COLUMNS] for n in range(0, len(pictures), COLUMNS)]
        lines = [notes[n : n + COLUMNS] for n in range(0, len(notes), COLUMNS)]
        check_parents(path)
        with write_atomically(path) as temporary:
            write_picture(temporary, ContactSheet(title, rows, cell_size(pictures[0], CELL), (), lines).draw())


def shown(picture: np.ndarray, matte: np.ndarray) -> np.ndarray:
    """Return a picture (H, W, 3) uint8, darkened outside of a matte (H, W) uint8."""
    inside = matte[..., None].astype(np.float32) / 255
    return np.asarray(np.rint(picture * (SHADE + (1 - SHADE) * inside)), np.uint8)
