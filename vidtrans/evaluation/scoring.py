"""Align a render with its source and other clips, score the render, and find the source that guides a filter."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise, repeat
from pathlib import Path

import numpy as np

from vidtrans.clips.aligned_clip import (
    AlignedClip,
    describe_sequence,
    has_same_aspect,
    match_frames,
    match_sequence,
    with_guide_shots,
)
from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.clips.sampling import read_clip_frames, spread_numbers
from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Progress
from vidtrans.core.files import write_json
from vidtrans.core.settings import Size, Table, Time
from vidtrans.flow.matching import SHORT_SIDE, clip_similarity
from vidtrans.metrics import SCORING_FLOW
from vidtrans.metrics.consistency import Scorer, Scores, round_digits
from vidtrans.session import Context
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.frame_numbers import has_gaps
from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.clip import ClipIndex
from vidtrans.video.io.container import probe

COMMON_KEYS = ("warping_error", "warping_error_per_frame", "ratio", "psnr", "ssim")  # Keys of all score tables
NUM_WORST = 4  # Number of frames with the lowest scores that a table lists
NOT_SCORED = "not compared"  # Text, in messages, of what happens to frames without a counterpart
MIN_COVERAGE = 0.5  # Share of a render's frames that its source must cover, else it is a different clip
NUM_CHECKED = 8  # Number of a render's frames that are compared with its source to check that they belong together
# ``clip_similarity`` was measured on renders of 27 clips in 33 styles, which include outlines and noise.
# Renders in bundled styles have at least 0.7. All renders of 14 clips have at least 0.46.
# All but 3 of 372 renders of the other 13 clips have at least 0.35; the 3 are nearly black or very noisy.
# Of 20,175 pairs of a render and a different clip, 86 % are below UNRELATED and all but 27 below DOUBTFUL.
# Label maps and photographs made from them have 0.39 to 0.61; networks with random weights on tiny clips have 0.16.
# Thresholds of ``clip_similarity`` below which a render surely, and possibly, does not come from a source clip
UNRELATED, DOUBTFUL = 0.12, 0.35


@dataclass(frozen=True)
class AlignedSource:
    """A ``clip`` that is aligned with another clip, such as a render of it.

    ``steps``: for each frame of the other clip, the number of the aligned frame in ``clip``. ``missing``: numbers of
    the other clip's frames without a counterpart, whose steps repeat those of the previous frames.
    """

    clip: Clip
    steps: Sequence[int]
    missing: frozenset[int] = frozenset()

    @classmethod
    def find(
        cls,
        clip: Clip,
        output: Clip,
        context: Context,
        start: Time | None = None,
        end: Time | None = None,
        rule: str = NOT_SCORED,
        remedy: str = "give with --start the time in it at which {} begins",
        *,
        is_source: bool = False,
    ) -> AlignedSource:
        """Align a clip with a render of its frames from ``start`` to ``end`` (by default as long as the render).

        Pictures are matched by names and numbers. Clips from their first frames with equal numbers of frames are
        matched one to one, because most tools preserve frames but not all preserve times; other clips by time.
        ``rule``: the effect on frames without a counterpart, and ``remedy``: a hint, for messages. ``is_source``: the
        render was made from the clip, so their content must agree (``check_source``). Raises UsageError.
        """
        found, note = cls._match(clip, output, start, end, rule, remedy)
        if is_source:
            check_source(output, found, context)
        if note:
            context.warn_once(f"{clip.name}: {note}", clip.path)
        return found

    @classmethod
    def _match(
        cls, clip: Clip, output: Clip, start: Time | None, end: Time | None, rule: str, remedy: str
    ) -> tuple[AlignedSource, str]:
        """Return the aligned clip, and a message about differences ('' for none); parameters as of ``find``."""
        index, total = clip.index, output.index.num_frames
        if index.num_frames == 1:
            return cls(clip, [0] * total), ""
        first, stop = clip.trim(start, end)
        if end is None and first == 0 and index.num_frames == total and not (index.names or output.index.names):
            note = f"its frames have other times than those of {output.name}: matched by number (equal counts)"
            return cls(clip, range(total)), "" if _has_equal_times(index, output.index) else note
        part = _part(index, output.index, first, stop if end else None)
        found = match_sequence(output.index, part, 0, total, "found" if start is None else "together")
        if found is None:
            steps, note = match_frames(output.index, part, 0, total, name=output.name)
            missing = frozenset[int]()
        else:
            steps, note = list(found.filled_steps), describe_sequence(found, output.index, part, 0, output.name, rule)
            missing = frozenset(i for i, step in enumerate(found.steps) if step is None)
        note = f"from frame {first} on {note}" if note and first else note
        if not note and start is None and end is None and index.num_frames > part.num_frames:
            note = f"it goes on for {count(index.num_frames - total, 'frame')} after {output.name} ends; "
            note += f"if they do not begin together, {remedy.format(output.name)}"
        return cls(clip, [first + step for step in steps], missing), note

    def starts_shot(self, number: int) -> bool:
        """Return whether the clip has a cut between the other clip's frames ``number`` − 1 and ``number``."""
        if number == 0 or number in self.missing or number - 1 in self.missing:
            return True
        shots = self.clip.shots
        return bisect_right(shots, self.steps[number]) != bisect_right(shots, self.steps[number - 1])

    def pictures(self, context: Context, form: FrameFormat = DEFAULT_FORMAT) -> Generator[np.ndarray, None, None]:
        """Yield the clip's frames, (H, W, 3), in the order of the other clip's frames."""
        with closing(self.clip.cursor(form, context.decode_threads)) as cursor:
            for step in self.steps:
                yield cursor(step).rgb


