"""Clips aligned with another clip, frame by frame, such as a guide whose motion the temporal filter follows.

A guide is the source of a clip that another tool has processed; the guides of a ``Clip`` are something else: additional
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
from vidtrans.video.frame_numbers import Counting, Sequencing, align, has_gaps, list_frames, sequence_numbers
from vidtrans.video.io.clip import ClipIndex, read_frames

HOLD = "the one before is held"

LONGEST_DRAWING = 12  # frames


@dataclass(frozen=True)
class AlignedClip:
    """A guide clip. ``steps[i]``: number of its frame for frame i of the guided clip; None: frame i guides itself."""

    clip: Clip
    steps: tuple[int | None, ...]

    def shots(self) -> tuple[int, ...]:
        """Return the first frames of shots in the guided clip, from the cuts of the guide."""
        keys = [None if step is None else bisect_right(self.clip.shots, step) for step in self.steps]
        return tuple(i for i, key in enumerate(keys) if i == 0 or key != keys[i - 1])

    def end(self, time: Time) -> int:
        """Return the guided clip's first frame whose guide is at ``time`` or later; the number of frames if none is.

        Raises UsageError if that is frame 0.
        """
        stop = self.clip.frame_at(time)
        end = next((i for i, step in enumerate(self.steps) if step is not None and step >= stop), len(self.steps))
        if not end:
            why = f"the clip begins there in {self.clip.name}, or later"
            raise UsageError(f"--end {time}", why, "give a later time of the source")
        return end

    def held(self) -> tuple[int, ...]:
        """Return the frames whose guide is a later frame of the same held drawing as the guide of the frame before.

        Left out: runs of ``LONGEST_DRAWING`` frames or more, since over a still the clip may change for good, and
        frames that share one guide frame because the guide has fewer frames.
        """
        held = frozenset(self.clip.survey.held)

        def holds(before: int | None, here: int | None) -> bool:
            return before is not None and here is not None and before < here and held >= {*range(before + 1, here + 1)}

        found, run = list[int](), list[int]()
        for i, (before, here) in enumerate(pairwise((*self.steps, None)), 1):
            if holds(before, here):
                run.append(i)
                continue
            found += run if len(run) < LONGEST_DRAWING else []
            run = []
        return tuple(found)

    def for_key(self) -> Table:
        """Return the values that identify the guide and its alignment, for cache keys."""
        return {"source": self.clip.digest, "steps": list(self.steps)}

    def pictures(
        self, size: tuple[int, int], start: int, stop: int, context: Context
    ) -> Generator[np.ndarray | None, None, None]:
        """Yield the guide's picture, (H, W, 3) uint8 at a (width, height), or None, for frames [start, stop)."""
        with closing(self.clip.cursor(FrameFormat(Size(exact=size)), context.decode_threads)) as frame_of:
            for step in self.steps[start:stop]:
                yield None if step is None else frame_of(step).rgb

    def warn_mismatch(self, guided: Clip, context: Context) -> None:
        """Warn if the guide is shorter than the guided clip, or has another aspect ratio."""
        own, guide, path = guided.index, self.clip.index, self.clip.path
        if self.steps[-1] is None:
            first = max((i + 1 for i, step in enumerate(self.steps) if step is not None), default=0)
            context.warn_once(
                f"{path.name}: it ends before {guided.path.name}, which guides itself from frame {first} on", path
            )
        if not same_shape(own, guide):
            sizes = f"it is {guide.width}x{guide.height} and {guided.path.name} {own.width}x{own.height}"
            context.warn_once(f"{path.name}: {sizes}: stretched", path)


def with_shots_of(guided: Clip, guide: AlignedClip) -> Clip:
    """Return a clip with the shots and held frames of its guide, since its own flicker disturbs their detection."""
    return replace(guided, survey=replace(guided.survey, shots=guide.shots(), held=guide.held()))


