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


class TimelineWalk:
    """A walk through a timeline, which collects the clips of its video tracks.

    Attributes:
        clips: The clips whose media can be rendered.
        originals: The library's clips, by number.
        skipped: Reasons why other clips keep their media.
        has_items: Whether there is anything in the timeline.
    """

    def __init__(self, otio: Otio, path: Path) -> None:
        self._otio, self._schema, self._path = otio, otio.schema, path
        self.clips: list[TimelineClip] = []
        self.originals: dict[int, Otio] = {}
        self.skipped: list[str] = []
        self.has_items = False
        self._number = 0
        self._disabled = 0

    def read(self, root: Otio) -> None:
        """Collect the clips of a timeline, or of a collection of them. Raises UsageError for a range without sense."""
        for timeline in self._timelines(root):
            self._composition(timeline.tracks, Fraction(0), Fraction(0), {}, 0)
        if self._disabled:
            self.skipped.append(f"{self._disabled} of its clips are disabled")

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

    def _composition(self, composition: Otio, before: Fraction, after: Fraction, marks: Marks, depth: int) -> None:
        """Collect the clips of a stack or a track.

        Args:
            composition: The stack or track.
            before: Seconds before it that a transition shows.
            after: Seconds behind it that a transition shows.
            marks: Texts of markers that stand over clips.
            depth: The number of compositions around it.
        """
        if depth > MAX_NESTED:
            raise UsageError(str(self._path), "its clips are nested too deeply", "flatten the timeline")
        is_track = isinstance(composition, self._schema.Track)
        if is_track and composition.kind != self._schema.TrackKind.Video:
            self.has_items |= len(composition) > 0
            return
        if depth < 2:
            add_marks(self._otio, composition, marks, self._path)
        children = list(composition)
        for place, child in enumerate(children):
            self.has_items |= not isinstance(child, self._otio.core.Composition)
            head = self._transition(children, place - 1, "in_offset") if is_track else Fraction(0)
            tail = self._transition(children, place + 1, "out_offset") if is_track else Fraction(0)
            if isinstance(child, self._schema.Clip):
                self._clip(child, before + head, after + tail, marks)
            elif isinstance(child, self._otio.core.Composition):
                if not getattr(child, "enabled", True):
                    self._disabled += sum(isinstance(one, self._schema.Clip) for one in self._all(child))
                    continue
                self._composition(child, before + head, after + tail, marks, depth + 1)

    def _transition(self, children: list[Otio], place: int, name: str) -> Fraction:
        """Return the seconds by which a transition at a place shows its neighbour longer; 0 without one."""
        if 0 <= place < len(children) and isinstance(children[place], self._schema.Transition):
            return self._seconds(getattr(children[place], name))
        return Fraction(0)

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
        """Collect a clip with ``before`` and ``after`` seconds of transitions."""
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
        begin, end, rate, start = self._range(clip, before, after, name)
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
        first, last = self._retimed(clip, begin - before * rate, length + (before + after) * rate, name)
        return first, max(last, begin + length), rate, start

    def _retimed(self, clip: Otio, begin: Fraction, length: Fraction, name: str) -> tuple[Fraction, Fraction]:
        """Return the counts of the media that are shown with the clip's speed: forwards and backwards from its start.

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
        reach = length * abs(factor)
        first = begin - reach if factor < 0 else begin
        return min(first, begin), max(begin + reach, begin + 1, begin + length * (factor != 0))