def _has_equal_times(index: ClipIndex, other: ClipIndex) -> bool:
    """Return whether two clips' frames have equal times to within half a frame; true for picture sequences."""
    if index.names or other.names:
        return True
    step = (other.pts[-1] - other.pts[0] + other.last_duration) * other.time_base / other.num_frames
    own, others = ([(p - i.pts[0]) * i.time_base for p in i.pts] for i in (index, other))
    return all(abs(a - b) < step / 2 for a, b in zip(own, others, strict=True))


# The frames to compare with a render: an aligned clip, or a picture (H, W, 3) uint8 RGB for each frame, in order
Pictures = AlignedSource | Iterable[np.ndarray]


def check_scored(output: Clip) -> None:
    """Raise UsageError if the frames of a clip differ in size, because then motion cannot be followed."""
    if not output.index.same_size:
        why = "its pictures are not of one size, so nothing can be followed from one to the next"
        raise UsageError(output.path.name, why, "evaluate pictures of one size")


def score_clips(
    output: Clip,
    source: AlignedSource,
    context: Context,
    *,
    per_frame: Pictures | None = None,
    reference: Pictures | None = None,
    flow: str = SCORING_FLOW,
) -> Scores:
    """Score a render, ``output``, by its steadiness along the motion of ``source`` and its fidelity.

    ``per_frame``: the outputs without temporal filter. ``reference``: the desired result. ``flow``: the flow method.
    Transparent areas of all clips are composited over the render's background.

    Raises UsageError, MediaError, Interrupted; ValueError if a stream has fewer pictures than the render has frames.
    """
    check_scored(output)
    total = output.index.num_frames
    given = (source, AlignedSource(output, range(total)), per_frame, reference)
    unmatched = frozenset[int]().union(*(b.missing for b in given if isinstance(b, AlignedSource)))
    if len(unmatched) == total:
        raise UsageError(output.path.name, "no frame has a counterpart in all other clips", "check their numbers")
    _warn_sizes(output, [b.clip for b in given if isinstance(b, AlignedSource)], context)
    scorer, form = Scorer(flow), FrameFormat(background=output.default_background)
    with ExitStack() as stack:
        streams = [stack.enter_context(closing(_stream(b, form, total, context))) for b in given]
        for number, (seen, render, *compared) in enumerate(zip(*streams, strict=True)):
            assert seen is not None
            assert render is not None
            starts_shot = source.starts_shot(number) or number in unmatched or number - 1 in unmatched
            scorer.add(seen, render, *compared, starts_shot=starts_shot, is_compared=number not in unmatched)
            context.stop.check()
            context.report(Progress(f"scoring {output.name}", number + 1, total))
    return scorer.scores()


def _part(index: ClipIndex, output: ClipIndex, first: int, stop: int | None) -> ClipIndex:
    """Return the index of the frames [first, stop) of a clip; without ``stop``, as long as the render.

    Pictures that are matched by number are all included, others as many as the render has frames.
    """
    if stop is None and (index.names or output.names):
        numbers_decide = (index.names and output.names) or has_gaps(index.names or output.names)
        stop = None if numbers_decide else first + output.num_frames
    elif stop is None:
        begin, lasts = index.pts[first], (output.pts[-1] - output.pts[0] + Fraction(output.last_duration, 2))
        times = [(p - begin) * index.time_base for p in index.pts]
        stop = sum(t < lasts * output.time_base for t in times)
    return replace(index, pts=index.pts[first:stop], names=index.names[first:stop])


def _stream(
    source: Pictures | None, form: FrameFormat, total: int, context: Context
) -> Generator[np.ndarray | None, None, None]:
    """Yield ``total`` pictures of a source, or ``total`` times None without a source.

    ``form``: the format of decoded frames. Raises ValueError if there are fewer pictures.
    """
    if isinstance(source, AlignedSource):
        yield from source.pictures(context, form)
        return
    given = repeat(None) if source is None else iter(source)
    for number in range(total):
        try:
            yield next(given)
        except StopIteration:
            raise ValueError(f"{number} pictures for {total} frames") from None


def _warn_sizes(output: Clip, others: Sequence[Clip], context: Context) -> None:
    """Warn about clips whose size differs from the render's, because they are compared at the render's size."""
    width, height = output.index.width, output.index.height
    unequal = [c for c in others if (c.index.width, c.index.height) != (width, height)]
    sizes = [
        f"{c.name} is {c.index.width}x{c.index.height}"
        + ("" if has_same_aspect(output.index, c.index) else ", stretched")
        for c in unequal
    ]
    if sizes:
        context.warn_once(f"{'; '.join(sizes)}: compared at {width}x{height}, the size of {output.name}", output.path)


