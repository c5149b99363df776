"""``vidtrans grade``: learn a colour grade, as a model or ``.cube`` table, from pictures before and after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vidtrans.commands.base import WRITE_OPTIONS, Command
from vidtrans.commands.options import MODEL_SUFFIX, check_suffix, output_option
from vidtrans.commands.text_reports import next_command, timing
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.options import Group, argument, option
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table
from vidtrans.grading import UNPAIRED_METHODS
from vidtrans.session import Context

if TYPE_CHECKING:
    import numpy as np

    from vidtrans.clips.indexing import Clip
    from vidtrans.grading.learning import LearnedGrade

VERSION = 3  # Version of the method that learns a grade, part of its cache key
NUM_FRAMES = 12  # Number of evenly spaced frames that a grade is learned from, per clip
CUBE_SUFFIX = ".cube"  # Suffix of colour tables for other programs (.cube files)
CUBE_SIZE, MAX_CUBE_SIZE = 33, 65  # Default and maximum number of nodes per side of the colour table


@dataclass(frozen=True)
class Grade(Command):
    """Learn a colour grade from pictures or clips BEFORE and AFTER grading.

    Each can be a picture, a folder of pictures, or a clip. Pictures are paired by their numbers, else by time. Sizes,
    crops and compression may differ.
    """

    CONTEXT: ClassVar = WRITE_OPTIONS

    before: Path = argument()
    after: Path = argument()
    output: Path | None = output_option("The model, or a FILE.cube for other programs.", "AFTER.grade.safetensors")
    _: KW_ONLY
    unpaired: bool = option(
        False, "AFTER shows another scene, such as a film still: match only the colours.", Group.INPUT, form="main"
    )
    method: str | None = option(
        None,
        "Method for --unpaired. tones: for a still of another scene. linear or transport: for clips with "
        "similar content.",
        Group.LOOK,
        choices=tuple(UNPAIRED_METHODS),
        default_text=next(iter(UNPAIRED_METHODS)),
        form="main",
    )
    nodes: int = option(CUBE_SIZE, "Number of nodes on each side of the colour table.", Group.OUTPUT, form="more")

    def __post_init__(self) -> None:
        check_suffix(self.output, "a grade", MODEL_SUFFIX, CUBE_SUFFIX)
        if self.method and self.method not in UNPAIRED_METHODS:
            raise unknown_name("--method", self.method, list(UNPAIRED_METHODS))
        if self.method and not self.unpaired:
            why = "pictures that show the same are compared place by place"
            raise UsageError(f"--method {self.method}", why, "leave it out, or add --unpaired")
        if not 2 <= self.nodes <= MAX_CUBE_SIZE:
            why = f"a table has 2 to {MAX_CUBE_SIZE}"
            raise UsageError(f"--nodes {self.nodes}", why, f"leave it out: {CUBE_SIZE} is usual")

    def make(self, context: Context) -> Table:
        """Learn a colour grade; write it as a model or a .cube table. Raises UsageError, MediaError."""
        from vidtrans.clips.indexing import content_digest, open_clip
        from vidtrans.core.files import base_name
        from vidtrans.output.result import produce, refuse_link

        output = self.output or refuse_link(Path(f"{base_name(self.after)}.grade{MODEL_SUFFIX}"))
        key = {
            "command": "grade",
            "version": VERSION,
            "before": content_digest(context, self.before),
            "after": content_digest(context, self.after),
            "unpaired": self.method or UNPAIRED_METHODS[0] if self.unpaired else "",
            "size": self.nodes,
        }

        def prepare() -> Callable[[Path], Table]:
            """Open both clips; return a function that learns the grade and writes it to a path."""
            from vidtrans.grading.learning import learn_from_colours, place_pairs

            before, after = (open_clip(context, p) for p in (self.before, self.after))
            if not self.unpaired:
                placed = place_pairs(_pairs(before, after, context))
                return lambda path: write(path, placed.learn(self.nodes))
            method = self.method or UNPAIRED_METHODS[0]
            sides = _frames(before, context), _frames(after, context)
            return lambda path: write(path, learn_from_colours(*sides, self.nodes, method))

        def write(path: Path, learned: LearnedGrade) -> Table:
            """Write a learned grade to a path, as a .cube file or a model; return its scores."""
            for text in learned.doubts:
                context.note(text, "warning")
            title = ", ".join(learned.words)
            if output.suffix.lower() == CUBE_SUFFIX:
                from vidtrans.interop.cube import write_cube

                write_cube(path, learned.grade.lattice.nodes, title)
            else:
                from vidtrans.models.model_file import save_grade

                save_grade(path, learned.grade.lattice.nodes, title, learned.scores | {"words": learned.words})
            return {"frames": learned.num_pictures, "words": learned.words, **learned.scores}

        sources = [p for p in (self.before, self.after) if p.is_file()]
        return produce(context, output, key, sources, prepare)

    def describe(self, table: Table) -> str:
        """Return the learned grade in words, with its remaining colour error, as text.

        ``table``: the result of ``make``.
        """
        output = table["output"]
        if table.get("dry_run"):
            return f"would make {output}"
        what = ", ".join(table["words"]) or "it changes hardly anything"
        left = f"; ΔE {table['delta_e']:.1f} is left" if "delta_e" in table else ""
        lines = f"{output}: {what}{left}, from {count(table['frames'], 'picture')}{timing(table)}"
        return f"{lines}\nnext: {next_command(output)}"


def _frames(clip: Clip, context: Context) -> Iterator[np.ndarray]:
    """Yield evenly spaced frames of a clip without black or white bars, (H, W, 3 or 4) uint8 or uint16."""
    from vidtrans.clips.sampling import read_clip_frames, spread_numbers
    from vidtrans.flow.bars import bars_of
    from vidtrans.video.colour.conversion import to_uint8, with_alpha
    from vidtrans.video.frame_format import FrameFormat

    numbers = spread_numbers(clip.index.num_frames, NUM_FRAMES)
    form = FrameFormat(deep=clip.index.findings.depth > 8, alpha="kept")
    frames = list(read_clip_frames(clip, numbers, form, context))
    common = bars_of([to_uint8(frame.rgb) for frame in frames])
    for frame in frames:
        bars = common if clip.index.same_size else bars_of([to_uint8(frame.rgb)])
        yield bars.crop(frame.rgb if frame.alpha is None else with_alpha(frame.rgb, frame.alpha))


def _pairs(before: Clip, after: Clip, context: Context) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs of matching frames of two clips, (H, W, 3) uint8 or uint16.

    Frames match by number if both clips have equally many, otherwise by time. Raises UsageError if none match.
    """
    from vidtrans.clips.sampling import read_clip_frames, spread_numbers
    from vidtrans.evaluation.scoring import AlignedSource
    from vidtrans.video.frame_format import FrameFormat

    if before.index.num_frames == 1 < after.index.num_frames:
        why = f"one picture, and {after.name} has {after.index.num_frames}"
        raise UsageError(str(before.path), why, "give as many pictures before as after, or use --unpaired")
    found = AlignedSource.find(after, before, context, remedy="cut it to begin where {} begins")
    matching = [n for n in range(before.index.num_frames) if n not in found.missing]
    if not matching:
        why = f"none of its pictures has the number of one in {before.name}"
        raise UsageError(str(after.path), why, "give both pictures of a pair the same number in their file names")
    steps, numbers = found.steps, [matching[n] for n in spread_numbers(len(matching), NUM_FRAMES)]
    form = FrameFormat(deep=max(before.index.findings.depth, after.index.findings.depth) > 8)
    others = read_clip_frames(after, sorted({steps[n] for n in numbers}), form, context)
    latest: dict[int, np.ndarray] = {}
    for frame in read_clip_frames(before, numbers, form, context):
        while (step := steps[frame.index]) not in latest:
            other = next(others)
            latest = {other.index: other.rgb}
        yield frame.rgb, latest[step]
