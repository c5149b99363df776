"""The sound and subtitles that belong to a file's pictures, not to another programme, and not hours away from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

TABLES_IN = 4 << 20  # bytes from the start of a transport stream, in which its tables are repeated many times
PACKET, SYNC = 188, 0x47
SPACINGS = (PACKET, 192, 204)  # bytes from packet to packet: plain, with a time stamp (m2ts), with a check sum
CHECKED = 8  # packets by which a spacing is recognised
FAR_S = 3600  # a track further from the pictures than this has another clock


def side_tracks(container: InputContainer, pictures: VideoStream | None) -> list[AudioStream | SubtitleStream]:
    """Return the sound and subtitle tracks that belong to the pictures, sound first."""
    others = tracks_of_others(container, pictures)
    streams: list[AudioStream | SubtitleStream] = [*container.streams.audio]
    streams += [s for s in container.streams.subtitles if s.discard != Discard.all]
    return [stream for stream in streams if stream.index not in others]


def tracks_not_used(container: InputContainer, pictures: VideoStream | None) -> list[str]:
    """Return a text for each sound and subtitle track that does not belong to the pictures."""
    others = tracks_of_others(container, pictures)
    streams = (*container.streams.audio, *container.streams.subtitles)
    return [f"{_name_track(stream)} {others[stream.index]}" for stream in streams if stream.index in others]


def sound_starts_s(container: InputContainer, pictures: VideoStream | None) -> list[Fraction]:
    """Return when the sound tracks that belong to the pictures begin, in s."""
    return starts_s(s for s in side_tracks(container, pictures) if s.type == "audio")


def starts_s(streams: Iterable[Stream]) -> list[Fraction]:
    """Return when these tracks begin, in s, by the headers; those without a time are left out."""
    return [s.start_time * s.time_base for s in streams if s.start_time is not None and s.time_base]


def tracks_of_others(container: InputContainer, pictures: Stream | None) -> dict[int, str]:
    """Return where the tracks are that do not belong to the ``pictures``, as a text by track number.

    Without pictures, the first sound track decides. Attached files and covers have no times and always belong.
    """
    lead = pictures or next(iter(container.streams.audio), None)
    if lead is None:
        return {}
    own: set[int] = set()
    foreign: set[int] = set()
    if container.format.name == "mpegts":
        path = Path(container.name.removeprefix("file:"))
        status = path.stat()
        for pids in _programmes(path, status.st_size, status.st_mtime_ns):
            (own if lead.id in pids else foreign).update(pids)
    others = {s.index: "of another programme" for s in container.streams if own and s.id in foreign - own}
    for stream in container.streams:
        if stream.index not in others and (distance_s := _distance_s(container, stream, lead)) > FAR_S:
            others[stream.index] = f"{distance_s / 3600:.1f} h away from the pictures"
    return others


def _name_track(stream: Stream) -> str:
    """Return a track's name for a message: its kind, number, codec and language."""
    kind = "sound" if stream.type == "audio" else stream.type
    language = stream.metadata.get("language", "und")
    codec = stream.codec_context.name if stream.codec_context else "unknown codec"
    return f"{kind} track {stream.index} ({codec}{'' if language == 'und' else f', {language}'})"


def _distance_s(container: InputContainer, stream: Stream, lead: Stream) -> float:
    """Return the seconds between the spans of two tracks; 0 where they overlap, or one has no times."""
    spans = []
    for one in (stream, lead):
        if one.start_time is None or not one.time_base:
            return 0.0
        start_s = float(one.start_time * one.time_base)
        spans.append((start_s, start_s + _duration_s(container, one)))
    (first, first_end), (second, second_end) = spans
    return max(first - second_end, second - first_end, 0.0)


def _duration_s(container: InputContainer, stream: Stream) -> float:
    """Return the seconds that a track lasts: its own, as a tag in Matroska, or else the file's; 0 if unknown."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    with suppress(ValueError):
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return (container.duration or 0) / av.time_base


@lru_cache(maxsize=16)
def _programmes(path: Path, size: int, modified_ns: int) -> tuple[frozenset[int], ...]:
    """Return the packet identifiers (PIDs) of each programme of a transport stream, from its tables.

    The tables are the association and map tables of ISO/IEC 13818-1, 2.4.4; () where there is one programme at most.
    Arguments beside ``path`` tell versions of the file others.
    """
    with path.open("rb") as file:
        head = file.read(TABLES_IN)
    maps: set[int] = set()  # PIDs of map tables
    for section in _sections(head, {0}):
        if section[0] == 0:
            entries = (section[at : at + 4] for at in range(8, len(section) - 7, 4))
            maps |= {_pid(entry, 2) for entry in entries if entry[:2] != b"\0\0"}  # 0: the network's own table
    programmes: dict[int, set[int]] = {}
    for section in _sections(head, maps):
        if section[0] != 2:
            continue
        pids = programmes.setdefault(section[3] << 8 | section[4], set())
        at = 12 + _length(section, 10)
        while at + 5 <= len(section) - 4:
            pids.add(_pid(section, at + 1))
            at += 5 + _length(section, at + 3)
    return tuple(map(frozenset, programmes.values())) if len(programmes) > 1 else ()


def _sections(head: bytes, wanted: set[int]) -> Iterator[bytes]:
    """Yield the complete sections of tables in the packets with ``wanted`` identifiers."""
    layouts = ((n, s) for n in SPACINGS for s in range(n) if set(head[s : s + n * CHECKED : n]) == {SYNC})
    spacing, start = next(layouts, (PACKET, 0))
    parts: dict[int, bytes] = {}
    for at in range(start, len(head) - PACKET + 1, spacing):
        packet = head[at : at + PACKET]
        pid, has_payload, has_field = _pid(packet, 1), packet[3] & 0x10, packet[3] & 0x20
        if packet[0] != SYNC or pid not in wanted or not has_payload:
            continue
        payload = packet[5 + packet[4] :] if has_field else packet[4:]
        if packet[1] & 0x40 and payload:  # a section begins in it, after the rest of the one before
            rest, payload = payload[1 : 1 + payload[0]], payload[1 + payload[0] :]
            yield from _complete(parts.get(pid, b"") + rest)
            parts[pid] = b""
        elif pid not in parts:
            continue
        parts[pid] += payload
    for part in parts.values():
        yield from _complete(part)


def _complete(data: bytes) -> Iterator[bytes]:
    """Yield the sections that lie one behind the other in ``data``, as far as they are complete."""
    while len(data) >= 12 and data[0] != 0xFF and len(data) >= (size := 3 + _length(data, 1)) >= 12:
        yield data[:size]
        data = data[size:]


def _pid(data: bytes, at: int) -> int:
    return (data[at] & 0x1F) << 8 | data[at + 1]


def _length(data: bytes, at: int) -> int:
    return (data[at] & 0x0F) << 8 | data[at + 1]
