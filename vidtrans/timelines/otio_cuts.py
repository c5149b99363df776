"""The moments at which the picture of an OpenTimelineIO timeline is cut."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction
from typing import Any

from vidtrans.timelines.otio_walk import MAX_NESTED
from vidtrans.timelines.spans import usual_rate

Otio = Any  # objects of OpenTimelineIO, which has no types
Segment = tuple[Fraction, Fraction]  # seconds, from and to, of one picture without a cut


class CutFinder:
    """Finds cuts: the edges of what the tracks show, an upper one over the lower ones."""

    def __init__(self, otio: Otio) -> None:
        self._otio, self._schema = otio, otio.schema

    def cuts(self, timeline: Otio) -> tuple[list[Fraction], Fraction]:
        """Return the seconds of all cuts but the timeline's end, and its frame rate.

        Raises ValueError for a time that is none, or if it shows no pictures, and what the library raises where a
        length is unknown.
        """
        segments = self._inside(timeline.tracks, 0)
        if not segments:
            raise ValueError("it shows no pictures")
        tracks = [one for one in timeline.video_tracks() if len(one)] or [timeline]
        longest = max((one.duration() for one in tracks), key=_seconds)
        rate, end = usual_rate(longest.rate), _seconds(longest)
        edges = {edge for segment in segments for edge in segment}
        return sorted(edge for edge in edges if 0 <= edge < end - 1 / (2 * rate)), rate

    def _inside(self, composition: Otio, depth: int) -> list[Segment]:
        """Return the segments of a stack or track, in its time, of which 0 is the begin of what is shown."""
        found: list[Segment] = []
        if isinstance(composition, self._schema.Track):
            found = self._of_track(composition, depth)
        else:
            for layer in reversed(list(composition)):
                own = self._of_item(layer, Fraction(0), depth)
                found = sorted([*found, *(rest for segment in own for rest in _without(segment, found))])
        if composition.source_range is None:
            return found
        start, length = (_seconds(time) for time in (composition.source_range.start_time, composition.duration()))
        kept = [(max(begin - start, Fraction(0)), min(end - start, length)) for begin, end in found]
        return [segment for segment in kept if segment[0] < segment[1]]

    def _of_track(self, track: Otio, depth: int) -> list[Segment]:
        found, begin, early, is_joined = list[Segment](), Fraction(0), Fraction(0), False
        for child in track:
            if isinstance(child, self._schema.Transition):
                early = _seconds(child.in_offset)  # the picture of the next one begins as the transition does
                if is_joined:
                    found[-1] = (found[-1][0], max(found[-1][0], found[-1][1] - early))
                continue
            own = self._of_item(child, begin, depth)
            found += [(own[0][0] - early, own[0][1]), *own[1:]] if own else []
            begin, early, is_joined = begin + _seconds(child.duration()), Fraction(0), bool(own)
        return found

    def _of_item(self, item: Otio, begin: Fraction, depth: int) -> list[Segment]:
        """Return the segments of a child that begins at ``begin``; none of a gap, a title, or what is disabled."""
        if not getattr(item, "enabled", True) or isinstance(item, self._schema.Gap | self._schema.Transition):
            return []
        if isinstance(item, self._schema.Clip):
            has_media = not isinstance(item.media_reference, self._schema.GeneratorReference)
            return [(begin, begin + _seconds(item.duration()))] if has_media else []
        if isinstance(item, self._schema.Track) and item.kind != self._schema.TrackKind.Video:
            return []
        # What is nested deeper is one segment.
        if depth > MAX_NESTED or any(isinstance(one, self._schema.TimeEffect) for one in item.effects):
            return [(begin, begin + _seconds(item.duration()))]
        return [(begin + one, begin + other) for one, other in self._inside(item, depth + 1)]


def _seconds(time: Otio) -> Fraction:
    return Fraction(time.value).limit_denominator(10**6) / usual_rate(time.rate)


def _without(segment: Segment, covers: list[Segment]) -> list[Segment]:
    """Return what of a segment others do not cover, which are in order and do not overlap."""
    left, (begin, end) = list[Segment](), segment
    place = max(0, bisect_right(covers, begin, key=lambda cover: cover[0]) - 1)
    while place < len(covers) and covers[place][0] < end:
        if covers[place][0] > begin:
            left.append((begin, covers[place][0]))
        begin = max(begin, covers[place][1])
        place += 1
    return [*left, (begin, end)] if begin < end else left
