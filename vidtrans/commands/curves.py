"""``vidtrans curves``: show the values of curves (settings that change over time) over a clip, with its sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import WRITE_OPTIONS, Command
from vidtrans.commands.options import CUTS_OPTION, check_suffix
from vidtrans.commands.results import SampledCurves
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.settings import Table
from vidtrans.session import Context

if TYPE_CHECKING:
    from vidtrans.clips.indexing import Clip
    from vidtrans.curves.curve import CurveSamples

VERSION = 1  # Version of the written plot and value table, part of their cache key


@dataclass(frozen=True)
class Curves(Command):
    """Show the values of CURVEs over a clip, as a plot over its sound, a table, or a summary.

    A CURVE is a value of --strength, --mix and similar options: a number, an expression, keyframes, or a
    file of values.
    """

    CONTEXT: ClassVar = WRITE_OPTIONS
    RESULT: ClassVar = SampledCurves

    curve: tuple[str, ...] = argument("CURVE...", moves=(None, None))
    _: KW_ONLY
    clip: Path | None = option(None, "The clip over which the curves run.", Group.INPUT, metavar="VIDEO")
    sound: Path | None = option(
        None,
        "Sound for the curves; it starts at the first frame of the clip. Default: the sound of the clip.",
        Group.INPUT,
    )
    mask: str | None = option(
        None,
        "A mask. In a curve, the name 'mask' is the share of the picture that it covers.",
        Group.INPUT,
        metavar="MASK",
        access="path",
    )
    cuts: str = CUTS_OPTION("auto")
    output: Path | None = option(
        None,
        "The result: a .png with a plot over the sound, or a .csv with a value for each frame.",
        Group.OUTPUT,
        ("-o", "--output"),
    )

    def __post_init__(self) -> None:
        from vidtrans.curves.curve import parse_curve

        check_suffix(self.output, "a plot or a table", ".png", ".csv")
        if self.clip is None:
            raise UsageError("curves", "they run over a clip", "give --clip VIDEO")
        for text in self.curve:
            parse_curve(text, "CURVE")

    @classmethod
    def epilog(cls) -> str:
        """Return the help on the syntax of curves: names, signals, functions and key frames."""
        from vidtrans.curves.curve import EASINGS
        from vidtrans.curves.expressions import CALLS, FUNCTIONS, NAMES, form

        names = "; ".join(f"{name}: {what}" for name, what in NAMES.items())
        calls = "; ".join(f"{form(name)}: {call.help}" for name, call in CALLS.items())
        return (
            f"Names: {names}. Those of sound and picture (except beat and bar) are from 0 to 1, relative to this clip. "
            f"Signals: {calls}; 'FILE:COLUMN' in quotes: values of a .csv, .json or .mid file. "
            f"Functions: {' '.join(FUNCTIONS)}, with + - * / ^ and parentheses. "
            f"Key frames: '0: 0.2, 2.5s: low ease', with {', '.join(EASINGS)}."
        )

    def make(self, context: Context) -> Table:
        """Sample the curves over the clip; write the plot or the table, if requested. Raises UsageError, MediaError."""
        from vidtrans.clips.clip_signals import clip_clock, mask_shares
        from vidtrans.clips.cut_list import with_cuts
        from vidtrans.clips.indexing import open_clip
        from vidtrans.core.files import digest_of
        from vidtrans.core.mask_files import parse_mask
        from vidtrans.curves.curve import sample_curves
        from vidtrans.masking.found_masks import open_mask
        from vidtrans.output.result import produce

        assert self.clip is not None
        clip = with_cuts(open_clip(context, self.clip), self.cuts)
        frames, shares = clip.index.num_frames, None
        if self.mask is not None:
            mask = open_mask(parse_mask(self.mask), clip, 0, frames, context)
            shares = lambda: mask_shares(mask, frames, context.decode_threads)  # noqa: E731
        samples = sample_curves(self.curve, clip_clock(clip, self.sound, shares))
        table = {"output": None, "frames": frames, "seconds": 0.0, "cached": False}
        length = round(clip.index.duration_s, 3)
        facts = {"path": str(self.clip), "duration_s": length, "curves": samples.table()}
        if self.output is None:
            return table | facts
        key = {"command": "curves", "version": VERSION, "values": digest_of(facts["curves"]), "source": clip.digest}

        def prepare() -> Callable[[Path], Table]:
            """Return a function that writes the plot or the table to a path."""
            return lambda path: self._write(path, clip, samples) | {"frames": frames}

        return produce(context, self.output, key, [self.clip] if self.clip.is_file() else [], prepare) | facts

    def _write(self, path: Path, clip: Clip, samples: CurveSamples) -> Table:
        """Write the sampled curves to a path: a table (.csv), or else a plot over the sound's waveform."""
        from vidtrans.core.files import write_bytes
        from vidtrans.curves.hearing import waveform
        from vidtrans.video.images.picture import write_picture

        if path.suffix.lower() == ".csv":
            write_bytes(path, samples.csv().encode())
        else:
            peaks = waveform(self.sound or (clip.origin or clip).path, samples.seconds)
            write_picture(path, samples.plot(peaks, clip.shots[1:], clip.name))
        return {}

    def describe(self, table: Table) -> str:
        """Return the report on the curves, with small plots of characters, as text.

        ``table``: the result of ``make``.
        """
        from vidtrans.curves.curve import small_plot

        lines = [f"{table['path']}: {count(table['frames'], 'frame')}, {table['duration_s']:g} s"]
        for curve in table["curves"]:
            lines.append(f"{small_plot(curve['values'])}  {curve['curve']}")
            lines.append(f"  {curve['low']:.3g} to {curve['high']:.3g}, mean {curve['mean']:.3g}")
        verb = "would write" if table.get("dry_run") else "wrote"
        return "\n".join([*lines, *([f"{verb} {table['output']}"] if table["output"] else [])])
