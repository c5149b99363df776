"""``vidtrans compare``: labelled clips side by side, as a video or a sheet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar

from vidtrans.commands.base import WRITE_OPTIONS, Command
from vidtrans.commands.options import LABELS_OPTION, check_counts, output_option
from vidtrans.commands.results import MadePicture
from vidtrans.commands.text_reports import sheet_text
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.session import Context

VERSION = 3  # Version of the comparison's layout, part of its cache key


@dataclass(frozen=True)
class Compare(Command):
    """Show clips side by side under their names. Frames are matched by time. Timing and sound are those of A."""

    CONTEXT: ClassVar = (*WRITE_OPTIONS, "device")
    RESULT: ClassVar = MadePicture

    clips: tuple[Path, ...] = argument("A B...")
    output: Path | None = output_option("The result: a video, or a .png with a few frames.", "A.compare.mp4")
    _: KW_ONLY
    labels: tuple[str, ...] = LABELS_OPTION(())
    input_of: str | None = option(
        None, "Also show the input of this model for A.", Group.LOOK, ("--input",), file="model"
    )
    columns: int | None = option(
        None, "Number of clips in a row.", Group.OUTPUT, bounds=(1, 12), default_text="up to 3"
    )
    frames: int | None = option(None, "Number of frames in a .png.", Group.OUTPUT, bounds=(1, 100), default_text="4")
    start: Time | None = option(None, "Start time in A: HH:MM:SS.mmm, 12.5s, or a frame number from 0.", Group.TIME)
    end: Time | None = option(None, "End time in A (exclusive).", Group.TIME)

    def __post_init__(self) -> None:
        check_counts(columns=self.columns, frames=self.frames)
        if len(self.labels) > len(self.clips):
            why = f"{count(len(self.labels), 'label')} for {count(len(self.clips), 'clip')}"
            raise UsageError("--label", why, "give one per clip, in order")

    def make(self, context: Context) -> Table:
        """Write a labelled comparison of clips, as a video or a sheet.

        Frames are matched by number if the counts are equal, otherwise by time. Raises UsageError, MediaError,
        ModelError.
        """
        from vidtrans.clips.indexing import content_digest, open_clip
        from vidtrans.core.files import base_name
        from vidtrans.evaluation.comparison import clip_panel, delivery_of, draw_sheet, input_panel, write_video
        from vidtrans.models.loaded_model import load_model
        from vidtrans.output.result import produce, refuse_link
        from vidtrans.video.io.encoding import EncodingSettings
        from vidtrans.video.io.picture_paths import is_picture_source

        clips, start, end = self.clips, self.start, self.end
        suffix = ".png" if is_picture_source(clips[0]) else ".mp4"
        output = self.output or refuse_link(Path(f"{base_name(clips[0])}.compare{suffix}"))
        as_sheet = output.suffix.lower() == ".png"
        encoding = EncodingSettings(codec="h264")
        if not as_sheet:
            encoding.check_container(output, single=False)
        model = load_model(self.input_of, context) if self.input_of else None
        labels = [*self.labels, *(c.name for c in clips[len(self.labels) :])]
        key: Table = {
            "command": "compare",
            "version": VERSION,
            "clips": [content_digest(context, c) for c in clips],
            "labels": labels,
            "columns": None if as_sheet else self.columns,
            "input": model.for_key() if model else None,
            "count": self.frames if as_sheet else None,
            "sheet": as_sheet,
            **({"device": context.device_kind} if model and model.extractor else {}),
            **({"span": [str(start), str(end)]} if start or end else {}),
        }

        def prepare() -> Callable[[Path], Table]:
            """Open the clips; return a function that writes the comparison to a path."""
            opened = [open_clip(context, c) for c in clips]
            first, span = opened[0], range(*opened[0].trim(start, end))
            panels = [clip_panel(clip, first, span, label, context) for clip, label in zip(opened, labels, strict=True)]
            if model is not None:
                panels.insert(1, input_panel(first, model, context))
            if as_sheet:
                return lambda path: draw_sheet(panels, span, path, self.frames)
            delivery_of(first, span).check_sound(output, may_omit=False)
            columns = self.columns or min(3, len(panels))
            return lambda path: write_video(first, panels, span, path, columns, encoding, context)

        return produce(context, output, key, clips, prepare)

    def describe(self, table: Table) -> str:
        """Return the report on the written comparison as text. ``table``: the result of ``make``."""
        return sheet_text(table)
