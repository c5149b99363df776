"""Copy attachments and cover art to the result, and name all that it does not get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream

from vidtrans.core.events import Note, Report
from vidtrans.video.io.container import open_media, packets_of, picture_stream

# Cover art by its codec: the ending of its name, and the type that Matroska asks for.
COVERS = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
IN_MATROSKA = ("attachment", "cover art", "second titles")
FIRST = float("-inf")  # cover art comes before everything else


def add_other_tracks(
    out: OutputContainer, source: InputContainer, path: Path, report: Report, left_out: Sequence[str] = ()
) -> Iterator[tuple[float, Packet[Any]]]:
    """Add attachments and cover art to ``out``, and report what is left out; return (time in s, packet) of covers.

    ``left_out``: properties of the pictures that ``out`` has no room for.
    """
    kind = out.format.name
    left = Counter(left_out)
    pictures = picture_stream(source, path)
    packets = []
    covers = _covers(source, path)
    for stream in source.streams:
        cover = covers.get(stream.index)
        codec = stream.codec_context.name if stream.codec_context else ""
        if isinstance(stream, AttachmentStream) and kind == "matroska":
            out.add_attachment(stream.name or "attachment", stream.mimetype or "application/octet-stream", stream.data)
        elif cover is not None and codec in COVERS and kind == "matroska":
            ending, mimetype = COVERS[codec]
            out.add_attachment(stream.metadata.get("filename", f"cover.{ending}"), mimetype, bytes(cover))
        elif cover is not None and codec in COVERS and kind == "mp4":
            packets.append((FIRST, cover))
            cover.stream = out.add_stream_from_template(stream, opaque=True)
            cover.stream.disposition = Disposition.attached_pic
        elif what := _left_out(stream, pictures, is_cover=stream.index in covers):
            left[what] += 1
    titles = [[key for key in chapter["metadata"] if "title" in key.lower()] for chapter in source.chapters()]
    if kind != "matroska" and any(len(keys) > 1 for keys in titles):
        left["second titles of chapters"] = 1
    if left:
        parts = ", ".join(what if count == 1 else f"{count} × {what}" for what, count in left.items())
        others = any(what.startswith(IN_MATROSKA) for what in left) and kind != "matroska"
        report(Note(f"{path.name}: left out of {kind}: {parts}{' (.mkv has room)' if others else ''}", "warning"))
    return iter(packets)


def _left_out(stream: Stream, pictures: Stream, *, is_cover: bool) -> str:
    """Return the name of a track that the result lacks; '' for one that is copied, or whose content is written."""
    if is_cover:
        return "cover art"
    if isinstance(stream, AttachmentStream):
        return f"attachment ({stream.name})"
    if stream.type == "video":
        return f"video track {stream.index}" if stream.index != pictures.index else ""
    is_written = stream.discard == Discard.all or "timecode" in stream.metadata  # chapters and timecode
    if stream.type in ("audio", "subtitle") or is_written:
        return ""
    name = stream.metadata.get("handler_name") or getattr(stream, "name", None) or "unknown"
    return f"data track ({name.strip()})"


def _covers(source: InputContainer, path: Path) -> dict[int, Packet[Any]]:
    """Return the packet of each cover picture, by the number of its track."""
    wanted = [s.index for s in source.streams.video if s.disposition & Disposition.attached_pic]
    if not wanted:
        return {}
    with open_media(path) as container:  # reading it here would take packets from those who read ``source``
        first = islice(packets_of(container, [container.streams[index] for index in wanted]), len(wanted))
        return {packet.stream_index: packet for packet in first}
