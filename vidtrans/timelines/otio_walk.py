"""The clips in the tracks of an OpenTimelineIO timeline, nested ones too, and the ranges of media that they show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.timelines.otio_marks import Marks, add_marks, marker_texts
from vidtrans.timelines.otio_media import named_media
from vidtrans.timelines.spans import usual_rate
from vidtrans.timelines.timeline import TimelineClip

MAX_NESTED = 50  # compositions within compositions
Otio = Any  # objects of OpenTimelineIO, which has no types
Window = tuple[Fraction, Fraction]  # seconds, from and to
Joins = tuple[Fraction, Fraction, Fraction, Fraction]  # of the transition before: out and in; after: in and out
NO_JOINS: Joins = (Fraction(0), Fraction(0), Fraction(0), Fraction(0))


class TimelineWalk:
    """A walk through a timeline, which collects the clips of its video tracks.

    Attributes:
        clips: The clips whose media can be rendered.
        originals: The library's clips, by number.
        skipped: Reasons why other clips keep their media.
        partly_shown: The counts [begin, end) of the media that are shown, by the number of the clip, of clips of which
            a nested timeline's cut hides a part.
        has_items: Whether there is anything in the timeline.
    """

    def __init__(self, otio: Otio, path: Path) -> None:
        self._otio, self._schema, self._path = otio, otio.schema, path
        self.clips: list[TimelineClip] = []
        self.originals: dict[int, Otio] = {}
        self.skipped: list[str] = []
        self.has_items = False
        self.partly_shown: dict[int, tuple[Fraction, Fraction]] = {}
        self._number = 0
        self._disabled = 0
        self._hidden = 0

    def read(self, root: Otio) -> None:
        """Collect the clips of a timeline, or of a collection of them. Raises UsageError for a range without sense."""
        for timeline in self._timelines(root):
            span = timeline.tracks.source_range
            self._composition(timeline.tracks, None if span is None else self._window(span), {}, 0)
        if self._disabled:
            self.skipped.append(f"{self._disabled} of its clips are disabled")
        if self._hidden:
            self.skipped.append(f"{self._hidden} of its clips lie in nested timelines where those are not shown")

    def _timelines(self, root: Otio) -> list[Otio]:
        if isinstance(root, self._schema.Timeline):
            return [root]
        return [one for one in root if isinstance(one, self._schema.Timeline)]

    def tally(self, root: Otio) -> Counter[str]:
        """Return how many things of each kind a timeline has: clips, transitions, effects, markers."""
        found: Counter[str] = Counter()
        for timeline in self._timelines(root):
            for item in self._all(timeline.tracks):
                kind = type(item).__name__
                names = {"Clip": "clips", "Transition": "transitions", "Stack": "nested stacks"}
                found[names.get(kind, "")] += 1
                found["effects"] += len(getattr(item, "effects", ()))
                found["markers"] += len(getattr(item, "markers", ()))
        del found[""]
        return found

    def all_clips(self, root: Otio) -> list[Otio]:
        """Return all clips of a timeline, of sound and disabled ones too."""
        found = [item for timeline in self._timelines(root) for item in self._all(timeline.tracks)]
        return [item for item in found if isinstance(item, self._schema.Clip)]

    def _all(self, composition: Otio, depth: int = 0) -> Iterator[Otio]:
        for child in composition if depth <= MAX_NESTED else ():
            yield child
            if isinstance(child, self._otio.core.Composition):
                yield from self._all(child, depth + 1)

    def _composition(self, composition: Otio, window: Window | None, marks: Marks, depth: int) -> None:
        """Collect the clips of a stack or a track.

        Args:
            composition: The stack or track.
            window: What is shown of it, in its own time; None: all.
            marks: Texts of markers that stand over clips.
            depth: The number of compositions around it.
        """
        if depth > MAX_NESTED:
            raise UsageError(str(self._path), "its clips are nested too deeply", "flatten the timeline")
        is_track = isinstance(composition, self._schema.Track)
        if depth < 2:
            add_marks(self._otio, composition, marks, self._path)
        children = [child for child in composition if not self._is_heard(child)]
        self.has_items |= any(len(child) for child in composition if self._is_heard(child))
        places = None if window is None else self._places(children, is_track)
        for place, child in enumerate(children):
            self.has_items |= not isinstance(child, self._otio.core.Composition)
            if not isinstance(child, self._otio.core.Item) or isinstance(child, self._schema.Gap):
                continue
            if not child.enabled and isinstance(child, self._otio.core.Composition):
                self._disabled += sum(isinstance(one, self._schema.Clip) for one in self._all(child))
                continue
            joins = self._joins(children, place) if is_track else NO_JOINS
            before, after = joins[0], joins[3]
            if window is not None and places is not None:
                before, after = _seen(*places[place], joins, window)
                if before + places[place][1] + after <= 0:
                    self._hide(child)
                    continue
            if isinstance(child, self._schema.Clip):
                self._clip(child, before, after, marks)
            else:
                self._composition(child, self._inner_window(child, before, after), marks, depth + 1)

    def _is_heard(self, child: Otio) -> bool:
        """Return whether a child is a track of sound, or of anything but pictures."""
        return isinstance(child, self._schema.Track) and child.kind != self._schema.TrackKind.Video

    def _hide(self, child: Otio) -> None:
        """Count the clips in a child that is not shown."""
        clips = [child] if isinstance(child, self._schema.Clip) else self._all(child)
        self._hidden += (number := sum(isinstance(one, self._schema.Clip) for one in clips))
        self._number += number

    def _places(self, children: list[Otio], is_track: bool) -> list[tuple[Fraction, Fraction]] | None:
        """Return the begins and lengths of children in seconds; None if the length of one is unknown."""
        found, begin = [], Fraction(0)
        for child in children:
            length = Fraction(0)
            if isinstance(child, self._otio.core.Item):
                try:
                    length = self._seconds(child.duration())
                except self._otio.exceptions.OTIOError:
                    return None
            found.append((begin, length))
            begin += length if is_track else 0
        return found

    def _inner_window(self, child: Otio, before: Fraction, after: Fraction) -> Window | None:
        """Return what is shown of a nested composition, in its own time; None: all.

        ``before``, ``after``: the seconds by which it is shown longer than its length, or negative, shorter.
        """
        if child.source_range is None and before >= 0 and after >= 0:
            return None
        speed = Fraction(1)
        for effect in child.effects:
            if isinstance(effect, self._schema.LinearTimeWarp) and 0 < effect.time_scalar < 1e6:
                speed *= Fraction(effect.time_scalar).limit_denominator(10**6)
            elif isinstance(effect, self._schema.TimeEffect):
                return None
        begin, end = self._window(child.trimmed_range())
        return begin - before * speed, begin + (end - begin + after) * speed

    def _window(self, span: Otio) -> Window:
        begin = self._seconds(span.start_time)
        return begin, begin + self._seconds(span.duration)

    def _joins(self, children: list[Otio], place: int) -> Joins:
        """Return the seconds by which the transitions on both sides of a child reach out of it and into it."""
        sides = []
        for one, names in ((place - 1, ("in_offset", "out_offset")), (place + 1, ("in_offset", "out_offset"))):
            has = 0 <= one < len(children) and isinstance(children[one], self._schema.Transition)
            sides += [self._seconds(getattr(children[one], name)) if has else Fraction(0) for name in names]
        return sides[0], sides[1], sides[2], sides[3]

    def _seconds(self, time: Otio) -> Fraction:
        value, rate = self._count(time)
        return value / rate

    def _count(self, time: Otio) -> tuple[Fraction, Fraction]:
        """Return the value and the rate of a time. Raises UsageError if it is none."""
        try:
            if not abs(time.value) < 1e12:
                raise ValueError(f"{time.value} is not a time")
            return Fraction(time.value).limit_denominator(10**6), usual_rate(time.rate)
        except (ValueError, OverflowError) as error:
            raise UsageError(str(self._path), f"a time in it is not valid ({error})", "export it again") from None

    def _clip(self, clip: Otio, before: Fraction, after: Fraction, marks: Marks) -> None:
        """Collect a clip that is shown ``before`` and ``after`` seconds longer than its length; negative: shorter."""
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
            self.partly_shown[self._number] = begin, end
        found = TimelineClip(
            self._number, name, media.url, begin, end, rate, start, (*own, *marks.get(id(clip), (clip, []))[1]), (name,)
        )
        self.clips.append(media.numbered(found))
        self.originals[self._number] = clip

    def _range(
        self, clip: Otio, before: Fraction, after: Fraction, name: str
    ) -> tuple[Fraction | None, Fraction | None, Fraction, Fraction | None]:
        """Return the counts of a clip's media that are shown, their rate, and the count at which the media begins."""
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
        """Return the counts of media shown at the clip's speed, from ``before`` its begin to ``length`` after it.

        Programs do not agree on where a reversed clip begins, so both sides are taken.
        """
        factor = Fraction(1)
        for effect in clip.effects:
            if isinstance(effect, self._schema.LinearTimeWarp):
                if not abs(effect.time_scalar) < 1e6:
                    raise UsageError(str(self._path), f"clip '{name[:80]}' has no valid speed", "export it again")
                factor *= Fraction(effect.time_scalar).limit_denominator(10**6)
            elif isinstance(effect, self._schema.TimeEffect):
                return Fraction(0), Fraction(10**12)  # any frame may be shown
        if factor < 0:
            reach = (before + length) * abs(factor)
            return begin - reach, begin + max(reach, Fraction(1))
        return begin - before * factor, max(begin + length * factor, begin + 1)


def _seen(begin: Fraction, length: Fraction, joins: Joins, window: Window) -> tuple[Fraction, Fraction]:
    """Return by how many seconds a child of a track is seen before its begin and after its end; negative: hidden.

    Of a transition that is seen in part, all is taken.
    """
    out_before, in_before, in_after, out_after = joins
    before = out_before if window[0] <= begin + in_before else max(begin - window[0], -length)
    end = begin + length
    after = out_after if window[1] >= end - in_after else window[1] - end
    if window[0] >= end + out_after or window[1] <= begin - out_before:
        return -length, Fraction(0)
    return before, after