def check_source(output: Clip, source: AlignedSource, context: Context) -> None:
    """Raise UsageError if a render cannot come from its aligned source; warn if that is doubtful.

    The numbers of frames are compared, and edges and tones of some frames.
    """
    own, other, total = output.name, source.clip.name, output.index.num_frames
    steps = _until_end(source.steps, source.clip, output)
    numbers = [i for i, step in enumerate(steps) if step is not None and i not in source.missing]
    remedy = f"give the video that {own} was made from"
    if source.clip.index.num_frames == 1 < total or len(numbers) < MIN_COVERAGE * total:
        why = f"it has {count(source.clip.index.num_frames, 'frame')}, {own} {total}"
        raise UsageError(f"--source {other}", f"{own} was not made from it: {why}", remedy)
    numbers = [numbers[n] for n in spread_numbers(len(numbers), NUM_CHECKED)]
    form = FrameFormat(Size(short=SHORT_SIDE))
    wanted = sorted({source.steps[number] for number in numbers})
    seen = {frame.index: frame.rgb for frame in read_clip_frames(source.clip, wanted, form, context)}
    made = read_clip_frames(output, numbers, form, context)
    found = clip_similarity((seen[source.steps[frame.index]], frame.rgb) for frame in made)
    if found is None or found >= DOUBTFUL:
        return
    measure = f"(edges and tones agree by {found:.2f}, in most renders by 1 or more)"
    if found < UNRELATED:
        why = f"{own} shows something else at the same moments {measure}"
        raise UsageError(f"--source {other}", why, f"{remedy}, and with --start where in it {own} begins")
    context.warn_once(f"--source {other}: {own} hardly shows the same {measure}: check that it was made from it")


def seconds(clip: Clip, frame: int) -> float:
    """Return the time of a frame in seconds, relative to the clip's first frame."""
    index = clip.index
    return float((index.pts[frame] - index.pts[0]) * index.time_base)


def worst_frames(values: Sequence[float | None], name: str, clip: Clip) -> list[Table]:
    """Return the frames with the lowest scores, each as a table of frame number, seconds and the score ``name``."""
    known = sorted((value, number) for number, value in enumerate(values) if value is not None)
    return [{"frame": n, "seconds": round(seconds(clip, n), 3), name: round_digits(v)} for v, n in known[:NUM_WORST]]


def write_scores(result: Path | None, table: Table, series: Table, draw: Callable[[], np.ndarray]) -> None:
    """Write the file ``result``: the values of all frames (.json), or the picture that ``draw`` returns (.png).

    ``series``: the values of all frames by measure. Nothing is written if ``result`` is None.
    """
    if result is None:
        return
    if result.suffix.lower() == ".json":
        write_json(result, table | {"series": series}, indent=1)
    else:
        write_picture(result, draw())


def find_guide(clip: Clip, source: Path, cuts: str, start: Time | None, context: Context) -> tuple[Clip, AlignedClip]:
    """Return the clip with the cuts of its source, and the source aligned with the clip from ``start`` on.

    ``cuts``: the setting by which the source is divided into shots. Raises UsageError.
    """
    opened = with_cuts(open_clip(context, source), cuts)
    aligned = AlignedSource.find(opened, clip, context, start, rule="it guides itself", is_source=True)
    steps = _until_end(aligned.steps, opened, clip)
    guide = AlignedClip(opened, tuple(None if i in aligned.missing else step for i, step in enumerate(steps)))
    guide.warn_mismatch(clip, context)
    return with_guide_shots(clip, guide), guide


def _until_end(steps: Sequence[int], guide: Clip, clip: Clip) -> list[int | None]:
    """Return the frame numbers ``steps`` of the guide, with None for frames after the guide's end.

    There, the guide's repeated last frame would guide a moving picture.
    """
    last, index = guide.index.num_frames - 1, clip.index
    if last == 0 or steps[-1] < last or list(steps).count(last) == 1:
        return list(steps)
    first = list(steps).index(last)
    times = [(p - index.pts[first]) * index.time_base for p in index.pts]
    duration = (
        Fraction(0) if guide.is_pictures or clip.is_pictures else guide.index.last_duration * guide.index.time_base
    )
    # A frame less than a quarter of a frame before the end counts as after it, because containers round times.
    ends = duration - min(b - a for a, b in pairwise(times)) / 4
    return [
        step if i <= first or time < ends else None for i, (step, time) in enumerate(zip(steps, times, strict=True))
    ]


def with_source_sound(clip: Clip, guide: AlignedClip) -> Clip:
    """Return the clip with its own sound, or, if it has none, with the sound of its source, ``guide``."""
    source, first = guide.clip, guide.steps[0]
    if clip.is_pictures or source.is_pictures or first is None or probe(clip.path).audio:
        return clip
    later = clip.index.pts[0] * clip.index.time_base - source.index.pts[first] * source.index.time_base
    is_part = first > 0 or source.index.num_frames != clip.index.num_frames
    return replace(clip, origin=source, offset_s=Fraction(later), is_part=is_part)
