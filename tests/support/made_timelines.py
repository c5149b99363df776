"""Timelines with all that editors put into them, made with OpenTimelineIO, and their media."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
from numbered_media import picture, write_numbered, write_timed

NTSC = Fraction(24000, 1001)
LENGTH = 60  # frames of a video
DAY = 24 * 60 * 60 * 25  # frames


def make_media(folder: Path) -> None:
    """Make the videos and pictures that the timelines show."""
    write_numbered(folder / "plain.mkv", range(100, 100 + LENGTH), 25)
    write_numbered(folder / "other.mkv", range(200, 200 + LENGTH), 25)
    write_numbered(folder / "coded.mov", range(300, 300 + LENGTH), 25, "01:00:00:00")
    write_numbered(folder / "film.mov", range(400, 400 + LENGTH), NTSC, "10:00:00:00")
    write_numbered(folder / "film24.mkv", range(500, 500 + LENGTH), 24)
    write_numbered(folder / "drop.mov", range(600, 600 + LENGTH), Fraction(30000, 1001), "00:59:59;10")
    write_numbered(folder / "night.mov", range(1000, 1000 + LENGTH), 25, "23:59:59:00")
    write_numbered(folder / "night drop.mov", range(1100, 1100 + LENGTH), Fraction(30000, 1001), "23:59:59;10")
    write_numbered(folder / "cam two" / "50% #1.mkv", range(700, 700 + LENGTH), 50)
    write_timed(folder / "phone.mov", range(800, 800 + LENGTH), phone_times(), Fraction(1, 6000))
    (folder / "shots").mkdir()
    for number in range(1001, 1031):
        cv2.imwrite(str(folder / "shots" / f"shot.{number}.png"), picture(number - 200))
    cv2.imwrite(str(folder / "still.png"), picture(900))


def phone_times() -> list[int]:
    """Return times as of phones, in 1/6000 s: 30 frames a second with jitter, then 24 of which some are left out."""
    jittered = [200 * n + 7 * (n * n % 5) for n in range(30)]
    return jittered + [6000 + 250 * n for n in range(40) if n % 4 != 3]


class Maker:
    """Makes timelines whose media are in a folder."""

    def __init__(self, otio: Any, folder: Path) -> None:
        self.otio, self.schema, self._folder = otio, otio.schema, folder

    def time(self, value: float, rate: float = 25) -> Any:
        """Return a time in frames."""
        return self.otio.opentime.RationalTime(value, rate)

    def span(self, start: float, length: float, rate: float = 25) -> Any:
        """Return a range in frames."""
        return self.otio.opentime.TimeRange(self.time(start, rate), self.time(length, rate))

    def clip(
        self,
        name: str,
        start: float | None = 0,
        length: float = 0,
        rate: float = 25,
        known: tuple[float, float] | None = (0, LENGTH),
        enabled: bool = True,
        **more: Any,
    ) -> Any:
        """Return a clip of a file; ``known``: the start and length of the media that the timeline states."""
        media = self.schema.ExternalReference(name, None if known is None else self.span(*known, rate))
        span = None if start is None else self.span(start, length, rate)
        clip = self.schema.Clip(name, media, span, **more)
        clip.enabled = enabled
        return clip

    def coded(self, start: float, length: float) -> Any:
        """Return a clip of the file with the timecode 01:00:00:00."""
        return self.clip("coded.mov", 90000 + start, length, known=(90000, LENGTH))

    def gap(self, length: float) -> Any:
        """Return a gap."""
        return self.schema.Gap(source_range=self.span(0, length))

    def warp(self, speed: float) -> Any:
        """Return a change of the speed."""
        return self.schema.LinearTimeWarp(time_scalar=speed) if speed else self.schema.FreezeFrame()

    def dissolve(self, before: float, after: float) -> Any:
        """Return a dissolve with the given numbers of frames before and after the cut."""
        return self.schema.Transition("x", "SMPTE_Dissolve", self.time(before), self.time(after))

    def pictures(self, start: float, length: float, step: int = 1, known: float = 0) -> Any:
        """Return a clip of numbered pictures; ``known``: the count of the first one."""
        media = self.schema.ImageSequenceReference(
            "shots", "shot.", ".png", 1001, step, 25, 4, available_range=self.span(known, 30 // step)
        )
        return self.schema.Clip("shot", media, self.span(start, length))

    def track(self, *children: Any, kind: str = "Video", name: str = "V1") -> Any:
        """Return a track."""
        track = self.schema.Track(name, kind=kind)
        track.extend(children)
        return track

    def stack(self, *children: Any, source_range: Any = None) -> Any:
        """Return a stack."""
        stack = self.schema.Stack("nest", source_range=source_range)
        stack.extend(children)
        return stack

    def write(self, name: str, *tracks: Any) -> Path:
        """Write a timeline of these tracks, and return its path."""
        timeline = self.schema.Timeline(name, global_start_time=self.time(90000))
        timeline.metadata["cut by"] = "hand"
        timeline.tracks.extend(tracks)
        path = self._folder / f"{name}.otio"
        self.otio.adapters.write_to_file(timeline, str(path))
        return path


def _marked(m: Maker) -> Any:
    clip = m.clip("plain.mkv", 10, 20)
    clip.markers.append(m.schema.Marker("check the sky", m.span(3, 1)))
    clip.metadata["note"] = {"deep": [1, 2, {"a": None}]}
    return clip


def _noted(m: Maker, name: str) -> Any:
    clip = m.clip(name, 90000, 55, known=(90000, LENGTH))
    clip.markers.extend(m.schema.Marker(f"note {at}", m.span(90000 + at, 1)) for at in (2, 50))
    return clip


def _fast(m: Maker, stack: Any) -> Any:
    stack.effects.append(m.warp(2))
    return stack


Tracks = Callable[[Maker], list[Any]]
TIMELINES: dict[str, Tracks] = {
    "cuts and gaps": lambda m: [
        m.track(
            *(m.gap(7), m.clip("plain.mkv", 20, 10), m.gap(3), m.clip("other.mkv", 40, 15), m.clip("plain.mkv", 28, 5)),
            m.clip("plain.mkv", 5, 10, enabled=False),
        )
    ],
    "dissolve": lambda m: [
        m.track(
            m.clip("plain.mkv", 10, 20), m.dissolve(4, 6), m.clip("other.mkv", 20, 20), m.dissolve(2, 2), m.coded(9, 9)
        )
    ],
    "speeds": lambda m: [
        m.track(
            *(m.clip("plain.mkv", 20, 20, effects=[m.warp(by)]) for by in (2, 0.5, -1, 0)), m.clip("other.mkv", 3, 4)
        )
    ],
    "part of a nested timeline": lambda m: [
        m.track(
            m.clip("plain.mkv", 2, 5),
            m.dissolve(2, 2),
            m.stack(
                m.track(m.clip("other.mkv", 0, 60), m.dissolve(5, 5), _noted(m, "coded.mov"), m.clip("drop.mov", 0, 9)),
                m.track(m.gap(70), m.clip("plain.mkv", 40, 15, effects=[m.warp(1.5)])),
                source_range=m.span(52, 40),
            ),
            m.dissolve(3, 4),
            m.clip("other.mkv", 30, 9),
        )
    ],
    "nested in a nested timeline": lambda m: [
        m.track(
            m.stack(
                m.track(
                    m.clip("other.mkv", 0, 30),
                    m.stack(m.track(m.clip("plain.mkv", 0, 60)), source_range=m.span(10, 40)),
                ),
                source_range=m.span(40, 12),
            ),
        )
    ],
    "fast nested timeline": lambda m: [
        m.track(_fast(m, m.stack(m.track(m.clip("plain.mkv", 0, 60)), source_range=m.span(20, 8))), m.gap(3))
    ],
    "nested dissolve": lambda m: [
        m.track(m.stack(m.track(m.clip("other.mkv", 20, 20))), m.dissolve(3, 0), m.clip("plain.mkv", 10, 9))
    ],
    "two rates": lambda m: [
        m.track(m.clip("plain.mkv", 5, 10), m.gap(2)),
        m.track(m.clip("film24.mkv", 6, 24, 24), m.clip("film.mov", 864012, 24, float(NTSC), (864000, LENGTH))),
    ],
    "counted at another rate": lambda m: [m.track(m.clip("film24.mkv", 10, 25, 25), m.clip("film24.mkv", 30, 12, 25))],
    "media ends": lambda m: [
        m.track(m.clip("plain.mkv", 0, 8), m.clip("plain.mkv", 52, 8), m.clip("other.mkv", 0, 60))
    ],
    "sound": lambda m: [
        m.track(m.clip("plain.mkv", 5, 10)),
        m.track(m.clip("plain.mkv", 5, 10), kind="Audio", name="A1"),
    ],
    "numbered pictures": lambda m: [m.track(m.pictures(4, 10), m.pictures(20, 9), m.pictures(1005, 10, known=1001))],
    "every second picture": lambda m: [m.track(m.pictures(3, 8, step=2))],
    "still": lambda m: [m.track(m.clip("still.png", 0, 30, known=None), m.clip("plain.mkv", 0, 3))],
    "markers": lambda m: [m.track(_marked(m))],
    "thrice": lambda m: [
        m.track(*(m.clip("plain.mkv", start, 6) for start in (3, 6, 50)), m.clip("other.mkv", 5, 5)),
        m.track(m.gap(4), m.clip("plain.mkv", 8, 9)),
    ],
    "timecodes": lambda m: [
        m.track(
            *(m.coded(5, 10), m.clip("coded.mov", 90010, 10, known=None), m.clip("plain.mkv", 10, 10, known=None)),
            m.clip("plain.mkv", 1010, 10, known=(1000, LENGTH)),
        )
    ],
    "midnight": lambda m: [
        m.track(
            m.clip("night.mov", 5, 10, known=(DAY - 25, LENGTH)),
            m.clip("night.mov", DAY - 15, 20, known=(DAY - 25, LENGTH)),
            m.clip("night.mov", DAY + 5, 10, known=None),
            m.clip("night.mov", 12, 9, known=None),
        )
    ],
    "drop-frame": lambda m: [
        m.track(m.clip("drop.mov", 107862, 40, 30000 / 1001, known=(107862 - 10, LENGTH)), m.clip("plain.mkv", 0, 9))
    ],
    "whole clips": lambda m: [m.track(m.clip("plain.mkv", None), m.clip("coded.mov", None, known=(90000, LENGTH)))],
    "generators": lambda m: [
        m.track(
            m.schema.Clip("bars", m.schema.GeneratorReference("bars", "SMPTEBars"), m.span(0, 10)),
            m.schema.Clip("title", None, m.span(0, 10)),
            m.clip("plain.mkv", 0, 9),
        )
    ],
    "variable rate": lambda m: [
        m.track(
            m.clip("phone.mov", 8, 12, 30, known=(0, 80)),
            m.clip("phone.mov", 40, 20, 30, known=(0, 80)),
            m.clip("phone.mov", 70, 9, 30, known=None, effects=[m.warp(0.5)]),
            m.clip("phone.mov", 20, 20, 25, known=(0, 66)),
        )
    ],
    "layers": lambda m: [
        m.track(m.clip("plain.mkv", 5, 30)),
        m.track(m.gap(5), m.clip("cam%20two/50%25%20%231.mkv", 8, 20, 50), name="V2"),
        m.track(m.coded(1, 10), name="V3"),
    ],
}
