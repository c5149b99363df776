"""Media references of OpenTimelineIO: the media of a clip, and new media in its place."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from vidtrans.core.files import NUMBER
from vidtrans.timelines.spans import DAY_S, usual_rate
from vidtrans.timelines.timeline import Relink, TimelineClip, numbered_name

Otio = Any  # objects of OpenTimelineIO, which has no types
_WHOLE = re.compile(r"/|\\\\|[A-Za-z]:[\\/]|[A-Za-z][A-Za-z0-9+.-]+:")  # absolute paths, and URLs
RECORD = "vidtrans"  # the key of the metadata of new references


@dataclass(frozen=True)
class NamedMedia:
    """The media that a reference names. ``first``, ``step``, ``rate``: of numbered pictures; else None, 1, None."""

    url: str
    first: int | None = None
    step: int = 1
    rate: Fraction | None = None

    def numbered(self, clip: TimelineClip) -> TimelineClip:
        """Return a clip with the numbers of its pictures."""
        return replace(clip, first_number=self.first, number_step=self.step, pictures_rate=self.rate)


def named_media(otio: Otio, clip: Otio) -> NamedMedia | str:
    """Return the media of a clip; a text if it has none that can be rendered: why."""
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
    """Give a clip new media, which is shown at the same times. ``folder``: of the file of the timeline."""
    old, media = clip.media_reference, link.media
    span = clip.source_range or old.available_range
    is_still = media.rate is None
    if span is not None and not is_still:
        start = span.start_time
        moved = _plain(Fraction(start.value).limit_denominator(10**6) + link.shift)
        new_start = otio.opentime.RationalTime(moved, start.rate)
        clip.source_range = otio.opentime.TimeRange(new_start, span.duration)
    rate = span.start_time.rate if span is not None else float(media.rate or 24)
    counts = (link.start, link.length) if span is not None else (Fraction(media.start), Fraction(media.num_frames))
    available = old.available_range
    if not is_still:
        times = [otio.opentime.RationalTime(_plain(one), rate) for one in counts]
        available = otio.opentime.TimeRange(*times)
    record = {"source": _url_of(old)}
    clip.media_reference = _reference(otio, old, link, available, folder, {RECORD: record})


def divide_clip(otio: Otio, clip: Otio, link: Relink, shown: tuple[Fraction, Fraction]) -> None:
    """Leave of a clip what its new media cover, and put clips with the old media on both sides of it.

    ``shown``: the counts that a nested timeline shows of it, all of which are covered. The clip has no effects.
    """
    span, track = clip.source_range or clip.media_reference.available_range, clip.parent()
    if link.media.rate is None or not isinstance(track, otio.schema.Track):
        return
    rate, place = span.start_time.rate, next(number for number, one in enumerate(track) if one is clip)
    begin, length = (Fraction(time.value).limit_denominator(10**6) for time in (span.start_time, span.duration))
    length = length * usual_rate(rate) / usual_rate(span.duration.rate)
    covered = link.start - link.shift
    joins = [_reach(otio, track, place - 1, "out_offset", rate), _reach(otio, track, place + 1, "in_offset", rate)]
    first = max(begin, min(max(Fraction(ceil(covered)), begin + joins[0]), shown[0]))
    stop = min(begin + length, max(min(Fraction(floor(covered + link.length)), begin + length - joins[1]), shown[1]))
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


def _reach(otio: Otio, track: Otio, place: int, name: str, rate: float) -> Fraction:
    """Return by how many counts a transition reaches into its neighbour; 0 without one."""
    one = track[place] if 0 <= place < len(track) else None
    if not isinstance(one, otio.schema.Transition):
        return Fraction(0)
    return Fraction(getattr(one, name).rescaled_to(rate).value).limit_denominator(10**6)


def _piece(otio: Otio, clip: Otio, begin: Fraction, end: Fraction, rate: float) -> Otio:
    """Return a copy of a clip with a part of its media."""
    piece = clip.deepcopy()
    times = [otio.opentime.RationalTime(_plain(one), rate) for one in (begin, end - begin)]
    piece.source_range = otio.opentime.TimeRange(*times)
    return piece


def _owner(otio: Otio, marker: Otio, pieces: list[Otio], clip: Otio) -> Otio:
    """Return the piece of a clip that has the moment of a marker, before or after midnight, or else the clip."""
    moment = marker.marked_range.start_time
    day = otio.opentime.RationalTime(DAY_S * round(moment.rate), moment.rate)
    moments = (moment, moment + day, moment - day)
    return next((piece for one in moments for piece in pieces if piece.source_range.contains(one)), clip)


def keep_places(clip: Otio, old_folder: Path, folder: Path) -> None:
    """Write the relative paths of a clip's media from another folder; missing media and URLs stay."""
    references = clip.media_references()
    for media in references.values():
        for name in ("target_url", "target_url_base"):
            url = getattr(media, name, "")
            if url and "\0" not in url and not _WHOLE.match(url):
                here = next((p for p in (old_folder / url, old_folder / unquote(url)) if _exists(p)), None)
                if here is not None:
                    setattr(media, name, _written(here, url, folder) + ("/" if url.endswith("/") else ""))
    clip.set_media_references(references, clip.active_media_reference_key)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # no name of this system
        return False


def _reference(otio: Otio, old: Otio, link: Relink, available: Otio, folder: Path, record: dict[str, Any]) -> Otio:
    """Return a reference to new media, of its kind, with the name and the metadata of the old one."""
    media, schema = link.media, otio.schema
    metadata = {**dict(old.metadata), **record}
    place = _written(media.path, _url_of(old), folder)
    first = media.first_number
    if first is not None and (parts := numbered_name(media.names, first)):
        before, number, after = parts
        last = numbered_name(media.names, first + old.frame_step * (media.num_frames - 1))
        found = schema.ImageSequenceReference(
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
        found.name = old.name
        return found
    reference = schema.ExternalReference(place, available, metadata)
    reference.name = old.name
    return reference


def _url_of(media: Otio) -> str:
    return str(getattr(media, "target_url", None) or getattr(media, "target_url_base", ""))


def _written(path: Path, old: str, folder: Path) -> str:
    """Return a path as the old one was written: relative to the timeline's folder, absolute, or as a file:// URL."""
    whole = path.resolve()
    if old.lower().startswith("file:"):
        return whole.as_uri()
    if not _WHOLE.match(old):
        try:
            return quote(Path(os.path.relpath(whole, folder.resolve())).as_posix(), safe="/:+,@=~()'! ")
        except ValueError:  # on another drive
            return str(whole)
    return str(whole)


def _plain(value: Fraction) -> float:
    return float(value)
