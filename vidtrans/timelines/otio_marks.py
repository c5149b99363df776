"""Markers of an OpenTimelineIO timeline: their texts, and the clips below those of tracks and of the whole timeline."""

from __future__ import annotations

from bisect import bisect_right
from pathlib import Path
from typing import Any

from vidtrans.core.errors import UsageError, first_line

Otio = Any  # objects of OpenTimelineIO, which has no types
Marks = dict[int, tuple[Otio, list[str]]]  # by a clip's identity: the clip, which keeps it, and texts of markers
SLACK_S = 1e-6  # by which a marker may stand before its clip: times are floating-point numbers


def add_marks(otio: Otio, composition: Otio, marks: Marks, path: Path) -> None:
    """Add the texts of markers of a track, or of a stack of tracks, to the clips below them.

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
    """Return the clips of a track in order with the seconds at which they begin and end."""
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
    """Return the texts of a marker: its name, its comment, and the note of DaVinci Resolve."""
    resolve = marker.metadata.get("Resolve_OTIO")
    note = resolve.get("Note") if hasattr(resolve, "get") else None
    found = [marker.name, getattr(marker, "comment", ""), note]
    return list(dict.fromkeys(text for text in found if isinstance(text, str) and text))
