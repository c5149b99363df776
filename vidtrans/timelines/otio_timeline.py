"""Timelines that OpenTimelineIO reads: its own format (.otio), and others for which an adapter is installed."""

from __future__ import annotations

import os
import re
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from vidtrans.core.errors import UsageError, first_line
from vidtrans.core.files import parse_json
from vidtrans.core.text_files import decode_text
from vidtrans.timelines.otio_walk import MAX_NESTED, TimelineWalk, divide_clip, link_clip, rebase_paths
from vidtrans.timelines.spans import usual_rate
from vidtrans.timelines.timeline import Relink, Timeline

Otio = Any  # Object of OpenTimelineIO, which has no types
Segment = tuple[Fraction, Fraction]  # Range of a timeline without a cut inside, (start, end) in s


class CutFinder:
    """A search for the cuts of a timeline: the edges of the visible clips, where upper tracks cover lower ones."""

    def __init__(self, otio: Otio) -> None:
        self._otio, self._schema = otio, otio.schema

    def cuts(self, timeline: Otio) -> tuple[list[Fraction], Fraction]:
        """Return the times of all cuts of a timeline but its end, in s, and its frame rate.

        Raises ValueError for an invalid time, or if the timeline shows no pictures, and errors of the library for an
        unknown length.
        """
        segments = self._composition_segments(timeline.tracks, 0)
        if not segments:
            raise ValueError("it shows no pictures")
        tracks = [one for one in timeline.video_tracks() if len(one)] or [timeline]
        longest = max((one.duration() for one in tracks), key=_seconds)
        rate, end = usual_rate(longest.rate), _seconds(longest)
        edges = {edge for segment in segments for edge in segment}
        return sorted(edge for edge in edges if 0 <= edge < end - 1 / (2 * rate)), rate

    def _composition_segments(self, composition: Otio, depth: int) -> list[Segment]:
        """Return the segments of a stack or track, in s from the start of its visible range.

        ``depth``: the number of compositions around it.
        """
        segments: list[Segment] = []
        if isinstance(composition, self._schema.Track):
            segments = self._track_segments(composition, depth)
        else:
            for layer in reversed(list(composition)):
                own = self._item_segments(layer, Fraction(0), depth)
                segments = sorted([*segments, *(rest for segment in own for rest in _subtract(segment, segments))])
        if composition.source_range is None:
            return segments
        start, length = (_seconds(time) for time in (composition.source_range.start_time, composition.duration()))
        trimmed = [(max(begin - start, Fraction(0)), min(end - start, length)) for begin, end in segments]
        return [segment for segment in trimmed if segment[0] < segment[1]]

    def _track_segments(self, track: Otio, depth: int) -> list[Segment]:
        """Return the segments of the children of a track, in s; a cut is where a transition begins."""
        segments, begin, early, is_joined = list[Segment](), Fraction(0), Fraction(0), False
        for child in track:
            if isinstance(child, self._schema.Transition):
                early = _seconds(child.in_offset)  # The next child is visible from the start of the transition
                if is_joined:
                    segments[-1] = (segments[-1][0], max(segments[-1][0], segments[-1][1] - early))
                continue
            own = self._item_segments(child, begin, depth)
            segments += [(own[0][0] - early, own[0][1]), *own[1:]] if own else []
            begin, early, is_joined = begin + _seconds(child.duration()), Fraction(0), bool(own)
        return segments

    def _item_segments(self, item: Otio, begin: Fraction, depth: int) -> list[Segment]:
        """Return the segments of a child that begins at ``begin`` s; none for a gap, a title or a disabled child.

        ``depth``: the number of compositions around its parent.
        """
        if not getattr(item, "enabled", True) or isinstance(item, self._schema.Gap | self._schema.Transition):
            return []
        if isinstance(item, self._schema.Clip):
            has_media = not isinstance(item.media_reference, self._schema.GeneratorReference)
            return [(begin, begin + _seconds(item.duration()))] if has_media else []
        if isinstance(item, self._schema.Track) and item.kind != self._schema.TrackKind.Video:
            return []
        # A composition that is nested too deeply, or whose speed is changed, is one segment.
        if depth > MAX_NESTED or any(isinstance(one, self._schema.TimeEffect) for one in item.effects):
            return [(begin, begin + _seconds(item.duration()))]
        return [(begin + one, begin + other) for one, other in self._composition_segments(item, depth + 1)]


