"""``vidtrans grade``: pictures or clips before and after a grade in, the grade as a model or a ``.cube`` table out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vidtrans.clips.indexing import Clip, content_digest, open_clip
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.errors import UsageError
from vidtrans.evaluation.scoring import AlignedSource
from vidtrans.files import base_name
from vidtrans.grading import UNPAIRED_METHODS
from vidtrans.output.target import produce, refuse_link
from vidtrans.requests import CUBE_SUFFIX, MODEL_SUFFIX, GradeRequest
from vidtrans.session import Context
from vidtrans.settings import Table
from vidtrans.video.frame_format import FrameFormat

VERSION = 2
FRAMES = 12  # of a clip that are looked at


def grade(request: GradeRequest, context: Context) -> Table:
    """Learn a grade, write it, and return what is reported of it.

    Raises UsageError, MediaError.
    """
    output = request.output or refuse_link(Path(f"{base_name(request.after)}.grade{MODEL_SUFFIX}"))
    key = {
        "command": "grade",
        "version": VERSION,
        "before": content_digest(context, request.before),
        "after": content_digest(context, request.after),
        "unpaired": request.method or UNPAIRED_METHODS[0] if request.unpaired else "",
        "size": request.size,
    }

    def make(path: Path) -> Table:
        from vidtrans.grading.learning import learn_from_colours, learn_from_pairs

        before, after = (open_clip(context, p) for p in (request.before, request.after))
        if request.unpaired:
            method = request.method or UNPAIRED_METHODS[0]
            learned = learn_from_colours(_frames(before, context), _frames(after, context), request.size, method)
        else:
            learned = learn_from_pairs(_pairs(before, after, context), request.size)
        for text in learned.doubts:
            context.note(text, "warning")
        title = ", ".join(learned.words)
        if output.suffix.lower() == CUBE_SUFFIX:
            from vidtrans.models.formats.cube import write_cube

            write_cube(path, learned.grade.lattice.nodes, title)
        else:
            from vidtrans.models.colour_grade import save_grade

            save_grade(path, learned.grade.lattice.nodes, title, learned.scores | {"words": learned.words})
        return {"frames": learned.num_pictures, "words": learned.words, **learned.scores}

    sources = [p for p in (request.before, request.after) if p.is_file()]
    return produce(context, output, key, sources, make)


def _frames(clip: Clip, context: Context) -> Iterator[np.ndarray]:
    """Yield some frames of a clip, spread evenly, (H, W, 3) uint8 or uint16."""
    numbers = spread_numbers(clip.index.num_frames, FRAMES)
    for frame in read_clip_frames(clip, numbers, FrameFormat(deep=clip.index.findings.depth > 8), context):
        yield frame.rgb


def _pairs(before: Clip, after: Clip, context: Context) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield frames of two clips that go together: by number where they have as many, else by time."""
    if before.index.num_frames == 1 < after.index.num_frames:
        why = f"one picture, and {after.name} has {after.index.num_frames}"
        raise UsageError(str(before.path), why, "give as many of both, or --unpaired")
    steps = AlignedSource.find(after, before, context).steps
    numbers = spread_numbers(before.index.num_frames, FRAMES)
    form = FrameFormat(deep=max(before.index.findings.depth, after.index.findings.depth) > 8)
    others = read_clip_frames(after, sorted({steps[n] for n in numbers}), form, context)
    held: dict[int, np.ndarray] = {}
    for frame in read_clip_frames(before, numbers, form, context):
        while (step := steps[frame.index]) not in held:
            other = next(others)
            held = {other.index: other.rgb}
        yield frame.rgb, held[step]