def match_frames(
    clip: ClipIndex, mask: ClipIndex, first: int, stop: int, name: str = "the clip"
) -> tuple[list[int], str]:
    """Return the mask's frame for each of the frames [first, stop) of a clip, and a text about differences.

    A single picture is used for all frames. Pictures are matched as ``sequence`` says, and a frame without one has that
    of the frame before. Equal numbers of frames, of the whole clip or of the rendered part, are matched one to one,
    and other videos by time; after the mask's end its last frame is used. The text calls the clip ``name``; it is empty
    if both match.
    """
    total, count = mask.num_frames, stop - first
    if total == 1:
        return [0] * count, ""
    found = sequence(clip, mask, first, stop)
    if found is not None:
        return list(found.held), describe_sequence(found, clip, mask, first, name)
    times = [(pts - mask.pts[0]) * mask.time_base for pts in mask.pts]
    # Containers round times, to a millisecond at worst.
    tolerance = min((b - a for a, b in pairwise(times)), default=Fraction(0)) / 4
    wanted = [(clip.pts[i] - clip.pts[0]) * clip.time_base + tolerance for i in range(first, stop)]
    steps = [bisect_right(times, time) - 1 for time in wanted]
    end_s = times[-1] + mask.last_duration * mask.time_base
    end = next((i for i, time in enumerate(wanted, first) if time >= end_s), None)
    how = f"it has {plural(total, 'frame')}, {name} {clip.num_frames}: matched by time"
    return steps, how + (f", its last frame is held from frame {end} on" if end is not None else "")


def sequence(
    clip: ClipIndex, other: ClipIndex, first: int, stop: int, counting: Counting = "found"
) -> Sequencing | None:
    """Match frames of ``other`` with the frames [first, stop) of a clip, by names and numbers (``align``).

    A video is matched one to one with as many frames or pictures: its numbers, from 0, cannot be those of pictures with
    gaps then. A video of another length is matched by number only with pictures that have gaps; otherwise None is
    returned, and the caller matches by time. ``counting``: see ``align``.
    """
    total, count = other.num_frames, stop - first
    named = clip.names or other.names
    is_alone = not (clip.names and other.names) and (not named or sequence_numbers(named) is not None)
    if is_alone and total in (clip.num_frames, count):
        begin = 0 if total == clip.num_frames else first
        steps = tuple(range(first - begin, stop - begin))
        return Sequencing(steps, steps, "order")
    if not other.names and not has_gaps(clip.names):
        return None
    names = clip.names or range(clip.num_frames), other.names or range(total)
    return align(*names, first, stop, counting=counting)


def describe_sequence(
    found: Sequencing, clip: ClipIndex, other: ClipIndex, first: int, name: str, rule: str = HOLD
) -> str:
    """Return a text about differences in a match of ``other`` with a clip's frames from ``first`` on; "" if none.

    ``rule``: what happens to frames that have no counterpart.
    """
    total, stop = other.num_frames, first + len(found.steps)
    bare = [i for i, step in enumerate(found.steps, first) if step is None]
    end = stop
    while rule == HOLD and bare and bare[-1] == end - 1 and found.held[-1] == total - 1:
        end = bare.pop()
    text = f"matched by {found.way}"
    if total not in (clip.num_frames, stop - first):
        text = f"it has {plural(total, 'frame')}, {name} {clip.num_frames}: {text}"
    elif not (found.words or bare or end < stop):
        return ""
    text += f" ({found.words})" if found.words else ""
    text += f", its last frame is held from frame {end} on" if end < stop else ""
    if not bare:
        return text
    listed = list_frames(bare, (lambda i: clip.names[i]) if clip.names else str)
    return f"{text}; none in it for {'frames' if len(bare) > 1 else 'frame'} {listed}: {rule}"


def same_shape(clip: ClipIndex, mask: ClipIndex, tolerance: float = 0.02) -> bool:
    """Return whether clip and mask have the same aspect ratio, within ``tolerance``: scaling then distorts nothing."""
    proportion = (mask.width * clip.height) / (mask.height * clip.width)
    return abs(proportion - 1) <= tolerance


def treat_as_drawing(clip: Clip, pairing: Pairing, wanted: str, context: Context) -> bool:
    """Return whether the clip's pictures are drawings, to be used as the network's input.

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
        # One photograph among them, and all are taken for photographs.
        frames = (frame for n in sorted({0, last // 2, last}) for frame in read_frames(reader, clip.index, [n]))
        drawing = all(is_drawing(frame.rgb, pairing.drawing_kind) for frame in frames)
    if drawing:
        how = "looks like a drawing, and is taken as the input itself (--drawn no finds lines in it)"
        context.note(f"{clip.name} {how}")
    return drawing