def _seconds(time: Otio) -> Fraction:
    """Return a time of OpenTimelineIO in s."""
    return Fraction(time.value).limit_denominator(10**6) / usual_rate(time.rate)


def _subtract(segment: Segment, covers: list[Segment]) -> list[Segment]:
    """Return the parts of a segment outside the segments ``covers``, which are sorted and do not overlap."""
    left, (begin, end) = list[Segment](), segment
    place = max(0, bisect_right(covers, begin, key=lambda cover: cover[0]) - 1)
    while place < len(covers) and covers[place][0] < end:
        if covers[place][0] > begin:
            left.append((begin, covers[place][0]))
        begin = max(begin, covers[place][1])
        place += 1
    return [*left, (begin, end)] if begin < end else left


OTIO = ".otio"  # Suffix of OpenTimelineIO's own format
MAX_REASON_CHARS = 200  # Longest quoted error message of OpenTimelineIO, in characters
MAX_DEPTH = 200  # Most nested compositions; the JSON of a file may be nested four times deeper
INSTALL_COMMAND = "pip install 'vidtrans[editors]'"  # Command that installs OpenTimelineIO
# Suffixes of formats that contain the media or need access to them; they are not written
UNSUPPORTED_OUTPUTS = (".aaf", ".otioz", ".otiod")


