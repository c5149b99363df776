"""The source that guides a filter over what another tool has made of it, frame by frame in step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from vidtrans.clips.aligned_clip import AlignedClip, with_shots_of
from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import Clip, open_clip
from vidtrans.evaluation.scoring import AlignedSource
from vidtrans.session import Context
from vidtrans.settings import Time
from vidtrans.video.io.container import probe


def find_guide(clip: Clip, source: Path, cuts: str, start: Time | None, context: Context) -> tuple[Clip, AlignedClip]:
    """Return the clip with its source's cuts, and the source in step with it, from ``start`` on.

    Raises UsageError, MediaError.
    """
    opened = with_cuts(open_clip(context, source), cuts)
    beside = AlignedSource.find(opened, clip, context, start)
    guide = AlignedClip(opened, tuple(_within(beside.steps, opened, clip)))
    guide.warn_mismatch(clip, context)
    return with_shots_of(clip, guide), guide


def _within(steps: Sequence[int], guide: Clip, clip: Clip) -> list[int | None]:
    """The steps, but None where the guide has ended and its last frame would stand for a moving picture."""
    last, index = guide.index.num_frames - 1, clip.index
    if last == 0 or steps[-1] < last or list(steps).count(last) == 1:
        return list(steps)
    first = list(steps).index(last)
    times = [(p - index.pts[first]) * index.time_base for p in index.pts]
    shown = Fraction(0) if guide.is_pictures or clip.is_pictures else guide.index.last_duration * guide.index.time_base
    # Containers round times: what is due at its end, or a blink before, is after it.
    ends = shown - min(b - a for a, b in pairwise(times)) / 4
    return [
        step if i <= first or time < ends else None for i, (step, time) in enumerate(zip(steps, times, strict=True))
    ]


def with_sound_of(clip: Clip, guide: AlignedClip) -> Clip:
    """Return the clip; where it has no sound, with its source's."""
    source, first = guide.clip, guide.steps[0]
    if clip.is_pictures or source.is_pictures or first is None or probe(clip.path).audio:
        return clip
    later = clip.index.pts[0] * clip.index.time_base - source.index.pts[first] * source.index.time_base
    is_part = first > 0 or source.index.num_frames != clip.index.num_frames
    return replace(clip, origin=source, offset_s=Fraction(later), is_part=is_part)
