"""Properties of the media of a timeline, and the ranges of frames that its clips show."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import islice, pairwise
from math import ceil, floor
from pathlib import Path
from typing import Any

from av.error import FFmpegError

from vidtrans.core.costs import count
from vidtrans.core.errors import MediaError
from vidtrans.timelines.timeline import Relink, StyledMedia, TimelineClip
from vidtrans.video.io.container import open_media, packets_of, picture_stream, probe
from vidtrans.video.io.picture_paths import (
    files_to_read,
    is_pattern,
    is_picture_sequence,
    is_picture_source,
    numbered_files,
)
from vidtrans.video.io.timestamps import (
    USUAL_RATES,
    ClockFilter,
    counted_rate,
    frame_count_of,
    frames_in_day,
    rounded_rate,
)

# Largest relative difference of two frame rates that count as equal, such as 23.976 and 24000/1001
SAME_RATE = Fraction(1, 2000)
# Number of packets that decide whether an interlaced video has a variable frame rate
NUM_PROBED_PACKETS = 500
# Tolerance of times, in frames of a clip, because timelines store times as floating-point numbers
SLACK_COUNTS = Fraction(1, 100)
DAY_S = 24 * 60 * 60  # Length of a day in s, after which timecode restarts at 0
UNKNOWN_LENGTH = 1 << 40  # Number of frames assumed for media whose header does not state it
MAX_EARLIER_FRAMES = 120  # Most frames rendered before a clip and its handles so that the clip begins at a whole frame
# Largest number of checked frames of a clip, as a clip of unknown length has no real end
MAX_CHECKED_FRAMES = 1_000_000
# Clips of a timeline, each with the frames of its media that it shows
ClipSpans = Sequence[tuple[TimelineClip, "ClipSpan"]]


@dataclass(frozen=True)
class FrameTimes:
    """The start times of the frames of a video with a variable frame rate.

    At each tick of its clock an editing program shows the frame that begins at or before that tick.

    Attributes:
        pts: The timestamps of the frames in order, and of the end of the last frame, in ``time_base`` units.
        time_base: Seconds per tick.
    """

    pts: tuple[int, ...]
    time_base: Fraction

    @property
    def num_frames(self) -> int:
        """Return the number of frames."""
        return len(self.pts) - 1

    def seconds(self, number: int) -> Fraction:
        """Return the time from the first frame to frame ``number``, in s; beyond the last frame, to its end."""
        return (self.pts[min(number, self.num_frames)] - self.pts[0]) * self.time_base

    def frame_at(self, seconds: Fraction) -> int:
        """Return the frame shown ``seconds`` after the start: -1 before it, ``num_frames`` after the end."""
        return bisect_right(self.pts, self.pts[0] + seconds / self.time_base) - 1

    def frames_before(self, seconds: Fraction) -> int:
        """Return the number of frames that begin less than ``seconds`` after the start."""
        return bisect_left(self.pts, self.pts[0] + seconds / self.time_base, 0, self.num_frames)


def read_times(path: Path, rate: Fraction) -> FrameTimes | None:
    """Return the times of a video's frames; None if its frame rate is constant or its timestamps cannot be read.

    ``rate``: the average frame rate. Timestamps are read only if the header states two different rates, the average and
    a base rate. Times that a container has rounded count as a constant rate. Raises MediaError.
    """
    with open_media(path) as container:
        stream = picture_stream(container, path)
        ratio = Fraction(stream.base_rate or rate) / rate
        if abs(ratio - 1) < SAME_RATE:
            return None
        packets = (one for one in map(ClockFilter(path), packets_of(container, [stream])) if not one.is_discard)
        base, durations = stream.time_base or Fraction(1, 1000), dict[int, int]()
        if abs(ratio - 2) < 2 * SAME_RATE:  # Usually a large interlaced file; its first frames decide
            _collect_times(islice(packets, NUM_PROBED_PACKETS), durations)
            if _variable_times(durations, base, rate) is None:
                return None
        _collect_times(packets, durations)
        return _variable_times(durations, base, rate)


def _collect_times(packets: Iterable[Any], durations: dict[int, int]) -> None:
    """Add the timestamps of packets, with their durations, to ``durations``, up to a damaged packet."""
    with suppress(FFmpegError):
        durations.update((packet.pts, packet.duration or 0) for packet in packets if packet.pts is not None)


def _variable_times(durations: dict[int, int], base: Fraction, rate: Fraction) -> FrameTimes | None:
    """Return frame times from durations by timestamp, both in units of ``base`` s; None if the rate is constant."""
    pts = sorted(durations)
    if len(pts) < 3 or rounded_rate(pts, base, rate):
        return None
    last = durations[pts[-1]] or sorted(b - a for a, b in pairwise(pts))[len(pts) // 2 - 1]
    return FrameTimes((*pts, pts[-1] + max(1, last)), base)


@dataclass(frozen=True)
class MediaFacts:
    """The properties of a media file that determine which of its frames a timeline shows.

    Attributes:
        path: The video, picture, or pattern of pictures.
        rate: Frames per second; None for a still.
        num_frames: From the headers, or the number of pictures; None if the headers do not state it.
        timecode: The timecode of the first frame; '' without one.
        start: The count of the first frame by the file's timecode, in frames at ``rate``; None without one.
        day: The counts of 24 hours, after which timecode restarts at 0.
        numbers: The numbers of the existing numbered pictures, in order.
        times: The times of the frames of a video with a variable frame rate, else None. ``rate`` is then that of its
            timecode, or the average.
    """

    path: Path
    rate: Fraction | None
    num_frames: int | None
    timecode: str = ""
    start: int | None = None
    day: int = 0
    numbers: tuple[int, ...] = ()
    times: FrameTimes | None = None


@dataclass(frozen=True)
class ClipSpan:
    """The range [first, stop) of frames of a media file that a clip shows.

    Attributes:
        first: The first frame.
        stop: The frame after the last one.
        start: The count of the media's frame 0, in frames at the clip's rate.
        scale: Frames of the media for each count of the clip.
        label: Counts of the clip for each count of the media's timecode. Timecode counts whole frames per second, so at
            23.976 this is not the inverse of ``scale``.
        rate: Counts of the clip for each second.
        times: The times of the media's frames, if its rate is variable. ``scale`` is then 1 and has no meaning.
        is_outside: Whether the clip lies outside of the media by all timecodes, so that ``start`` is 0.
    """

    first: int
    stop: int
    start: Fraction = Fraction(0)
    scale: Fraction = Fraction(1)
    label: Fraction = Fraction(1)
    rate: Fraction = Fraction(1)
    times: FrameTimes | None = None
    is_outside: bool = False

    def place(self, frame: int) -> Fraction:
        """Return the distance of the media's frame ``frame`` from its frame 0, in frames at the clip's rate."""
        return frame / self.scale if self.times is None else self.times.seconds(frame) * self.rate

    def relink(self, styled: StyledMedia, first: int) -> Relink:
        """Return the link of a clip to new media; ``first``: the frame of the old media that becomes frame 0."""
        if styled.first_number is not None:  # Pictures keep their numbers, and so the counts
            return Relink(styled, Fraction(0), Fraction(styled.start), styled.num_frames / self.scale)
        start = styled.start * self.label
        length = self.place(first + styled.num_frames) - self.place(first)
        return Relink(styled, start - (self.start + self.place(first)), start, length)


@lru_cache(maxsize=256)
def usual_rate(rate: float) -> Fraction:
    """Return the exact frame rate for a rounded one, such as 24000/1001 for 23.976.

    Raises ValueError if it is invalid.
    """
    if not 0.01 <= rate <= 1000:  # Also refuses NaN
        raise ValueError(f"{rate} is not a frame rate")
    exact = Fraction(rate)
    whole = Fraction(round(exact))
    if whole and abs(exact - whole) < Fraction(1, 10**6):
        return whole
    return _nearest_usual_rate(exact) or exact.limit_denominator(1001)


def _nearest_usual_rate(rate: Fraction) -> Fraction | None:
    """Return the usual frame rate that differs by less than ``SAME_RATE``; None if there is none."""
    near = min(USUAL_RATES, key=lambda usual: abs(usual - rate))
    return near if abs(near - rate) < SAME_RATE * near else None


def read_facts(path: Path, clip: TimelineClip) -> MediaFacts:
    """Return the properties of a clip's media, from the headers of the file at ``path``.

    Raises MediaError if it cannot be read or is empty.
    """
    if is_picture_source(path):
        if not is_picture_sequence(path):
            return MediaFacts(path, None, 1)
        files = files_to_read(path)
        numbers = tuple(number for number, _ in numbered_files(path)) if is_pattern(path) else ()
        return MediaFacts(path, clip.pictures_rate or clip.rate, len(files), numbers=numbers)
    info = probe(path)
    rate = _nearest_usual_rate(info.rate) or info.rate  # The header has a rounded average
    num = info.num_frames_from_header or (round(Fraction(info.duration_s) * rate) if info.duration_s else None)
    if num == 0 or (info.duration_s is not None and info.duration_s <= 0):
        raise MediaError(str(path), "it has no frames", "replace it, or take its clip off the timeline")
    times = read_times(path, rate)
    if times is not None:
        num, rate = times.num_frames, counted_rate(info.timecode, path, rate) if info.timecode else rate
    start, day = start_and_day(info.timecode, path, rate)
    return MediaFacts(path, rate, num, info.timecode, start, day, times=times)


def start_and_day(timecode: str, path: Path, rate: Fraction) -> tuple[int | None, int]:
    """Return the number of frames from 00:00:00:00 to a timecode, and in 24 hours, at the frame rate ``rate``.

    The first is None without a valid timecode. ``path``: the file with the timecode.
    """
    try:
        counted = counted_rate(timecode, path, rate) if timecode else rate
        own, day = frame_count_of(timecode, counted), frames_in_day(timecode, counted)
    except ValueError:
        return None, DAY_S * round(rate)
    scale = 1 if round(counted) == round(rate) else rate / counted
    return round(own * scale), round(day * scale)


def clip_span(clip: TimelineClip, facts: MediaFacts, where: str) -> ClipSpan:
    """Return the range of frames of a media file that a clip shows. ``where``: the clip, for messages.

    The count of the media's start is that of the timeline; if it is missing, or the clip would lie outside of the
    media, the timecode of the file, and else 0. Timecode restarts at 0 at midnight, but some programs continue
    counting, so a clip may lie a day before or after its media. Raises MediaError if the clip shows no frame of its
    media.
    """
    if facts.rate is None:
        return ClipSpan(0, 1)
    scale, label = Fraction(1), Fraction(1)
    if round(facts.rate) != round(clip.rate):
        scale, label = facts.rate / clip.rate, Fraction(max(1, round(clip.rate)), max(1, round(facts.rate)))
    whole_media = ClipSpan(0, facts.num_frames or UNKNOWN_LENGTH, Fraction(0), scale, label, clip.rate, facts.times)
    if facts.times is not None:
        whole_media = replace(whole_media, scale=Fraction(1))
    starts = [*([] if clip.media_start is None else [clip.media_start])]
    starts += [] if facts.start is None else [facts.start * label]
    if clip.begin is None or clip.end is None:
        return replace(whole_media, start=(*starts, Fraction(0))[0])
    day = facts.day * label if facts.num_frames is not None else Fraction(0)
    counted = [start + shift for shift in (Fraction(0), -day, day) for start in starts]
    for start in (*counted, Fraction(0)):
        span = _existing_frames(clip, facts, *_shown_frames(whole_media, clip.begin - start, clip.end - start))
        if span is not None:
            is_outside = bool(starts or facts.timecode) and start not in counted
            return replace(whole_media, first=span[0], stop=span[1], start=start, is_outside=is_outside)
    begin, end = ((one - (*starts, Fraction(0))[0]) * scale for one in (clip.begin, clip.end))
    frames_text = f"frames {floor(begin)} to {ceil(end) - 1} of {facts.path.name}"
    has = "an unknown number" if facts.num_frames is None else count(facts.num_frames, "frame")
    remedy = "check that it is the right file; for an EDL, its frame rate (--rate)"
    raise MediaError(where, f"it shows {frames_text}, which has {has}", remedy)


def _shown_frames(span: ClipSpan, begin: Fraction, end: Fraction) -> tuple[int, int]:
    """Return the range [first, stop) of frames shown from ``begin`` to before ``end``.

    ``begin``, ``end``: counts of the clip from the media's frame 0.
    """
    if span.times is None:
        first, stop = floor(begin * span.scale + SLACK_COUNTS), ceil(end * span.scale - SLACK_COUNTS)
    else:
        first = span.times.frame_at((begin + SLACK_COUNTS) / span.rate)
        stop = span.times.frames_before((end - SLACK_COUNTS) / span.rate)
    return first, max(stop, first + 1)


def _existing_frames(clip: TimelineClip, facts: MediaFacts, first: int, stop: int) -> tuple[int, int] | None:
    """Return the range [first, stop) of frames limited to existing frames; None if none exists.

    For numbered pictures these are indices of the existing numbers, some of which may be missing.
    """
    if facts.numbers and clip.first_number is not None:
        step = clip.number_step
        first = bisect_left(facts.numbers, clip.first_number + first * step)
        stop = bisect_left(facts.numbers, clip.first_number + (stop - 1) * step + 1)
    elif facts.num_frames is not None:
        stop = min(stop, facts.num_frames)
    first = max(first, 0)
    return (first, stop) if first < stop else None


def renumber_pictures(
    clip: TimelineClip, facts: MediaFacts, span: ClipSpan, first: int, styled: StyledMedia
) -> StyledMedia:
    """Return ``styled`` with the number and the frame count of the first picture that the clip can show.

    ``styled``: the rendered pictures. ``first``: the index of the first rendered picture among those of ``facts``.
    """
    assert clip.first_number is not None
    numbers = facts.numbers[first : first + styled.num_frames]
    steps = ceil(Fraction(numbers[0] - clip.first_number, clip.number_step))
    number = clip.first_number + steps * clip.number_step
    length = (numbers[-1] - number) // clip.number_step + 1
    start = floor(span.start) + steps
    return replace(styled, start=start, num_frames=max(1, length), first_number=number)


def has_gaps(clip: TimelineClip, facts: MediaFacts, first: int, num_frames: int) -> bool:
    """Return whether rendered pictures have gaps in their numbers, so that a video of them would have other times.

    ``first``, ``num_frames``: the rendered range among the pictures of ``facts``.
    """
    numbers = facts.numbers[first : first + num_frames]
    return bool(numbers) and (clip.number_step != 1 or numbers[-1] - numbers[0] != len(numbers) - 1)


def merge_spans(spans: Iterable[tuple[int, int]], handles: int, num_frames: int | None) -> list[tuple[int, int]]:
    """Return the ranges [first, stop) extended by ``handles`` frames on both sides; touching ranges are merged.

    ``num_frames``: the length of the media; None: unknown.
    """
    merged: list[tuple[int, int]] = []
    for first, stop in sorted(spans):
        first, stop = max(0, first - handles), stop + handles
        stop = stop if num_frames is None else min(stop, num_frames)
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], stop)
        else:
            merged.append((first, stop))
    return merged


def align_media_start(first: int, spans: ClipSpans) -> int:
    """Return the first frame of new media, at or before ``first``, that gives all clips whole frame counts.

    The frame counts of a clip change by the count of the first frame of its new media. Where this is a fraction, as
    with a variable rate, a timeline of whole counts shows the media up to half a count early or late. That matters only
    where a frame begins within that time.

    If there is no such frame within ``MAX_EARLIER_FRAMES``, the result is the last frame at which rounded counts show
    the same frames, or else ``first``.
    """
    slacks = _slacks(spans)
    if not slacks:
        return first
    harmless = None
    for candidate in range(first, max(-1, first - MAX_EARLIER_FRAMES - 1), -1):
        counts = [span.start + span.place(candidate) for span, _ in slacks]
        deltas = [one - round(one) for one in counts]  # Counts by which frames are shown too early
        if all(abs(delta) <= SLACK_COUNTS / 10 for delta in deltas):
            return candidate
        pairs = zip(deltas, slacks, strict=True)
        if harmless is None and all(-late < delta < early for delta, (_, (early, late)) in pairs):
            harmless = candidate
    return first if harmless is None else harmless


def _slacks(spans: ClipSpans) -> list[tuple[ClipSpan, tuple[Fraction, Fraction]]]:
    """Return one span of each group of clips with equal fractions of a frame, and the group's tolerances.

    Tolerances (early, late) are the largest shifts, in frames, that do not change what any clip of the group shows.
    """
    slacks: dict[tuple[Fraction, ...], tuple[ClipSpan, tuple[Fraction, Fraction]]] = {}
    for clip, span in spans:
        if clip.begin is not None and (span.times is not None or span.scale != 1):
            # Largest early and late shifts, in frame counts, that do not change which frames the clip shows.
            fractions = [fraction for _, fraction in _phases(clip, span)] or [Fraction(1, 2)]
            early, late = min(fractions), 1 - max(fractions)
            key = (span.start % 1, span.scale, span.rate)
            _, least = slacks.get(key, (span, (early, late)))
            slacks[key] = span, (min(early, least[0]), min(late, least[1]))
    return list(slacks.values())


def _phases(clip: TimelineClip, span: ClipSpan) -> Iterable[tuple[int, Fraction]]:
    """Yield, for each frame of a clip after the first, its distance from the start of the clip, in frames.

    A distance is divided into a whole number and a fraction in (0, 1].
    """
    begin = (clip.begin or Fraction(0)) + SLACK_COUNTS
    for frame in range(span.first + 1, min(span.stop, span.first + MAX_CHECKED_FRAMES)):
        count = span.start + span.place(frame) - begin
        whole = ceil(count) - 1
        yield whole, count - whole


def rounded(link: Relink, clip: TimelineClip, span: ClipSpan) -> tuple[Relink, int]:
    """Return a link whose shift is a whole number, and the number of counts at which the clip shows another frame."""
    shift = Fraction(round(link.shift))
    delta = shift - link.shift
    changed: set[int] = set()
    if delta:
        changed = {
            whole
            for whole, fraction in _phases(clip, span)
            if (fraction <= delta if delta > 0 else 1 - fraction < -delta)
        }
    return replace(link, shift=shift), len(changed)
