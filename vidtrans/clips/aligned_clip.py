"""Match the frames of a clip with those of a mask, or of a guide whose motion, cuts and held drawings it shares.

A guide is the source of a clip that another tool has processed. The guides of a ``Clip`` are something else: additional
input pictures of a network.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.core.costs import count as plural
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Size, Table, Time
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.drawings import is_drawing
from vidtrans.session import Context
from vidtrans.video.frame_format import PAPER, FrameFormat
from vidtrans.video.frame_numbers import Counting, SequenceMatch, align, has_gaps, list_frames, sequence_numbers
from vidtrans.video.io.clip import ClipIndex, read_frames

HOLD_RULE = "the one before is held"  # Text in messages: a frame without a matching one uses the previous match
MAX_HELD_FRAMES = 12  # A drawing that lasts this number of frames or more is a still, not a held drawing


@dataclass(frozen=True)
class AlignedClip:
    """A guide: the source ``clip`` of a processed ("guided") clip, and its frame for each frame of the guided clip.

    ``steps[i]``: the number of the guide's frame for frame i of the guided clip; None: there is none, so that frame i
    of the guided clip is used itself.
    """

    clip: Clip
    steps: tuple[int | None, ...]

    def shots(self) -> tuple[int, ...]:
        """Return the first frames of shots in the guided clip, from the cuts of the guide."""
        keys = [None if step is None else bisect_right(self.clip.shots, step) for step in self.steps]
        return tuple(i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1])

    def end(self, time: Time) -> int:
        """Return the number of the first guided frame whose guide frame is at ``time`` or later.

        If there is none, return the number of frames of the guided clip.

        Raises UsageError if that is frame 0.
        """
        stop = self.clip.frame_at(time)
        end = next((i for i, step in enumerate(self.steps) if step is not None and step >= stop), len(self.steps))
        if not end:
            why = f"the clip begins there in {self.clip.name}, or later"
            raise UsageError(f"--end {time}", why, "give a later time of the source")
        return end

    def held_frames(self) -> tuple[int, ...]:
        """Return the numbers of the guided frames at which the guide still shows the previous frame's drawing.

        Their guide is a later frame of the same held drawing. Left out are drawings held for ``MAX_HELD_FRAMES`` frames
        or more, since over a still the processed clip may change permanently, and frames that share one guide frame
        because the guide has fewer frames.
        """
        guide_held = frozenset(self.clip.survey.held)

        def is_held(previous: int | None, step: int | None) -> bool:
            """Return whether the guide frames ``previous`` and ``step`` of consecutive frames show one held drawing."""
            if previous is None or step is None or previous >= step:
                return False
            return guide_held >= {*range(previous + 1, step + 1)}

        held, drawing = list[int](), list[int]()
        for i, (previous, step) in enumerate(pairwise((*self.steps, None)), 1):
            if is_held(previous, step):
                drawing.append(i)
                continue
            held += drawing if len(drawing) < MAX_HELD_FRAMES else []
            drawing = []
        return tuple(held)

    def for_key(self) -> Table:
        """Return the digest of the guide and the matched frames, for cache keys."""
        return {"source": self.clip.digest, "steps": list(self.steps)}

    def pictures(
        self, size: tuple[int, int], start: int, stop: int, context: Context
    ) -> Generator[np.ndarray | None, None, None]:
        """Yield the guide's picture, (H, W, 3) uint8, for each guided frame in [start, stop); None without a guide.

        ``size``: the (width, height) to which the pictures are scaled.
        """
        with closing(self.clip.cursor(FrameFormat(Size(exact=size)), context.decode_threads)) as frame_of:
            for step in self.steps[start:stop]:
                yield None if step is None else frame_of(step).rgb

    def warn_mismatch(self, guided: Clip, context: Context) -> None:
        """Warn if the guide is shorter than the guided clip, or has another aspect ratio."""
        index, guide, path = guided.index, self.clip.index, self.clip.path
        if self.steps[-1] is None:
            first = max((i + 1 for i, step in enumerate(self.steps) if step is not None), default=0)
            context.warn_once(
                f"{path.name}: it ends before {guided.path.name}, which guides itself from frame {first} on", path
            )
        if not has_same_aspect(index, guide):
            sizes = f"it is {guide.width}x{guide.height} and {guided.path.name} {index.width}x{index.height}"
            context.warn_once(f"{path.name}: {sizes}: stretched", path)


def with_guide_shots(guided: Clip, guide: AlignedClip) -> Clip:
    """Return a processed clip with the shots and held frames of its guide.

    The flicker of processed clips disturbs the detection of shots and held frames.
    """
    return replace(guided, survey=replace(guided.survey, shots=guide.shots(), held=guide.held_frames()))


def match_frames(
    clip: ClipIndex, mask: ClipIndex, first: int, stop: int, name: str = "the clip"
) -> tuple[list[int], str]:
    """Return the number of the mask's frame for each of the frames [first, stop) of a clip, and a text on differences.

    A single picture is used for all frames. Pictures are matched as in ``match_sequence``; a frame without a picture
    uses that of the previous frame. Videos with equal numbers of frames, of the whole clip or of the rendered range,
    are matched one to one, other videos by time; after the mask's end its last frame is used. The text calls the clip
    ``name``; it is empty if there are no differences.
    """
    total, count = mask.num_frames, stop - first
    if total == 1:
        return [0] * count, ""
    match = match_sequence(clip, mask, first, stop)
    if match is not None:
        return list(match.filled_steps), describe_sequence(match, clip, mask, first, name)
    times = [(pts - mask.pts[0]) * mask.time_base for pts in mask.pts]
    # Tolerate a quarter of the shortest frame, because containers round times, at worst to a millisecond.
    tolerance_s = min((b - a for a, b in pairwise(times)), default=Fraction(0)) / 4
    clip_times = [(clip.pts[i] - clip.pts[0]) * clip.time_base + tolerance_s for i in range(first, stop)]
    steps = [bisect_right(times, time) - 1 for time in clip_times]
    end_s = times[-1] + mask.last_duration * mask.time_base
    end = next((i for i, time in enumerate(clip_times, first) if time >= end_s), None)
    text = f"it has {plural(total, 'frame')}, {name} {clip.num_frames}: matched by time"
    return steps, text + (f", its last frame is held from frame {end} on" if end is not None else "")


def match_sequence(
    clip: ClipIndex, other: ClipIndex, first: int, stop: int, counting: Counting = "found"
) -> SequenceMatch | None:
    """Return the match of ``other`` with the frames [first, stop) of a clip, by file names and frame numbers.

    A video is matched one to one with a clip of as many frames, unless that consists of pictures with gaps in their
    numbers. A video of another length is matched by number only with pictures that have gaps. Otherwise None is
    returned, and the caller matches by time. ``counting``: how frame numbers are compared, as in ``align``.
    """
    total, count = other.num_frames, stop - first
    names = clip.names or other.names
    includes_video = not (clip.names and other.names)
    if includes_video and (not names or sequence_numbers(names) is not None) and total in (clip.num_frames, count):
        begin = 0 if total == clip.num_frames else first
        steps = tuple(range(first - begin, stop - begin))
        return SequenceMatch(steps, steps, "order")
    if not other.names and not has_gaps(clip.names):
        return None
    sides = clip.names or range(clip.num_frames), other.names or range(total)
    return align(*sides, first, stop, counting=counting)


def describe_sequence(
    match: SequenceMatch, clip: ClipIndex, other: ClipIndex, first: int, name: str, rule: str = HOLD_RULE
) -> str:
    """Return a text on how ``other`` matches the frames of a clip from ``first`` on; "" without differences.

    ``rule``: a text on the handling of frames without a counterpart.
    """
    total, stop = other.num_frames, first + len(match.steps)
    unmatched = [i for i, step in enumerate(match.steps, first) if step is None]
    end = stop
    while rule == HOLD_RULE and unmatched and unmatched[-1] == end - 1 and match.filled_steps[-1] == total - 1:
        end = unmatched.pop()
    text = f"matched by {match.criterion}"
    if total not in (clip.num_frames, stop - first):
        text = f"it has {plural(total, 'frame')}, {name} {clip.num_frames}: {text}"
    elif not (match.remark or unmatched or end < stop):
        return ""
    text += f" ({match.remark})" if match.remark else ""
    text += f", its last frame is held from frame {end} on" if end < stop else ""
    if not unmatched:
        return text
    listed = list_frames(unmatched, (lambda i: clip.names[i]) if clip.names else str)
    return f"{text}; none in it for {'frames' if len(unmatched) > 1 else 'frame'} {listed}: {rule}"


def has_same_aspect(clip: ClipIndex, mask: ClipIndex, tolerance: float = 0.02) -> bool:
    """Return whether clip and mask have the same aspect ratio, within ``tolerance``: scaling then distorts nothing."""
    proportion = (mask.width * clip.height) / (mask.height * clip.width)
    return abs(proportion - 1) <= tolerance


def should_treat_as_drawing(clip: Clip, pairing: Pairing, wanted: str, context: Context) -> bool:
    """Return whether the clip shows drawings that are a network's input as they are, without extracting lines.

    ``wanted``: the value of ``--drawn``; with 'auto' three pictures are examined. Raises UsageError if it is 'yes' and
    the pairing takes no drawings.
    """
    if wanted == "yes" and not pairing.drawing_kind:
        raise UsageError("--drawn yes", f"pairing '{pairing.name}' takes no drawings", "leave out --drawn")
    if wanted != "auto" or not pairing.drawing_kind:
        return wanted == "yes"
    if not clip.is_pictures:
        return False
    last = clip.index.num_frames - 1
    with clip.reader(FrameFormat(background=PAPER), 0) as reader:
        # Examine three frames; if one of them is a photograph, all frames count as photographs.
        frames = (frame for n in sorted({0, last // 2, last}) for frame in read_frames(reader, clip.index, [n]))
        drawing = all(is_drawing(frame.rgb, pairing.drawing_kind) for frame in frames)
    if drawing:
        note = "looks like a drawing, and is taken as the input itself (--drawn no finds lines in it)"
        context.note(f"{clip.name} {note}")
    return drawing
