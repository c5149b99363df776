"""The clips of an OpenTimelineIO timeline, including nested ones: their media, markers, and links to new media."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from vidtrans.core.errors import UsageError, first_line
from vidtrans.core.files import NUMBER
from vidtrans.timelines.spans import DAY_S, usual_rate
from vidtrans.timelines.timeline import Relink, TimelineClip, numbered_name

Otio = Any  # Object of OpenTimelineIO, which has no types
# Marker texts by the id of their clip; the clip is stored too, so that its id stays valid
Marks = dict[int, tuple[Otio, list[str]]]
SLACK_S = 1e-6  # Tolerance, in s, of the time of a marker, because times are floating-point numbers
MAX_NESTED = 50  # Largest number of nested compositions
Window = tuple[Fraction, Fraction]  # Visible range, (start, end) in s
# Lengths, in s, of the transitions at both ends of a child: start (outside, inside), then end (inside, outside).
TransitionReach = tuple[Fraction, Fraction, Fraction, Fraction]
# Transition lengths of a child without transitions
NO_TRANSITIONS: TransitionReach = (Fraction(0), Fraction(0), Fraction(0), Fraction(0))
# Start of an absolute path or of a URL, such as "/", "C:/" or "file:"
_ABSOLUTE = re.compile(r"/|\\\\|[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]+:")
METADATA_KEY = "vidtrans"  # Key of vidtrans's metadata in new media references


class TimelineWalk:
    """A walk through a timeline that collects the clips of its video tracks.

    Attributes:
        clips: The clips whose media can be rendered.
        originals: The clip objects of OpenTimelineIO, by clip number.
        skipped: Reasons why other clips keep their media.
        partial_ranges: The visible counts [begin, end) of the media, by clip number, of clips that are partly hidden
            because a nested timeline is cut.
        has_items: Whether the timeline is not empty.
    """

    def __init__(self, otio: Otio, path: Path) -> None:
        self._otio, self._schema, self._path = otio, otio.schema, path
        self.clips: list[TimelineClip] = []
        self.originals: dict[int, Otio] = {}
        self.skipped: list[str] = []
        self.has_items = False
        self.partial_ranges: dict[int, tuple[Fraction, Fraction]] = {}
        self._number = 0
        self._disabled = 0
        self._hidden = 0

    def read(self, root: Otio) -> None:
        """Collect the clips of a timeline, or of a collection of timelines. Raises UsageError for an invalid range."""
        for timeline in self._timelines(root):
            span = timeline.tracks.source_range
            self._composition(timeline.tracks, None if span is None else self._to_window(span), {}, 0)
        if self._disabled:
            self.skipped.append(f"{self._disabled} of its clips are disabled")
        if self._hidden:
            self.skipped.append(f"{self._hidden} of its clips lie in nested timelines where those are not shown")

    def _timelines(self, root: Otio) -> list[Otio]:
        """Return the timelines in a root object: itself, or the members of a collection."""
        if isinstance(root, self._schema.Timeline):
            return [root]
        return [one for one in root if isinstance(one, self._schema.Timeline)]

    def tally(self, root: Otio) -> Counter[str]:
        """Return the number of clips, transitions, nested stacks, effects and markers of a timeline, by kind."""
        counts: Counter[str] = Counter()
        for timeline in self._timelines(root):
            for item in self._all_children(timeline.tracks):
                kind = type(item).__name__
                names = {"Clip": "clips", "Transition": "transitions", "Stack": "nested stacks"}
                counts[names.get(kind, "")] += 1
                counts["effects"] += len(getattr(item, "effects", ()))
                counts["markers"] += len(getattr(item, "markers", ()))
        del counts[""]
        return counts

    def all_clips(self, root: Otio) -> list[Otio]:
        """Return all clips of a timeline, including disabled clips and sound clips."""
        items = [item for timeline in self._timelines(root) for item in self._all_children(timeline.tracks)]
        return [item for item in items if isinstance(item, self._schema.Clip)]

    def _all_children(self, composition: Otio, depth: int = 0) -> Iterator[Otio]:
        """Yield the children of a composition, and those of nested compositions."""
        for child in composition if depth <= MAX_NESTED else ():
            yield child
            if isinstance(child, self._otio.core.Composition):
                yield from self._all_children(child, depth + 1)

    def _composition(self, composition: Otio, window: Window | None, marks: Marks, depth: int) -> None:
        """Collect the clips of a stack or a track, and of the compositions in it.

        Args:
            composition: The stack or track.
            window: Its visible range, in its own time; None: all.
            marks: Texts of markers above the clips.
            depth: The number of compositions around it.
        """
        if depth > MAX_NESTED:
            raise UsageError(str(self._path), "its clips are nested too deeply", "flatten the timeline")
        is_track = isinstance(composition, self._schema.Track)
        if depth < 2:
            add_marks(self._otio, composition, marks, self._path)
        children = [child for child in composition if not self._is_not_video(child)]
        self.has_items |= any(len(child) for child in composition if self._is_not_video(child))
        places = None if window is None else self._child_spans(children, is_track)
        for place, child in enumerate(children):
            self.has_items |= not isinstance(child, self._otio.core.Composition)
            if not isinstance(child, self._otio.core.Item) or isinstance(child, self._schema.Gap):
                continue
            if not child.enabled and isinstance(child, self._otio.core.Composition):
                self._disabled += sum(isinstance(one, self._schema.Clip) for one in self._all_children(child))
                continue
            reach = self._transition_reach(children, place) if is_track else NO_TRANSITIONS
            before, after = reach[0], reach[3]
            if window is not None and places is not None:
                before, after = _visible_margins(*places[place], reach, window)
                if before + places[place][1] + after <= 0:
                    self._count_hidden(child)
                    continue
            if isinstance(child, self._schema.Clip):
                self._clip(child, before, after, marks)
            else:
                self._composition(child, self._inner_window(child, before, after), marks, depth + 1)

    def _is_not_video(self, child: Otio) -> bool:
        """Return whether a child is a track of sound or of anything else but pictures."""
        return isinstance(child, self._schema.Track) and child.kind != self._schema.TrackKind.Video

    def _count_hidden(self, child: Otio) -> None:
        """Count the clips in a child of a track that is not visible."""
        clips = [child] if isinstance(child, self._schema.Clip) else self._all_children(child)
        self._hidden += (number := sum(isinstance(one, self._schema.Clip) for one in clips))
        self._number += number

    def _child_spans(self, children: list[Otio], is_track: bool) -> list[tuple[Fraction, Fraction]] | None:
        """Return the (start, length) of each child in s; None if a length is unknown.

        ``is_track``: the children follow one another; those of a stack all start at 0.
        """
        spans, begin = [], Fraction(0)
        for child in children:
            length = Fraction(0)
            if isinstance(child, self._otio.core.Item):
                try:
                    length = self._seconds(child.duration())
                except self._otio.exceptions.OTIOError:
                    return None
            spans.append((begin, length))
            begin += length if is_track else 0
        return spans

    def _inner_window(self, child: Otio, before: Fraction, after: Fraction) -> Window | None:
        """Return the visible range of a nested composition, in its own time; None: the whole composition.

        ``before``, ``after``: the seconds by which it is visible before its start and after its end; negative: hidden.
        """
        if child.source_range is None and before >= 0 and after >= 0:
            return None
        speed = Fraction(1)
        for effect in child.effects:
            if isinstance(effect, self._schema.LinearTimeWarp) and 0 < effect.time_scalar < 1e6:
                speed *= Fraction(effect.time_scalar).limit_denominator(10**6)
            elif isinstance(effect, self._schema.TimeEffect):
                return None
        begin, end = self._to_window(child.trimmed_range())
        return begin - before * speed, begin + (end - begin + after) * speed

    def _to_window(self, span: Otio) -> Window:
        """Return a time range of OpenTimelineIO as (start, end) in s."""
        begin = self._seconds(span.start_time)
        return begin, begin + self._seconds(span.duration)

    def _transition_reach(self, children: list[Otio], place: int) -> TransitionReach:
        """Return the lengths, in s, of the transitions before and after the child at index ``place``."""
        sides = []
        for one, names in ((place - 1, ("in_offset", "out_offset")), (place + 1, ("in_offset", "out_offset"))):
            has = 0 <= one < len(children) and isinstance(children[one], self._schema.Transition)
            sides += [self._seconds(getattr(children[one], name)) if has else Fraction(0) for name in names]
        return sides[0], sides[1], sides[2], sides[3]

    def _seconds(self, time: Otio) -> Fraction:
        """Return a time of OpenTimelineIO in s. Raises UsageError if it is invalid."""
        value, rate = self._count(time)
        return value / rate

    def _count(self, time: Otio) -> tuple[Fraction, Fraction]:
        """Return the value and the rate of a time of OpenTimelineIO. Raises UsageError if it is invalid."""
        try:
            if not abs(time.value) < 1e12:
                raise ValueError(f"{time.value} is not a time")
            return Fraction(time.value).limit_denominator(10**6), usual_rate(time.rate)
        except (ValueError, OverflowError) as error:
            raise UsageError(str(self._path), f"a time in it is not valid ({error})", "export it again") from None

    def _clip(self, clip: Otio, before: Fraction, after: Fraction, marks: Marks) -> None:
        """Collect a clip that is visible from ``before`` s before its start to ``after`` s after its end.

        Negative seconds: a part of the clip is hidden. ``marks``: texts of the markers of tracks, by clip.
        """
        self._number += 1
        name = clip.name or f"clip {self._number}"
        if not clip.enabled:
            self._disabled += 1
            return
        media = named_media(self._otio, clip)
        if isinstance(media, str):
            self.skipped.append(f"clip {self._number} ('{name[:80]}') {media}")
            return
        own = tuple(text for marker in clip.markers for text in marker_texts(marker))
        if len(clip.effects):
            before, after = max(before, Fraction(0)), max(after, Fraction(0))
        begin, end, rate, start = self._range(clip, before, after, name)
        if (before < 0 or after < 0) and begin is not None and end is not None:
            self.partial_ranges[self._number] = begin, end
        timeline_clip = TimelineClip(
            self._number, name, media.url, begin, end, rate, start, (*own, *marks.get(id(clip), (clip, []))[1]), (name,)
        )
        self.clips.append(media.numbered(timeline_clip))
        self.originals[self._number] = clip

    def _range(
        self, clip: Otio, before: Fraction, after: Fraction, name: str
    ) -> tuple[Fraction | None, Fraction | None, Fraction, Fraction | None]:
        """Return the visible counts [begin, end) of a clip's media, their rate, and the count of the media's start.

        Counts are numbers of frames at that rate. None: unknown. ``before``, ``after``: see ``_clip``. ``name``: the
        clip, for errors.
        """
        available = clip.media_reference.available_range
        span = clip.source_range or available
        if span is None:
            return None, None, Fraction(24), None
        begin, rate = self._count(span.start_time)
        length = self._seconds(span.duration) * rate
        start = None if available is None else self._seconds(available.start_time) * rate
        if start is not None and round(self._count(available.start_time)[1]) == round(rate):
            start = self._count(available.start_time)[0]
        if length < 0:
            raise UsageError(str(self._path), f"clip '{name[:80]}' has a negative length", "export the timeline again")
        if before < 0 or after < 0:
            first = begin - before * rate
            return first, max(begin + length + after * rate, first), rate, start
        first, last = self._retimed(clip, begin, before * rate, length + after * rate, name)
        return first, max(last, begin + length), rate, start

    def _retimed(
        self, clip: Otio, begin: Fraction, before: Fraction, length: Fraction, name: str
    ) -> tuple[Fraction, Fraction]:
        """Return the range of frame counts of its media that a clip with changed speed shows.

        The range goes from ``before`` counts before ``begin`` to ``length`` counts after it, at the clip's speed.
        Programs do not agree on where a reversed clip begins, so both sides are included.
        """
        factor = Fraction(1)
        for effect in clip.effects:
            if isinstance(effect, self._schema.LinearTimeWarp):
                if not abs(effect.time_scalar) < 1e6:
                    raise UsageError(str(self._path), f"clip '{name[:80]}' has no valid speed", "export it again")
                factor *= Fraction(effect.time_scalar).limit_denominator(10**6)
            elif isinstance(effect, self._schema.TimeEffect):
                return Fraction(0), Fraction(10**12)  # Any frame may be shown
        if factor < 0:
            reach = (before + length) * abs(factor)
            return begin - reach, begin + max(reach, Fraction(1))
        return begin - before * factor, max(begin + length * factor, begin + 1)


def _visible_margins(
    begin: Fraction, length: Fraction, reach: TransitionReach, window: Window
) -> tuple[Fraction, Fraction]:
    """Return the seconds by which a child of a track is visible before its start and after its end.

    Negative seconds: hidden. A partly visible transition counts as a whole. ``begin``, ``length``: the child's start
    and length in the track, in s. ``reach``: its transitions. ``window``: the visible range of the track.
    """
    out_before, in_before, in_after, out_after = reach
    before = out_before if window[0] <= begin + in_before else max(begin - window[0], -length)
    end = begin + length
    after = out_after if window[1] >= end - in_after else window[1] - end
    if window[0] >= end + out_after or window[1] <= begin - out_before:
        return -length, Fraction(0)
    return before, after


def add_marks(otio: Otio, composition: Otio, marks: Marks, path: Path) -> None:
    """Add the texts of the markers of a track, or of a stack of tracks, to ``marks``, for the clips at their times.

    ``path``: the timeline, for messages. Raises UsageError if a clip has no length.
    """
    if not len(composition.markers):
        return
    moments = [(marker.marked_range.start_time.to_seconds(), marker_texts(marker)) for marker in composition.markers]
    for track in [composition] if isinstance(composition, otio.schema.Track) else list(composition):
        if not isinstance(track, otio.schema.Track) or track.kind != otio.schema.TrackKind.Video:
            continue
        zero = otio.opentime.RationalTime(0, 1)
        offset = 0.0 if track is composition else composition.transformed_time(zero, track).to_seconds()
        clips = _clips_by_time(otio, track, path)
        begins = [begin for begin, _, _ in clips]
        for moment, texts in moments:
            place = bisect_right(begins, moment + offset + SLACK_S) - 1
            if place >= 0 and moment + offset < clips[place][1]:
                marks.setdefault(id(clips[place][2]), (clips[place][2], []))[1].extend(texts)


def _clips_by_time(otio: Otio, track: Otio, path: Path) -> list[tuple[float, float, Otio]]:
    """Return the (start, end, clip) of all clips of a track, in s, in order.

    Raises UsageError for an unknown length.
    """
    try:
        ranges = track.range_of_all_children()
    except otio.exceptions.OTIOError as error:
        why = f"a clip in it has no length, which markers on tracks need ({first_line(error)[:200]})"
        raise UsageError(str(path), why, "put the markers on clips, or export the timeline again") from None
    spans = [
        (span.start_time.to_seconds(), span.end_time_exclusive().to_seconds(), child)
        for child, span in ranges.items()
        if isinstance(child, otio.schema.Clip) and span.duration.value > 0
    ]
    return sorted(spans, key=lambda span: span[0])


def marker_texts(marker: Otio) -> list[str]:
    """Return the texts of a marker: its name, its comment, and its note from DaVinci Resolve."""
    resolve = marker.metadata.get("Resolve_OTIO")
    note = resolve.get("Note") if hasattr(resolve, "get") else None
    texts = [marker.name, getattr(marker, "comment", ""), note]
    return list(dict.fromkeys(text for text in texts if isinstance(text, str) and text))


@dataclass(frozen=True)
class NamedMedia:
    """The media that a reference names: the path or URL of a file, or of a pattern of numbered pictures.

    ``first``: the number of the first picture. ``step``: the difference of consecutive numbers. ``rate``: the pictures
    per second. Other media have the default values.
    """

    url: str
    first: int | None = None
    step: int = 1
    rate: Fraction | None = None

    def numbered(self, clip: TimelineClip) -> TimelineClip:
        """Return a copy of a clip with the first number, step and rate of these pictures."""
        return replace(clip, first_number=self.first, number_step=self.step, pictures_rate=self.rate)


def named_media(otio: Otio, clip: Otio) -> NamedMedia | str:
    """Return the media that a clip names, or the reason why they cannot be rendered, as text."""
    media, schema = clip.media_reference, otio.schema
    if isinstance(media, schema.ExternalReference):
        return NamedMedia(media.target_url) if media.target_url else "has no media"
    if isinstance(media, schema.ImageSequenceReference):
        digits = max(0, media.frame_zero_padding)
        base = media.target_url_base
        number = f"%0{digits}d" if digits > 1 else "%d"
        if NUMBER.search(media.name_prefix) or media.frame_step < 1 or digits > 20:
            return "has numbered pictures whose names are not read here"
        try:
            rate = usual_rate(media.rate)
        except ValueError:
            return "has numbered pictures without a frame rate"
        url = f"{base}{'' if not base or base.endswith('/') else '/'}{media.name_prefix}{number}{media.name_suffix}"
        return NamedMedia(url, media.start_frame, media.frame_step, rate)
    if isinstance(media, schema.GeneratorReference):
        return f"is a generator ({media.generator_kind[:80] or 'of no kind'})"
    return "has no media"


def link_clip(otio: Otio, clip: Otio, link: Relink, folder: Path) -> None:
    """Replace the media of a clip, at the same times of the timeline. ``folder``: the folder of the timeline."""
    old, media = clip.media_reference, link.media
    span = clip.source_range or old.available_range
    is_still = media.rate is None
    if span is not None and not is_still:
        start = span.start_time
        moved = float(Fraction(start.value).limit_denominator(10**6) + link.shift)
        new_start = otio.opentime.RationalTime(moved, start.rate)
        clip.source_range = otio.opentime.TimeRange(new_start, span.duration)
    rate = span.start_time.rate if span is not None else float(media.rate or 24)
    counts = (link.start, link.length) if span is not None else (Fraction(media.start), Fraction(media.num_frames))
    available = old.available_range
    if not is_still:
        times = [otio.opentime.RationalTime(float(one), rate) for one in counts]
        available = otio.opentime.TimeRange(*times)
    record = {"source": _url_of(old)}
    clip.media_reference = _reference(otio, old, link, available, folder, {METADATA_KEY: record})


def divide_clip(otio: Otio, clip: Otio, link: Relink, visible: tuple[Fraction, Fraction]) -> None:
    """Shorten a clip to the range of its new media, and insert clips with the old media before and after it.

    ``visible``: the counts of its media that a nested timeline shows, all of which the new media cover. The clip has no
    effects.
    """
    span, track = clip.source_range or clip.media_reference.available_range, clip.parent()
    if link.media.rate is None or not isinstance(track, otio.schema.Track):
        return
    rate, place = span.start_time.rate, next(number for number, one in enumerate(track) if one is clip)
    begin, length = (Fraction(time.value).limit_denominator(10**6) for time in (span.start_time, span.duration))
    length = length * usual_rate(rate) / usual_rate(span.duration.rate)
    covered = link.start - link.shift
    reach = [
        _transition_counts(otio, track, place - 1, "out_offset", rate),
        _transition_counts(otio, track, place + 1, "in_offset", rate),
    ]
    first = max(begin, min(max(Fraction(ceil(covered)), begin + reach[0]), visible[0]))
    stop = min(begin + length, max(min(Fraction(floor(covered + link.length)), begin + length - reach[1]), visible[1]))
    cuts = [begin, first, stop, begin + length]
    pieces = [_piece(otio, clip, one, other, rate) for one, other in pairwise(cuts)]
    clip.source_range = pieces[1].source_range
    outer = [(place + 1, pieces[2])] * (cuts[3] > cuts[2]) + [(place, pieces[0])] * (cuts[1] > cuts[0])
    owners = [_owner(otio, marker, [piece for _, piece in outer], clip) for marker in clip.markers]
    for one in (clip, *(piece for _, piece in outer)):
        for number in reversed(range(len(owners))):
            if owners[number] is not one:
                del one.markers[number]
    for at, piece in outer:
        track.insert(at, piece)


def _transition_counts(otio: Otio, track: Otio, place: int, name: str, rate: float) -> Fraction:
    """Return the frames by which the transition at index ``place`` of a track reaches into a neighbour.

    The result is 0 without a transition. ``name``: in_offset or out_offset, the side of the transition. ``rate``: the
    frame rate of the result.
    """
    one = track[place] if 0 <= place < len(track) else None
    if not isinstance(one, otio.schema.Transition):
        return Fraction(0)
    return Fraction(getattr(one, name).rescaled_to(rate).value).limit_denominator(10**6)


def _piece(otio: Otio, clip: Otio, begin: Fraction, end: Fraction, rate: float) -> Otio:
    """Return a copy of a clip that shows the frames [begin, end) of its media, counted at the frame rate ``rate``."""
    piece = clip.deepcopy()
    times = [otio.opentime.RationalTime(float(one), rate) for one in (begin, end - begin)]
    piece.source_range = otio.opentime.TimeRange(*times)
    return piece


def _owner(otio: Otio, marker: Otio, pieces: list[Otio], clip: Otio) -> Otio:
    """Return the piece of a divided clip that contains the time of a marker, or the clip if none does.

    Times may differ by a day, because timecode restarts at midnight.
    """
    moment = marker.marked_range.start_time
    day = otio.opentime.RationalTime(DAY_S * round(moment.rate), moment.rate)
    moments = (moment, moment + day, moment - day)
    return next((piece for one in moments for piece in pieces if piece.source_range.contains(one)), clip)


def rebase_paths(clip: Otio, old_folder: Path, folder: Path) -> None:
    """Rewrite the relative paths of a clip's media for another folder of the timeline.

    Paths of missing media and URLs do not change.
    """
    references = clip.media_references()
    for media in references.values():
        for name in ("target_url", "target_url_base"):
            url = getattr(media, name, "")
            if url and "\0" not in url and not _ABSOLUTE.match(url):
                here = next((p for p in (old_folder / url, old_folder / unquote(url)) if _exists(p)), None)
                if here is not None:
                    setattr(media, name, _path_text(here, url, folder) + ("/" if url.endswith("/") else ""))
    clip.set_media_references(references, clip.active_media_reference_key)


def _exists(path: Path) -> bool:
    """Return whether a path exists; false for a name that is invalid on this system."""
    try:
        return path.exists()
    except (OSError, ValueError):  # Not a valid name on this system
        return False


def _reference(otio: Otio, old: Otio, link: Relink, available: Otio, folder: Path, record: dict[str, Any]) -> Otio:
    """Return a media reference to new media, with the name and the metadata of the ``old`` reference.

    ``available``: the time range of the new media. ``folder``: the timeline's folder. ``record``: further metadata.
    """
    media, schema = link.media, otio.schema
    metadata = {**dict(old.metadata), **record}
    place = _path_text(media.path, _url_of(old), folder)
    first = media.first_number
    if first is not None and (parts := numbered_name(media.names, first)):
        before, number, after = parts
        last = numbered_name(media.names, first + old.frame_step * (media.num_frames - 1))
        sequence = schema.ImageSequenceReference(
            f"{place}/",
            before,
            after,
            first,
            old.frame_step,
            float(media.rate or 24),
            len((last[1] if last else number).lstrip("-")),
            available_range=available,
            metadata=metadata,
        )
        sequence.name = old.name
        return sequence
    reference = schema.ExternalReference(place, available, metadata)
    reference.name = old.name
    return reference


def _url_of(media: Otio) -> str:
    """Return the path or URL of a media reference, for numbered pictures that of their folder."""
    return str(getattr(media, "target_url", None) or getattr(media, "target_url_base", ""))


def _path_text(path: Path, old: str, folder: Path) -> str:
    """Return a path in the form of the old text: relative to the timeline's folder, absolute, or a file:// URL."""
    whole = path.resolve()
    if old.lower().startswith("file:"):
        return whole.as_uri()
    if not _ABSOLUTE.match(old):
        try:
            return quote(Path(os.path.relpath(whole, folder.resolve())).as_posix(), safe="/:+,@=~()'! ")
        except ValueError:  # On another drive
            return str(whole)
    return str(whole)
