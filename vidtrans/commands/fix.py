"""``vidtrans fix``: propagate corrections, painted over frames of a result, and write the corrected result."""

from __future__ import annotations

from dataclasses import KW_ONLY, MISSING, dataclass
from pathlib import Path
from typing import ClassVar

from vidtrans.commands.base import CACHE_OPTIONS, Command
from vidtrans.commands.options import FIRST_NUMBER_OPTION, mask_option, output_option
from vidtrans.commands.results import RenderedClip
from vidtrans.commands.text_reports import cost_text, timing
from vidtrans.core.costs import count
from vidtrans.core.mask_files import optional_mask
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.propagation.requests import FixRequest
from vidtrans.session import Context


@dataclass(frozen=True)
class Fix(Command):
    """Correct a few frames by hand, and apply the corrections to the rest of the clip.

    You paint over frames of RENDER, a result of 'propagate' or 'stylize'. The command compares the painted frames with
    RENDER to find the corrections. Everything else stays as it is. To undo a correction, remove its picture and run the
    command again.
    """

    CONTEXT: ClassVar = CACHE_OPTIONS
    RESULT: ClassVar = RenderedClip

    render: Path = argument()
    painted: Path = option(
        MISSING,
        "The painted frames of RENDER: pictures with the frame's number in their names.",
        Group.INPUT,
        metavar="DIR",
    )
    output: Path | None = output_option("The result.", "RENDER.fixed, with its ending")
    _: KW_ONLY
    relearn: bool = option(
        False,
        "Train the network on the corrected frames, and render the whole clip again. Use it for a look that "
        "is wrong in all frames.",
        Group.TRAINING,
        form="main",
    )

    mask: str | None = mask_option("Apply corrections")
    first_number: int | None = FIRST_NUMBER_OPTION(None)
    program: tuple[str, ...] = option(
        (),
        "A filter graph, encoder or encoder options for your own ffmpeg, as used for RENDER. You must give it "
        "again, because the record of a render never starts a program. Can be repeated.",
        Group.INPUT,
        access="program",
        rare=True,
    )

    def make(self, context: Context) -> Table:
        """Propagate corrections, which were painted over frames of a result, through the whole result.

        Pixels without corrections stay unchanged, bit for bit with a lossless codec. Raises UsageError, MediaError,
        Interrupted.
        """
        from vidtrans.propagation.fixing import fix

        options = self.relearn, self.first_number, self.program, optional_mask(self.mask)
        return fix(FixRequest(self.render, self.painted, self.output, *options), context)

    def describe(self, table: Table) -> str:
        """Return the report on the corrected clip as text. ``table``: the result of ``make``."""
        corrected, frames = count(len(table["corrections"]), "correction"), count(table["frames"], "frame")
        if table.get("dry_run"):
            return f"would carry {corrected} through {frames} of {table['output']}{cost_text(table)}"
        return f"{table['output']}: {frames}, {corrected}{timing(table)}"
