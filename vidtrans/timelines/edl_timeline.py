"""An edit decision list (CMX 3600) as a timeline; only the lines of new media change."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path, PureWindowsPath

from vidtrans.core.errors import UsageError
from vidtrans.core.text_files import text_encoding
from vidtrans.timelines.edl_events import EdlEvent, plain_timecode, previous_events, read_events
from vidtrans.timelines.timeline import Relink, StyledMedia, Timeline, TimelineClip, numbered_name
from vidtrans.video.io.timestamps import advance_timecode

# Numbered pictures: shot.[0101-0120].exr
_NUMBERS = re.compile(r"(?P<before>.*?)\[(?P<first>-?[0-9]{1,9})-(?P<last>-?[0-9]{1,9})\](?P<after>\.\w+)")


class EdlTimeline(Timeline):
    """The timeline of an EDL at a frame rate. Raises UsageError if it cannot be read."""

    def __init__(self, path: Path, content: bytes, rate: Fraction) -> None:
        self.path, self._rate = path, rate
        text, self._encoding = read_edl(content)
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.splitlines()
        events = read_events(path, self._lines, rate)
        if not events:
            raise UsageError(str(path), "it has no events", "export the timeline as a CMX 3600 EDL")
        before = previous_events(events)
        behind = {id(before[event.line]): event.length for event in events if event.line in before}
        pairs = {(event.number, event.channels): event.length for event in events if event.length}
        shown = [event for event in events if event.is_video and not event.is_generator]
        self._events = dict(enumerate(shown, 1))
        self.clips = [
            _clip(number, event, _behind(event, behind, pairs), rate) for number, event in self._events.items()
        ]
        self.skipped = _skipped(events)

    def check_output(self, output: Path) -> list[str]:
        """Return nothing, as all other lines stay. Raises UsageError for another format."""
        if output.suffix.lower() != ".edl":
            raise UsageError(str(output), "the timeline is an EDL", f"use -o {output.with_suffix('.edl')}")
        return []

    def relinked(self, links: Mapping[int, Relink], output: Path) -> tuple[bytes, list[str]]:
        """Return the EDL with the names, files and timecodes of new media, and what its encoding lacks."""
        lines, added = list(self._lines), dict[int, list[str]]()
        for number, link in links.items():
            event = self._events[number]
            self._change(lines, added, event, link.media, round(link.shift))
        text = []
        for number, line in enumerate(lines):
            text += [line, *added.get(number, ())]
        whole = self._newline.join([*text, ""])
        try:
            return whole.encode(self._encoding), []
        except UnicodeEncodeError as error:  # with signs in the place of its letters, no program would find the file
            letters = whole[error.start : error.end][:20]
            return whole.encode(), [f"it is in UTF-8, as the encoding of {self.path.name} has no '{letters}'"]

    def _change(
        self, lines: list[str], added: dict[int, list[str]], event: EdlEvent, media: StyledMedia, shift: int
    ) -> None:
        """Write new media into the lines of an event."""
        if shift:
            for begin, end in event.spans[:2]:
                line = lines[event.line]
                lines[event.line] = line[:begin] + _moved(line[begin:end], shift, self._rate, event.drops) + line[end:]
            if event.speed_line >= 0:
                line = lines[event.speed_line].rstrip()
                lines[event.speed_line] = line[:-11] + _moved(line[-11:], shift, self._rate, event.drops)
        written = _written(media)
        keys = set()
        for number in event.lines:
            head, _, _ = lines[number].partition(":")
            keys.add("NAME" if head.upper().rstrip().endswith("NAME") else "FILE")
            lines[number] = f"{head}: {media.path.name if head.upper().rstrip().endswith('NAME') else written}"
        if "FILE" not in keys:
            added.setdefault(event.last, []).append(f"* SOURCE FILE: {written}")
        if "NAME" not in keys:
            added.setdefault(event.last, []).append(f"* FROM CLIP NAME: {media.path.name}")


def read_edl(content: bytes) -> tuple[str, str]:
    """Return the text of an EDL, and its encoding."""
    encoding = text_encoding(content)
    return content.decode(encoding, "replace"), encoding


def _behind(event: EdlEvent, behind: Mapping[int, int], pairs: Mapping[tuple[str, str], int]) -> int:
    """Return how many frames longer the transition that follows an event shows it.

    ``behind``: by the event, where the transition has a number of its own. ``pairs``: by number and channels.
    """
    own = 0 if event.length else pairs.get((event.number, event.channels), 0)
    return max(own, behind.get(id(event), 0))


def _clip(number: int, event: EdlEvent, behind: int, rate: Fraction) -> TimelineClip:
    """Return the clip of an event; ``behind``: the frames of the transition that follows."""
    begin, end = event.source
    speed = Fraction(1) if event.speed is None else event.speed
    length = (event.record_length + behind) * abs(speed)
    first = begin - ceil(length) if speed < 0 else begin
    names = [event.name, event.reel if event.reel.upper() != "AX" else ""]
    # The names of Windows' files on other systems.
    names = [PureWindowsPath(name).name for name in names if name]
    stop = max(Fraction(end), begin + length, begin + Fraction(1))
    stop = max(stop, Fraction(end + behind)) if event.speed is None else stop
    found = TimelineClip(
        number,
        event.name or event.reel,
        event.file,
        Fraction(first),
        stop,
        rate,
        marks=tuple(event.marks),
        names=tuple(names),
    )
    if not (match := _NUMBERS.fullmatch(event.file)):
        return found
    digits = len((match["last"] if match["first"].startswith("-") else match["first"]).lstrip("-"))
    pattern = f"{match['before']}%0{digits}d{match['after']}" if digits > 1 else f"{match['before']}%d{match['after']}"
    return replace(
        found, media=pattern, first_number=int(match["first"]), pictures_rate=rate, media_start=Fraction(begin)
    )


def _written(media: StyledMedia) -> str:
    """Return the path of new media as an EDL writes it, numbered pictures with their range: shot.[0101-0120].png."""
    whole = media.path.resolve().as_posix()
    if media.first_number is None:
        return whole
    last = media.first_number + media.num_frames - 1
    first_parts, last_parts = (numbered_name(media.names, number) for number in (media.first_number, last))
    if first_parts is None:
        return whole
    before, number, after = first_parts
    end = last_parts[1] if last_parts else str(last).zfill(len(number))
    return f"{whole}/{before}[{number}-{end}]{after}"


def _skipped(events: list[EdlEvent]) -> list[str]:
    sound = sum(not event.is_video for event in events)
    return [f"{sound} of its events have only sound"] if sound else []


def _moved(timecode: str, shift: int, rate: Fraction, drops: bool) -> str:
    """Return a timecode moved by frames, written with the same signs."""
    new = advance_timecode(plain_timecode(timecode, drops), shift, rate)
    signs = timecode[2], timecode[5], timecode[8]
    return f"{new[0:2]}{signs[0]}{new[3:5]}{signs[1]}{new[6:8]}{signs[2]}{new[9:11]}"
