"""``vidtrans keyframes``: choose the frames of a clip to paint, and write them as pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import ClassVar

from vidtrans.commands.base import WRITE_OPTIONS, Command
from vidtrans.commands.options import CUTS_OPTION, END_OPTION, START_OPTION, check_counts, output_option
from vidtrans.commands.results import MadePicture
from vidtrans.commands.text_reports import shell_path, timing
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table, Time
from vidtrans.session import Context

VERSION = 2  # Version of the method that chooses key frames, part of the cache key
# Advice that is printed after the command, with {} for the clip and for the folder of key frames.
# It is one literal, because a test checks the option names in texts.
NEXT_STEP = "paint over them, then vidtrans propagate {} --keyframes {}"


@dataclass(frozen=True)
class Keyframes(Command):
    """Choose the best frames of a clip for painting, and write them as pictures.

    The command also prints a score: how well the chosen frames reconstruct the other frames along the motion.
    """

    CONTEXT: ClassVar = WRITE_OPTIONS
    RESULT: ClassVar = MadePicture

    video: Path = argument()
    output: Path | None = output_option("The folder for the chosen frames, to paint over.", "NAME.keyframes")
    _: KW_ONLY
    count: int | None = option(
        None,
        "Number of frames.",
        Group.OUTPUT,
        ("-n", "--count"),
        bounds=(1, 1000),
        default_text="one for each shot, at least two",
        form="main",
    )
    start: Time | None = START_OPTION(None)
    end: Time | None = END_OPTION(None)
    cuts: str = CUTS_OPTION("auto")

    def __post_init__(self) -> None:
        check_counts(count=self.count)

    def make(self, context: Context) -> Table:
        """Write the best frames to paint, and a contact sheet of them. Raises UsageError, MediaError."""
        from vidtrans.clips.cut_list import cuts_for_key, with_cuts
        from vidtrans.clips.indexing import content_digest, open_clip
        from vidtrans.core.files import base_name
        from vidtrans.flow.survey import VERSION as SURVEY_VERSION
        from vidtrans.output.result import produce, recorded, refuse_link
        from vidtrans.painting.choosing import SUFFIX, Proposal, shots_and_count
        from vidtrans.painting.maps import MAPS_VERSION
        from vidtrans.rendering.requested_output import is_one_picture

        video = self.video
        if is_one_picture(video):
            raise UsageError(str(video), "it is one picture", "give a video or a folder of pictures")
        output = self.output or refuse_link(Path(base_name(video) + SUFFIX))
        if output.is_dir() and any(output.iterdir()) and recorded(context.cache, output) is None:
            # Not even --overwrite replaces the folder, which may contain hours of painting.
            why = "it contains files that this command did not write, or that were painted over"
            raise UsageError(str(output), why, "choose another folder with -o")
        key = {
            "command": "keyframes",
            "version": [VERSION, MAPS_VERSION, SURVEY_VERSION],
            "source": content_digest(context, video),
            "count": self.count,
            "span": [str(self.start), str(self.end)],
            "cuts": cuts_for_key(self.cuts),
        }

        def prepare() -> Callable[[Path], Table]:
            """Open the clip and find its shots; return a function that writes the key frames to a folder."""
            clip = with_cuts(open_clip(context, video), self.cuts)
            if not clip.index.same_size:
                raise UsageError(str(video), "its pictures are not of one size", "give pictures of one size")
            shots, num_keyframes = shots_and_count(clip, range(*clip.trim(self.start, self.end)), self.count)

            def make(folder: Path) -> Table:
                """Choose the key frames, and write them and a contact sheet to ``folder``; return the scores."""
                proposal = Proposal.of(clip, shots, num_keyframes, context)
                proposal.write(folder, context)
                return proposal.table()

            return make

        return produce(context, output, key, [video] if video.is_file() else [], prepare, folder=True)

    def describe(self, table: Table) -> str:
        """Return the chosen frames and the next command, as text. ``table``: the result of ``make``."""
        if table.get("dry_run"):
            return f"would write {table['output']}"
        numbers = ", ".join(map(str, table["keyframes"]))
        text = f"{table['output']}: {count(table['frames'], 'frame')} to paint ({numbers}){timing(table)}"
        text += f"\nthe clip itself, made of these, comes back at {table['psnr']:.1f} dB"
        if table["one_more"]:
            more = ", ".join(map(str, table["one_more"]))
            text += f"; with one more ({more}) at {table['one_more_psnr']:.1f} dB"
        video, folder = shell_path(str(self.video)), shell_path(table["output"])
        return f"{text}\nnext: " + NEXT_STEP.format(video, folder)