class OtioTimeline(Timeline):
    """A timeline read by OpenTimelineIO from the ``content`` of a file.

    Raises UsageError if it cannot be read or is empty.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self._otio = load_library(path)
        self._check_format(path.suffix.lower())
        if path.suffix.lower() == OTIO:
            _check_json(path, content)
        self._root = self._read(path, content)
        walk = TimelineWalk(self._otio, path)
        walk.read(self._root)
        self.clips, self.skipped = walk.clips, walk.skipped
        if not walk.has_items:
            raise UsageError(str(path), "the timeline is empty", "put clips on it, and export it again")

    def _check_format(self, suffix: str) -> None:
        """Raise UsageError if no adapter is installed that reads files with this suffix."""
        if suffix.lstrip(".") not in self._otio.adapters.suffixes_with_defined_adapters(read=True):
            names = {".fcpxml": "otio-fcpx-xml-adapter", ".xml": "otio-fcp-adapter", ".aaf": "otio-aaf-adapter"}
            remedy = f"pip install {names.get(suffix, 'its adapter')}, or export the timeline as .otio or .edl"
            raise UsageError(str(self.path), f"no adapter of OpenTimelineIO for {suffix} is installed", remedy)

    def _read(self, path: Path, content: bytes) -> Otio:
        """Return the timeline, or the collection of timelines, in the content of a file. Raises UsageError."""

        def read() -> Otio:
            """Read the file with the adapter of its format."""
            if path.suffix.lower() == OTIO:
                return self._otio.adapters.read_from_string(decode_text(content), "otio_json")
            return self._otio.adapters.read_from_file(str(path))

        root = _call_library(read, str(path), "it is not a timeline that can be read", "export it again")
        kinds = (self._otio.schema.Timeline, self._otio.schema.SerializableCollection)
        if not isinstance(root, kinds):
            raise UsageError(str(path), "it holds no timeline", "export a timeline as .otio")
        members = [root] if isinstance(root, kinds[0]) else list(root)
        if any(isinstance(one, kinds[0]) and one.tracks is None for one in members):
            raise UsageError(str(path), "it has no tracks", "export the timeline again")
        return root

    def check_output(self, output: Path) -> list[str]:
        """Return [], because losses are known only after writing. Raises UsageError if the format cannot be written."""
        suffix = output.suffix.lower()
        if suffix in UNSUPPORTED_OUTPUTS or suffix.lstrip(
            "."
        ) not in self._otio.adapters.suffixes_with_defined_adapters(write=True):
            raise UsageError(str(output), f"{suffix or 'this format'} cannot be written", "use -o FILE.otio")
        if suffix != OTIO:
            self._text(self._root, output)
        return []

    def relinked(self, links: Mapping[int, Relink], output: Path) -> tuple[bytes, list[str]]:
        """Return the content of ``output``, with new media for clips by their number, and what its format loses."""
        root = self._root.deepcopy()
        walk = TimelineWalk(self._otio, self.path)
        walk.read(root)
        if not os.path.samefile(self.path.parent, output.parent):
            for clip in walk.all_clips(root):
                rebase_paths(clip, self.path.parent, output.parent)
        for number, link in links.items():
            if number in walk.partial_ranges:
                divide_clip(self._otio, walk.originals[number], link, walk.partial_ranges[number])
            link_clip(self._otio, walk.originals[number], link, output.parent)
        content = self._text(root, output)
        return content, [] if output.suffix.lower() == OTIO else self._list_losses(root, output, content)

    def cuts(self) -> tuple[list[Fraction], Fraction]:
        """Return the times of the cuts of the timeline, in s, and its frame rate. Raises UsageError."""
        schema, root = self._otio.schema, self._root
        members = list(root) if isinstance(root, schema.SerializableCollection) else [root]
        timelines = [one for one in members if isinstance(one, schema.Timeline)]
        if len(timelines) != 1:
            why = f"it holds {len(timelines)} timelines"
            raise UsageError(str(self.path), why, "export the one of the clip")
        return _call_library(
            lambda: CutFinder(self._otio).cuts(timelines[0]),
            str(self.path),
            "its cuts cannot be read",
            "export it again",
        )

    def _text(self, root: Otio, output: Path) -> bytes:
        """Return a timeline as the content of a file in the format of its suffix. Raises UsageError."""
        if output.suffix.lower() == OTIO:
            return bytes(self._otio.adapters.write_to_string(root, "otio_json").encode() + b"\n")

        def write() -> bytes:
            """Write the timeline to a temporary file with the adapter of the format, and return its content."""
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder) / f"timeline{output.suffix}"
                self._otio.adapters.write_to_file(root.deepcopy(), str(place))
                return place.read_bytes()

        why = f"the timeline cannot be written as {output.suffix}"
        content: bytes = _call_library(write, str(output), why, f"use -o {output.with_suffix(OTIO)}")
        return content

    def _list_losses(self, root: Otio, output: Path, content: bytes) -> list[str]:
        """Return what a format lost, one line for each kind of object, found by reading the written file again."""
        with tempfile.TemporaryDirectory() as folder, suppress(UsageError):
            place = Path(folder) / f"timeline{output.suffix}"
            place.write_bytes(content)
            again = self._read(place, content)
            before, after = (TimelineWalk(self._otio, self.path).tally(one) for one in (root, again))
            return [
                f"{output.suffix} keeps {after.get(kind, 0)} of {number} {kind}"
                for kind, number in before.items()
                if after.get(kind, 0) < number
            ]
        return []


def load_library(path: Path) -> Otio:
    """Return the Python module of OpenTimelineIO. Raises UsageError if it is not installed."""
    try:
        import opentimelineio
    except ImportError:
        remedy = f"{INSTALL_COMMAND}, or export the timeline as .edl"
        raise UsageError(str(path), "OpenTimelineIO is not installed", remedy) from None
    return opentimelineio


def _call_library(call: Callable[[], Any], what: str, why: str, remedy: str) -> Otio:
    """Return the result of a call of OpenTimelineIO. Raises UsageError(what, why, remedy) for any of its errors."""
    try:
        return call()
    except Exception as error:  # Adapters are third-party plugins and may raise anything
        text = re.sub(r" ?\(of type '\w*'\)|, found a .*", "", first_line(error))  # Names of C++ types
        raise UsageError(what, f"{why} ({text[:MAX_REASON_CHARS]})", remedy) from None


def _check_json(path: Path, content: bytes) -> None:
    """Raise UsageError for JSON that is invalid, or nested so deeply that the library would crash."""
    try:
        value = parse_json(decode_text(content))
    except ValueError as error:
        raise UsageError(str(path), f"it is not valid JSON ({error})", "export the timeline again") from None
    stack = [(value, 0)]
    while stack:
        one, depth = stack.pop()
        if depth > 4 * MAX_DEPTH:
            raise UsageError(str(path), "it is nested too deeply", "export the timeline again")
        if isinstance(one, dict):
            if str(one.get("OTIO_SCHEMA", "")).startswith("SerializableObjectRef"):
                why = "an object in it stands in several places, or in itself"
                raise UsageError(str(path), why, "export the timeline again")
            stack += [(inner, depth + 1) for inner in one.values()]
        elif isinstance(one, list):
            stack += [(inner, depth + 1) for inner in one]
