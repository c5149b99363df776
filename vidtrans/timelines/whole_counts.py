"""Choose the first frame of new media for timelines that count whole frames.

A clip's counts change by that of the first frame of its new media. Where this is a fraction, as with a variable rate, a
timeline of whole counts shows the media up to half a count early or late. That matters where a frame begins within that
time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil

from vidtrans.timelines.spans import SLACK, ClipSpan
from vidtrans.timelines.timeline import Relink, TimelineClip

LOOK_BACK = 120  # frames that more than the handles may be rendered before a clip
MOST_LOOKED_AT = 1_000_000  # frames of a clip; one whose length is unknown ends at no frame that exists

Shown = Sequence[tuple[TimelineClip, ClipSpan]]


def whole_first(first: int, shown: Shown) -> int:
    """Return the frame at which media begin: ``first``, or one before, from which all clips have whole counts.

    If there is none, the first frame from which rounded counts show the same frames, or else ``first``.
    """
    slacks = _slacks(shown)
    if not slacks:
        return first
    harmless = None
    for candidate in range(first, max(-1, first - LOOK_BACK - 1), -1):
        deltas = [_rounding(span, candidate) for span, _ in slacks]
        if all(abs(delta) <= SLACK / 10 for delta in deltas):
            return candidate
        pairs = zip(deltas, slacks, strict=True)
        if harmless is None and all(-late < delta < early for delta, (_, (early, late)) in pairs):
            harmless = candidate
    return first if harmless is None else harmless


def _slacks(shown: Shown) -> list[tuple[ClipSpan, tuple[Fraction, Fraction]]]:
    """Return a span of each way of counting in fractions, with the least slacks of the clips that are counted so."""
    found: dict[tuple[Fraction, ...], tuple[ClipSpan, tuple[Fraction, Fraction]]] = {}
    for clip, span in shown:
        if clip.begin is not None and (span.times is not None or span.scale != 1):
            early, late = _slack_of(clip, span)
            key = (span.start % 1, span.scale, span.rate)
            _, least = found.get(key, (span, (early, late)))
            found[key] = span, (min(early, least[0]), min(late, least[1]))
    return list(found.values())


def _rounding(span: ClipSpan, first: int) -> Fraction:
    """Return by how many counts frames are shown too early (negative: too late), if ``first`` has a rounded count."""
    count = span.start + span.place(first)
    return count - round(count)


def _phases(clip: TimelineClip, span: ClipSpan) -> Iterable[tuple[int, Fraction]]:
    """Return the counts from the clip's begin of the frames shown after the first: whole, and a part in (0, 1]."""
    begin = (clip.begin or Fraction(0)) + SLACK
    for frame in range(span.first + 1, min(span.stop, span.first + MOST_LOOKED_AT)):
        count = span.start + span.place(frame) - begin
        whole = ceil(count) - 1
        yield whole, count - whole


def _slack_of(clip: TimelineClip, span: ClipSpan) -> tuple[Fraction, Fraction]:
    """Return by less than how many counts the frames of a clip may be shown too early, and too late."""
    fractions = [fraction for _, fraction in _phases(clip, span)] or [Fraction(1, 2)]
    return min(fractions), 1 - max(fractions)


def rounded(link: Relink, clip: TimelineClip, span: ClipSpan) -> tuple[Relink, int]:
    """Return a link with whole counts, and at how many counts of the clip that shows another frame."""
    shift = Fraction(round(link.shift))
    delta = shift - link.shift
    moved: set[int] = set()
    if delta:
        moved = {
            whole
            for whole, fraction in _phases(clip, span)
            if (fraction <= delta if delta > 0 else 1 - fraction < -delta)
        }
    return replace(link, shift=shift), len(moved)
