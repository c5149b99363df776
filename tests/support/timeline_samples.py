"""A small reference evaluator of timelines: the frame that each clip of a timeline shows at each moment.

It shares nothing with vidtrans but the definition of the formats.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import av
from numbered_media import VARIABLE, numbers_in, times_in

DAY_S = 86400


def _path(url: str, folder: Path) -> Path:
    text = unquote(urlparse(url).path) if url.startswith("file:") else url
    path = folder / text
    return path if path.exists() else folder / unquote(text)


def _media_facts(path: Path) -> tuple[float, float]:
    """Return the rate of a file, and the seconds of its timecode (0 without one)."""
    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        tables = [container.metadata, *(s.metadata for s in container.streams)]
        timecode = next((t["timecode"] for t in tables if "timecode" in t), "")
    return rate, frames_of(timecode, rate) / rate if timecode else 0.0


def frames_of(timecode: str, rate: float) -> int:
    """Return the frame number of a timecode, drop-frame with a semicolon."""
    hours, minutes, seconds, frame = map(int, re.split("[:;]", timecode))
    base = round(rate)
    total = ((hours * 60 + minutes) * 60 + seconds) * base + frame
    if ";" in timecode:
        minute = hours * 60 + minutes
        total -= (2 if base == 30 else 4) * (minute - minute // 10)
    return total


class OtioSamples:
    """The frame numbers that a timeline of OpenTimelineIO shows."""

    def __init__(self, otio: Any, path: Path) -> None:
        self._otio, self._folder = otio, path.parent
        self.timeline = otio.adapters.read_from_file(str(path))

    def all(self, rate: float) -> list[Any]:
        """Return what is shown at each frame of the timeline at ``rate``."""
        seconds = self.timeline.duration().to_seconds()
        return [self._composition(self.timeline.tracks, n / rate) for n in range(round(seconds * rate))]

    def _composition(self, composition: Any, at: float) -> list[Any]:
        """Return the numbers at ``at`` seconds after the begin of a stack or track."""
        span = composition.source_range
        at *= math.prod(e.time_scalar for e in composition.effects)
        at += span.start_time.to_seconds() if span else 0.0
        if not isinstance(composition, self._otio.schema.Track):
            return [self._item(child, at) for child in composition]
        if composition.kind != "Video":
            return ["sound", *(_path(clip.media_reference.target_url, self._folder).resolve() for clip in composition)]
        shown, begin, children = [], 0.0, list(composition)
        for place, child in enumerate(children):
            if isinstance(child, self._otio.schema.Transition):
                before, after = children[place - 1], children[place + 1]
                first, last = (begin - child.in_offset.to_seconds(), begin + child.out_offset.to_seconds())
                if first - 1e-9 <= at < last - 1e-9:
                    own = before.duration().to_seconds()
                    sides = [self._item(before, at - begin + own), self._item(after, at - begin)]
                    shown.append(("dissolve", *sides))
                continue
            length = child.duration().to_seconds()
            if begin - 1e-9 <= at < begin + length - 1e-9:
                shown.append(self._item(child, at - begin))
            begin += length
        return shown

    def _item(self, item: Any, at: float) -> Any:
        if isinstance(item, self._otio.schema.Clip):
            return self._clip(item, at)
        if isinstance(item, self._otio.schema.Gap):
            return "gap"
        return self._composition(item, at) if item.enabled else "off"

    def _clip(self, clip: Any, at: float) -> Any:
        schema, media = self._otio.schema, clip.media_reference
        speed = math.prod(e.time_scalar for e in clip.effects if isinstance(e, schema.LinearTimeWarp))
        if not clip.enabled:
            return "off", _path(media.target_url, self._folder).resolve()
        if not isinstance(media, schema.ExternalReference | schema.ImageSequenceReference):
            return type(media).__name__
        span = clip.trimmed_range() if clip.source_range or media.available_range else None
        if isinstance(media, schema.ImageSequenceReference):
            begin = media.available_range.start_time.to_seconds() if media.available_range else 0.0
            index = math.floor((span.start_time.to_seconds() + at * speed - begin) * media.rate + 1e-4)
            name = f"{media.start_frame + index * media.frame_step:0{media.frame_zero_padding}d}"
            base = _path(media.target_url_base, self._folder)
            return numbers_in(base / f"{media.name_prefix}{name}{media.name_suffix}")[0]
        path = _path(media.target_url, self._folder)
        if path.suffix == ".png":
            return numbers_in(path)[0]
        rate, timecode_s = _media_facts(path)
        begin = media.available_range.start_time.to_seconds() if media.available_range else timecode_s
        start = span.start_time.to_seconds() if span else begin
        return _shown(path, _since(start - begin, DAY_S) + at * speed, rate)


def _since(ahead: float, day: float) -> float:
    """Return how far a count is behind another one, which may have been before midnight (or counted on after it)."""
    return ahead + day if ahead < -day / 2 else ahead - day if ahead > day / 2 else ahead


def _shown(path: Path, seconds: float, rate: float) -> int | str:
    """Return the number of the frame at a moment of a video."""
    numbers = numbers_in(path)
    if VARIABLE in path.name:  # the last frame that has begun
        index = sum(float(time) <= seconds + 1e-5 for time in times_in(path)) - 1
    else:
        index = math.floor(seconds * rate + 1e-3)
    return numbers[index] if 0 <= index < len(numbers) else "none"


EVENT = re.compile(r"(\d+)\s+(\S+)\s+(\S+)\s+(C|D|W\d+)\s+(\d+)?\s*" + r"([\d:;]{11})\s+" * 3 + r"([\d:;]{11})")


def edl_samples(path: Path, folder: Path, rate: float) -> dict[tuple[int, str, str], Any]:
    """Return the frame number of each event of an EDL at each record frame, by (frame, channel, side)."""
    drops, events = False, list[dict[str, Any]]()
    for line in path.read_text().splitlines():
        if line.startswith("FCM"):
            drops = "NON" not in line
        elif match := EVENT.match(line):
            times = [t.replace(":", ";") if drops else t for t in match.groups()[5:]]
            counts, day = [frames_of(time, rate) for time in times], frames_of(f"24:00:00{times[0][-3]}00", rate)
            counts[3] += day if counts[3] < counts[2] else 0
            events.append({"match": match, "counts": counts, "day": day, "speed": 1.0, "name": "", "to": ""})
        elif line.startswith("M2"):
            events[-1]["speed"] = float(line.split()[2]) / rate
        elif line.startswith("* FROM CLIP NAME:"):
            pair = len(events) > 1 and events[-2]["match"][1] == events[-1]["match"][1]
            events[-2 if pair else -1]["name"] = line.partition(": ")[2].strip()
        elif line.startswith("* TO CLIP NAME:"):
            events[-1]["name"] = line.partition(": ")[2].strip()
    shown = {}
    for place, event in enumerate(events):
        first, _, begin, end = event["counts"]
        following = events[place + 1]["match"] if place + 1 < len(events) else None
        more = int(following[5] or 0) if following and following[4] != "C" else 0
        for k in range(end - begin + more):
            side = "under" if k >= end - begin else "over"
            shown[begin + k, event["match"][3], side] = _edl_frame(
                folder / event["name"], first, k * event["speed"], rate, event["day"]
            )
    return shown


def _edl_frame(path: Path, first: int, ahead: float, rate: float, day: int) -> int | str:
    own, timecode_s = _media_facts(path)
    start = round(timecode_s * own)
    return _shown(path, (_since(first - start, day) + ahead) / rate, rate)
