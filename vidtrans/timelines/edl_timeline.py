"""Reading of edit decision lists (CMX 3600) as timelines, and writing of new media into copies of their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil
from pathlib import Path, PureWindowsPath

from vidtrans.core.errors import UsageError
from vidtrans.core.text_files import text_encoding
from vidtrans.timelines.timeline import Relink, StyledMedia, Timeline, TimelineClip, numbered_name
from vidtrans.video.io.timestamps import advance_timecode, frame_count_of, frames_in_day

_TIMECODE = r"(\d\d[:;.]\d\d[:;.]\d\d[:;.,]\d\d)"  # Timecode HH:MM:SS:FF, with any of the usual separators
# Line of an event, such as "001  A001  V  C  01:00:00:00 01:00:02:00 00:00:00:00 00:00:02:00"
_EVENT = re.compile(
    rf"\s*(?P<number>\d+)\s+(?P<reel>\S.*?)\s+(?P<channels>\S+)\s+(?P<kind>C|D|W\d+|K\s?[BO]?)(?:\s+(?P<length>\d+))?"
    rf"(?:\s+\([A-Z]\))?\s+{_TIMECODE}\s+{_TIMECODE}\s+{_TIMECODE}\s+{_TIMECODE}\s*"
)
# Line with the speed of a clip in frames per second, such as "M2  A001  012.5  01:00:00:00"
_SPEED = re.compile(rf"\s*M2\s+(?P<reel>\S.*?)\s+(?P<speed>[-+]?\d+(?:\.\d+)?)\s+{_TIMECODE}\s*")
# Comment line with a key, such as "* FROM CLIP NAME: shot1.mov"
_COMMENT = re.compile(r"\s*\*\s*(?P<key>[A-Z](?:[A-Z _]*[A-Z_])?)\s*:\s*(?P<value>.*\S)\s*", re.IGNORECASE)
# Value of a locator comment: a timecode, an optional colour and the text, such as "01:00:00:00 RED fix"
_LOCATOR = re.compile(r"\S+\s+(?:(?:RED|GREEN|BLUE|CYAN|MAGENTA|YELLOW|BLACK|WHITE|PINK|ORANGE|PURPLE)\s+)?(.*)", re.I)
GENERATOR_REELS = ("BL", "BLACK", "BARS")  # Names of reels without media, such as black
NAME_KEYS = ("FROM CLIP NAME", "TO CLIP NAME")  # Keys of comments with the name of a clip
# Keys of comments with the path of the media of a clip
FILE_KEYS = ("FROM CLIP", "TO CLIP", "FROM FILE", "TO FILE", "SOURCE FILE")
MAX_LINES = 1_000_000  # Largest number of lines of an EDL
MAX_EVENT_CHARS, MAX_COMMENT_CHARS = 500, 5000  # Longest lines that are parsed
# Name of numbered pictures with their range, such as "shot.[0101-0120].exr"
_NUMBERED_PICTURES = re.compile(r"(?P<before>.*?)\[(?P<first>-?[0-9]{1,9})-(?P<last>-?[0-9]{1,9})\](?P<after>\.\w+)")


class EdlTimeline(Timeline):
    """The timeline of an EDL, read at the frame rate ``rate``. Raises UsageError if it cannot be read."""

    def __init__(self, path: Path, content: bytes, rate: Fraction) -> None:
        self.path, self._rate = path, rate
        text, self._encoding = read_edl(content)
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._lines = text.splitlines()
        events = read_events(path, self._lines, rate)
        if not events:
            raise UsageError(str(path), "it has no events", "export the timeline as a CMX 3600 EDL")
        before = previous_events(events)
        transitions = {id(before[event.line]): event.length for event in events if event.line in before}
        pairs = {(event.number, event.channels): event.length for event in events if event.length}
        clip_events = [event for event in events if event.is_video and event.reel.upper() not in GENERATOR_REELS]
        self._events = dict(enumerate(clip_events, 1))
        self.clips = [
            _clip(number, event, _transition_frames(event, transitions, pairs), rate)
            for number, event in self._events.items()
        ]
        sound = sum(not event.is_video for event in events)
        self.skipped = [f"{sound} of its events have only sound"] if sound else []

    def check_output(self, output: Path) -> list[str]:
        """Return [], because an EDL loses nothing. Raises UsageError for an output in another format."""
        if output.suffix.lower() != ".edl":
            raise UsageError(str(output), "the timeline is an EDL", f"use -o {output.with_suffix('.edl')}")
        return []

    def relinked(self, links: Mapping[int, Relink], output: Path) -> tuple[bytes, list[str]]:
        """Return the EDL with the names, files and timecodes of new media, and a note if its encoding has changed."""
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
        except UnicodeEncodeError as error:  # With replaced letters no program would find the file
            letters = whole[error.start : error.end][:20]
            return whole.encode(), [f"it is in UTF-8, as the encoding of {self.path.name} has no '{letters}'"]

    def _change(
        self, lines: list[str], added: dict[int, list[str]], event: EdlEvent, media: StyledMedia, shift: int
    ) -> None:
        """Write the names, files and timecodes of new media into the lines of an event.

        ``lines``: the lines of the EDL. ``added``: lines to insert after a line, by its number. Both are changed.
        ``shift``: the change of the event's source timecodes, in frames.
        """
        if shift:
            for begin, end in event.spans[:2]:
                line = lines[event.line]
                lines[event.line] = (
                    line[:begin] + _shift_timecode(line[begin:end], shift, self._rate, event.is_drop_frame) + line[end:]
                )
            if event.speed_line >= 0:
                line = lines[event.speed_line].rstrip()
                lines[event.speed_line] = line[:-11] + _shift_timecode(
                    line[-11:], shift, self._rate, event.is_drop_frame
                )
        written = _media_text(media)
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
    """Return the text of an EDL and the name of its encoding."""
    encoding = text_encoding(content)
    return content.decode(encoding, "replace"), encoding


def _transition_frames(event: EdlEvent, transitions: Mapping[int, int], pairs: Mapping[tuple[str, str], int]) -> int:
    """Return the number of frames by which the transition after an event extends its clip.

    ``transitions``: lengths in frames by the event's ``id``, for transitions with a number of their own. ``pairs``:
    lengths by the number and the channels of an event.
    """
    own = 0 if event.length else pairs.get((event.number, event.channels), 0)
    return max(own, transitions.get(id(event), 0))


def _clip(number: int, event: EdlEvent, transition_frames: int, rate: Fraction) -> TimelineClip:
    """Return the clip of an event; ``transition_frames``: the length of the transition after the event."""
    begin, end = event.source
    speed = Fraction(1) if event.speed is None else event.speed
    length = (event.record[1] - event.record[0] + transition_frames) * abs(speed)
    first = begin - ceil(length) if speed < 0 else begin
    names = [event.name, event.reel if event.reel.upper() != "AX" else ""]
    # A name may be a path of Windows, on any system.
    names = [PureWindowsPath(name).name for name in names if name]
    stop = max(Fraction(end), begin + length, begin + Fraction(1))
    stop = max(stop, Fraction(end + transition_frames)) if event.speed is None else stop
    clip = TimelineClip(
        number,
        event.name or event.reel,
        event.file,
        Fraction(first),
        stop,
        rate,
        marks=tuple(event.marks),
        names=tuple(names),
    )
    if not (match := _NUMBERED_PICTURES.fullmatch(event.file)):
        return clip
    digits = len((match["last"] if match["first"].startswith("-") else match["first"]).lstrip("-"))
    pattern = f"{match['before']}%0{digits}d{match['after']}" if digits > 1 else f"{match['before']}%d{match['after']}"
    return replace(
        clip, media=pattern, first_number=int(match["first"]), pictures_rate=rate, media_start=Fraction(begin)
    )


def _media_text(media: StyledMedia) -> str:
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


def _shift_timecode(timecode: str, shift: int, rate: Fraction, is_drop_frame: bool) -> str:
    """Return a timecode shifted by ``shift`` frames, with the same separators."""
    new = advance_timecode(smpte_timecode(timecode, is_drop_frame), shift, rate)
    signs = timecode[2], timecode[5], timecode[8]
    return f"{new[0:2]}{signs[0]}{new[3:5]}{signs[1]}{new[6:8]}{signs[2]}{new[9:11]}"


@dataclass
class EdlEvent:
    """An event of an EDL: one clip, with its comment lines.

    Attributes:
        line: The number of its line, from 0.
        number: The event's number, as written.
        reel: The name of the reel.
        channels: V, A, A2, B …
        kind: C (cut), D (dissolve), W… (wipe), K… (key).
        length: Frames of the transition; 0 for a cut.
        source: The first count of the source and the one after the last, which is beyond 24 hours for an event that
            crosses midnight.
        record: The first count in the result and the one after the last.
        day: The counts of 24 hours in the result.
        spans: The (start, end) of its four timecodes in the line.
        is_drop_frame: Whether its timecodes are drop-frame, even if written with a colon.
        name: The name of the clip; '' if it has none.
        file: The path of its media; '' if there is none.
        marks: The texts of its locators and comments.
        speed: The speed as a share of normal; None if it is not changed.
        speed_line: The number of the line with the speed; -1 without.
        lines: The numbers of the lines with its name or its file.
        last: The number of its last line.
    """

    line: int
    number: str
    reel: str
    channels: str
    kind: str
    length: int
    source: tuple[int, int]
    record: tuple[int, int]
    day: int
    spans: tuple[tuple[int, int], ...]
    is_drop_frame: bool = False
    name: str = ""
    file: str = ""
    marks: list[str] = field(default_factory=list)
    speed: Fraction | None = None
    speed_line: int = -1
    lines: list[int] = field(default_factory=list)
    last: int = 0

    @property
    def is_video(self) -> bool:
        """Return whether the event has pictures, according to its channels."""
        return self.channels.upper() in ("B", "V") or bool(re.search(r"(?i)(^|/)V\d*(/|$)", self.channels))


def read_events(path: Path, lines: Sequence[str], rate: Fraction) -> list[EdlEvent]:
    """Return the events of an EDL in order. Raises UsageError for a line that is invalid at the frame rate ``rate``."""
    if len(lines) > MAX_LINES:
        raise UsageError(str(path), "it has too many lines", "divide it")
    events: list[EdlEvent] = []
    is_drop_frame = False
    for number, line in enumerate(lines):
        if line.strip().upper().startswith("FCM:"):
            is_drop_frame = "NON" not in line.upper()
        elif match := _EVENT.fullmatch(line[: MAX_EVENT_CHARS + 1]):
            events.append(_parse_event(match, number, rate, is_drop_frame, f"{path}, line {number + 1}"))
        elif re.match(r"\s*\d{1,6}\s+\S+\s+\S+\s+[CDWK]", line[:MAX_EVENT_CHARS]):
            why = f"'{line.strip()[:80]}' is not an event of a CMX 3600 EDL"
            raise UsageError(f"{path}, line {number + 1}", why, "export the EDL as CMX 3600, with timecodes")
        elif events:
            _add_comment(events, number, line, rate)
    return events


def _parse_event(match: re.Match[str], line: int, rate: Fraction, is_drop_frame: bool, where: str) -> EdlEvent:
    """Return the event in line number ``line``, from 0. Raises UsageError for invalid timecodes.

    ``match``: the line's match of ``_EVENT``. ``where``: the line, for messages.
    """
    times = [smpte_timecode(match[n], is_drop_frame) for n in range(6, 10)]
    source, record = _counts(times[0], times[1], rate, where), _counts(times[2], times[3], rate, where)
    return EdlEvent(
        line,
        match["number"],
        match["reel"].strip(),
        match["channels"],
        match["kind"],
        int(match["length"] or 0) if match["kind"] != "C" else 0,
        source,
        record,
        frames_in_day(times[2], rate),
        tuple(match.span(n) for n in range(6, 10)),
        is_drop_frame,
        last=line,
    )


def smpte_timecode(timecode: str, is_drop_frame: bool) -> str:
    """Return a timecode with the separators of SMPTE, which is ";" before the frames for drop-frame.

    ``is_drop_frame``: the timecode is drop-frame even if it is written with a colon.
    """
    digits = re.split(r"[:;.,]", timecode)
    return f"{':'.join(digits[:3])}{';' if is_drop_frame or timecode[-3] in ';,' else ':'}{digits[3]}"


def _counts(begin: str, end: str, rate: Fraction, where: str) -> tuple[int, int]:
    """Return timecodes ``begin`` and ``end`` as numbers of frames from 00:00:00:00; ``end`` may be after midnight.

    Raises UsageError.
    """
    try:
        first, stop, day = frame_count_of(begin, rate), frame_count_of(end, rate), frames_in_day(end, rate)
    except ValueError as error:
        raise UsageError(where, str(error), "give the frame rate of the EDL as --rate") from None
    if stop >= first:
        return first, stop
    if stop + day - first > day // 2:  # No event is that long
        raise UsageError(where, "an event ends before it begins", "export the EDL again")
    return first, stop + day


def _add_comment(events: list[EdlEvent], number: int, line: str, rate: Fraction) -> None:
    """Add comment line ``number`` (from 0) to the event that it describes: the last, or that before a transition."""
    event = events[-1]
    pair = events[-2:] if len(events) > 1 and events[-2].number == event.number else [event]
    if match := _SPEED.fullmatch(line[: MAX_EVENT_CHARS + 1]):
        fitting = [one for one in reversed(pair) if one.reel == match["reel"] and one.speed is None]
        slowed = fitting[0] if fitting else event
        slowed.speed, slowed.speed_line = Fraction(match["speed"]) / rate, number
    elif re.match(r"\s*\*\s*\*?\s*FREEZE FRAME", line, re.IGNORECASE):
        event.speed = Fraction(0)
    elif match := _COMMENT.fullmatch(line[:MAX_COMMENT_CHARS]):
        key, about = match["key"].upper(), event
        if key.startswith("FROM "):
            about = pair[0]
            if len(pair) == 1 and event.kind != "C":  # A transition of one line names the clip before it
                earlier = (one for one in reversed(events[:-1]) if one.channels == event.channels)
                about = next(earlier, event)
        _add_comment_value(about, key, match["value"], number)
    for one in pair:
        one.last = number


def _add_comment_value(event: EdlEvent, key: str, value: str, number: int) -> None:
    """Add the value of a comment with a key to an event; ``number``: the number of its line."""
    if key in NAME_KEYS:
        event.name = event.name or value
    elif key in FILE_KEYS:
        event.file = event.file or value
    elif key == "LOC":
        locator = _LOCATOR.fullmatch(value)
        event.marks.append(locator[1] if locator else value)
    elif key == "COMMENT":
        event.marks.append(value)
    if key in (*NAME_KEYS, *FILE_KEYS):
        event.lines.append(number)


def previous_events(events: Sequence[EdlEvent]) -> dict[int, EdlEvent]:
    """Return the event whose clip each transition extends, by the line number of the transition, from 0.

    These are one-line transitions; the event before them ends later.
    """
    previous = {}
    latest: dict[str, EdlEvent] = {}
    for event in events:
        before = latest.get(event.channels)
        if event.length and before and before.number != event.number:
            previous[event.line] = before
        latest[event.channels] = event
    return previous
