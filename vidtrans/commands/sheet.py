"""``vidtrans sheet``: write contact sheets of frames or pairs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import WRITE_OPTIONS, Command
from vidtrans.commands.options import END_OPTION, START_OPTION, check_suffix, output_option
from vidtrans.commands.results import MadePicture
from vidtrans.commands.text_reports import sheet_text
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, Names, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.video import plots

VERSION = 2  # Version of the sheet's layout, part of its cache key


@dataclass(frozen=True)
class Sheet(Command):
    """Put frames of a clip, or pairs of a dataset, into one picture."""

    CONTEXT: ClassVar = (*WRITE_OPTIONS, "device")
    RESULT: ClassVar = MadePicture

    source: Path = argument("VIDEO|DATASET")
    output: Path | None = output_option("The sheet.", "NAME.sheet.png")
    _: KW_ONLY
    count: int | None = option(
        None,
        "Number of frames or pairs; 0: all.",
        Group.OUTPUT,
        ("-n", "--count"),
        bounds=(0, 10**6),
        default_text="24; with --pairing 3",
    )
    pairings: tuple[str, ...] = option(
        (),
        "Show the input that this pairing makes from the frames. model:FILE shows the output of a network. "
        "Can be repeated.",
        Group.LOOK,
        ("--pairing",),
        choices=Names("vidtrans.pairing:PAIRINGS", "pairing", prefix="model:"),
    )
    start: Time | None = START_OPTION(None)
    end: Time | None = END_OPTION(None)

    def __post_init__(self) -> None:
        check_suffix(self.output, "a sheet", ".png")

    def make(self, context: Context) -> Table:
        """Write a contact sheet of a video, a folder of pictures, or a dataset. Raises UsageError, MediaError."""
        from vidtrans.clips.indexing import content_digest, open_clip
        from vidtrans.core.files import DATASET_FILE, base_name
        from vidtrans.data.dataset import open_dataset
        from vidtrans.data.making import dataset_digest
        from vidtrans.evaluation.contact_sheet import (
            SheetPairing,
            check_has_pictures,
            clip_sheet,
            dataset_sheet,
            pairing_sheet,
        )
        from vidtrans.flow.survey import VERSION as SURVEY_VERSION
        from vidtrans.output.result import produce, refuse_link
        from vidtrans.pairing.pairing_records import pairing_record
        from vidtrans.video.images.picture import write_picture

        source, start, end = self.source, self.start, self.end
        output = self.output or refuse_link(Path(f"{base_name(source).removesuffix('.dataset')}.sheet.png"))
        is_dataset = (source / DATASET_FILE).is_file()
        columns = [SheetPairing.of(name, context) for name in self.pairings]
        pairings = [one.pairing for one in columns]
        for pairing in pairings:
            if pairing.needs_target:
                why = "it cannot make its input from the frame"
                raise UsageError(f"--pairing {pairing.name}", why, "choose one that makes its own pairs")
        unread = "--pairing" if pairings else "--start and --end" if start or end else ""
        if is_dataset and unread:
            raise UsageError(unread, f"{source} is a dataset, not a clip", f"give a video, or leave out {unread}")
        key = {
            "command": "sheet",
            "version": [VERSION, SURVEY_VERSION],
            "source": dataset_digest(context, open_dataset(source)) if is_dataset else content_digest(context, source),
            "count": self.count,
            "pairings": [pairing_record(p) for p in pairings],
            **({"device": context.device_kind} if any(one.extractor for one in columns) else {}),
            **({"span": [str(start), str(end)]} if start or end else {}),
        }

        def prepare() -> Callable[[Path], Table]:
            """Open the clip or dataset; return a function that writes the sheet to a path."""
            if is_dataset:
                dataset = open_dataset(source)
                check_has_pictures(dataset)
                return lambda path: write(path, dataset_sheet(dataset, self.count))
            clip = open_clip(context, source)
            span = range(*clip.trim(start, end))
            if pairings:
                return lambda path: write(path, pairing_sheet(clip, columns, span, self.count, context))
            return lambda path: write(path, clip_sheet(clip, span, self.count, context))

        def write(path: Path, sheet: plots.ContactSheet) -> Table:
            """Draw a contact sheet into a file; return the number of pictures on it."""
            write_picture(path, sheet.draw())
            return {"frames": sum(picture is not None for row in sheet.rows for picture in row)}

        return produce(context, output, key, [source] if source.is_file() else [], prepare)

    def describe(self, table: Table) -> str:
        """Return the report on the written sheet as text. ``table``: the result of ``make``."""
        return sheet_text(table)
