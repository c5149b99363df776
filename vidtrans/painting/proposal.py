"""The frames of a clip that are best painted, tried on the clip itself, and the folder of them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from vidtrans.clips.indexing import Clip
from vidtrans.clips.sampling import read_clip_frames
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.settings import Size, Table
from vidtrans.painting.choosing import SHORT_SIDE, ShotChooser, allot, overall, sample_numbers
from vidtrans.session import Context
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.images.picture import resize, write_picture
from vidtrans.video.io.encoder import picture_names
from vidtrans.video.plots.layout import ContactSheet, cell_size

SUFFIX = ".keyframes"  # of the folder
FEWEST = 2  # where nobody says how many
SHEET, CELL, COLUMNS = "sheet.png", 360, 4


def shots_and_count(clip: Clip, span: range, count: int | None) -> tuple[list[range], int]:
    """Return the shots of a part of a clip, and how many frames to paint: ``count``, or by itself one in each shot.

    Raises UsageError where there are fewer than shots, or more than frames.
    """
    starts = [span.start, *(shot for shot in clip.shots if span.start < shot < span.stop), span.stop]
    shots = [range(first, stop) for first, stop in pairwise(starts)]
    wanted = max(min(FEWEST, len(span)), len(shots)) if count is None else count
    if wanted < len(shots):
        why = f"{clip.name} has {len(shots)} shots, and each needs one"
        raise UsageError(f"--count {wanted}", why, f"give {len(shots)} or more, or a part with --start and --end")
    if wanted > len(span):
        raise UsageError(f"--count {wanted}", f"there are {len(span)} frames", "give a smaller number")
    return shots, wanted


class Proposal:
    """The ``chosen`` frames of a clip, with the PSNR that they come to, and what one more would come to."""

    def __init__(self, clip: Clip, shots: Sequence[range], choosers: Sequence[ShotChooser], count: int) -> None:
        self.clip, self.shots = clip, shots
        lengths = [len(shot) for shot in shots]
        both = [allot(choosers, lengths, n) for n in (count, count + 1)]
        self.chosen, self.more = ([key for choice in choices for key in choice.keys] for choices in both)
        self.psnr, self.more_psnr = (overall(choices, lengths) for choices in both)

    @classmethod
    def of(cls, clip: Clip, shots: Sequence[range], wanted: int, context: Context) -> Proposal:
        """Try key frames of each of the ``shots``, and choose ``wanted`` of them all."""
        choosers = []
        for number, shot in enumerate(shots):
            context.report(Progress("trying key frames", number, len(shots)))
            numbers = sample_numbers(shot.start, shot.stop, wanted - len(shots) + 2)
            small = FrameFormat(Size(short=min(SHORT_SIDE, clip.index.width, clip.index.height)))
            frames = [frame.rgb for frame in read_clip_frames(clip, numbers, small, context)]
            choosers.append(ShotChooser(numbers, frames, wanted - len(shots) + 2))
            choosers[-1].best(1)
        return cls(clip, shots, choosers, wanted)

    def write(self, folder: Path, context: Context) -> None:
        """Write the frames at full size, by their numbers or as their pictures are called, and the sheet."""
        folder.mkdir()
        cells, notes = [], []
        index = self.clip.index
        names = [f"{Path(name).stem}.png" for name in index.names] or picture_names((), range(index.num_frames))
        if len(set(names)) < len(names):  # 1.png and 1.jpg
            names = [f"frame {number:06d}.png" for number in range(index.num_frames)]
        for frame in read_clip_frames(self.clip, self.chosen, DEFAULT_FORMAT, context):
            write_picture(folder / names[frame.index], frame.rgb)
            cells.append(resize(frame.rgb, *cell_size(frame.rgb, CELL)))
            notes.append(f"frame {frame.index}, {self._seconds(frame.index):.2f} s")
        rows = [cells[n : n + COLUMNS] for n in range(0, len(cells), COLUMNS)]
        lines = [notes[n : n + COLUMNS] for n in range(0, len(notes), COLUMNS)]
        title = f"{self.clip.name}: paint over these frames"
        write_picture(folder / SHEET, ContactSheet(title, rows, cell_size(cells[0], CELL), (), lines).draw())

    def table(self) -> Table:
        """Return what is reported."""
        more = self.more if len(self.more) > len(self.chosen) else []
        return {
            "frames": len(self.chosen),
            "keyframes": self.chosen,
            "keyframes_s": [round(self._seconds(number), 3) for number in self.chosen],
            "psnr": round(self.psnr, 2),
            "one_more": more,
            "one_more_psnr": round(self.more_psnr, 2) if more else None,
            "shots": len(self.shots),
        }

    def _seconds(self, number: int) -> float:
        index = self.clip.index
        return float((index.pts[number] - index.pts[0]) * index.time_base)
