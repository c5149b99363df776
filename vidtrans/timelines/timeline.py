"""Base classes for timelines of editors: their clips, and the styled media that replace the media of clips.

A *count* is a position in frames at a stated rate, as timecode counts them; it need not begin at 0.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

EDL = ".edl"  # Suffix of edit decision lists
BUNDLES = (".otioz", ".otiod")  # Suffixes of bundles of a timeline and its media, which are not supported
# Suffixes of timeline files; OpenTimelineIO reads .fcpxml, .xml and .aaf with adapters
TIMELINES = (".otio", EDL, ".fcpxml", ".xml", ".aaf", *BUNDLES)
MAX_NAME_CHARS = 80  # Longest name of a clip in a message, in characters


def is_timeline(path: Path) -> bool:
    """Return whether a file has the suffix of a timeline."""
    return path.suffix.lower() in TIMELINES


@dataclass(frozen=True)
class TimelineClip:
    """A clip of a video track whose media can be rendered.

    Attributes:
        number: The position of the clip among the clips of the timeline, from 1.
        name: Its name in the timeline.
        media: The path or URL of its media as the timeline writes it; '' if only names are known. Numbered pictures are
            a pattern, ``shot.%04d.exr``.
        begin: The first count of the media that the timeline shows, including transitions, in frames at ``rate``; None:
            the media is shown whole.
        end: The count after the last one.
        rate: The frames per second in which the timeline counts this clip's media.
        media_start: The count at which the media begins, if the timeline states it.
        marks: The texts of its markers.
        names: Names of the media to search for, if ``media`` is missing.
        first_number: The number of the first picture of numbered pictures; None for other media.
        number_step: The difference of the numbers of consecutive pictures.
        pictures_rate: The frames per second of numbered pictures.
    """

    number: int
    name: str
    media: str
    begin: Fraction | None
    end: Fraction | None
    rate: Fraction
    media_start: Fraction | None = None
    marks: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    first_number: int | None = None
    number_step: int = 1
    pictures_rate: Fraction | None = None

    def where(self, timeline: Path) -> str:
        """Return a description of the clip for messages; ``timeline``: the file of the timeline."""
        name = self.name if len(self.name) <= MAX_NAME_CHARS else f"{self.name[:MAX_NAME_CHARS]}…"
        return f"{timeline}, clip {self.number} ('{name}')"


@dataclass(frozen=True)
class StyledMedia:
    """A rendered range of a media file, which replaces that file in a timeline.

    Attributes:
        path: The file or the folder of pictures.
        start: The count of its first frame, in frames at the media's rate: its timecode, or 0 without one.
        num_frames: The number of its frames; 1 for a still.
        rate: Its frames per second; None for a still.
        names: The file names of a folder of pictures.
        first_number: The number of its first picture; None for other media.
    """

    path: Path
    start: int
    num_frames: int
    rate: Fraction | None
    names: tuple[str, ...] = ()
    first_number: int | None = None


def numbered_name(names: Iterable[str], number: int) -> tuple[str, str, str] | None:
    """Split the first file name with ``number`` in it into the texts before the number, of it, and after it.

    None if no name has the number.
    """
    digits = re.compile(rf"(.*?)({'-' if number < 0 else ''}[0-9]+)(\.\w+)")
    matches = (digits.fullmatch(name) for name in names)
    return next(((match[1], match[2], match[3]) for match in matches if match and int(match[2]) == number), None)


@dataclass(frozen=True)
class Relink:
    """New media for a clip, and the resulting change of the clip's frame counts.

    Attributes:
        media: The new media.
        shift: The change of the counts of the media's frames, in frames at the clip's rate.
        start: The count at which the new media begins, at the clip's rate.
        length: Its length in frames at the clip's rate.
    """

    media: StyledMedia
    shift: Fraction
    start: Fraction
    length: Fraction


class Timeline(ABC):
    """Base class of timelines that were read from a file.

    Attributes:
        path: The file.
        clips: The clips that can be rendered.
        skipped: Reasons why other clips keep their media, one line for each.
    """

    path: Path
    clips: Sequence[TimelineClip]
    skipped: Sequence[str]

    @abstractmethod
    def check_output(self, output: Path) -> list[str]:
        """Return what would be lost by writing to ``output``, one line each.

        Raises UsageError for unsupported formats.
        """

    @staticmethod
    def has_fractions(output: Path) -> bool:
        """Return whether the format of the file name ``output`` can store fractions of a frame."""
        return output.suffix.lower() == ".otio"

    @abstractmethod
    def relinked(self, links: Mapping[int, Relink], output: Path) -> tuple[bytes, list[str]]:
        """Return the content of ``output``, with new media for clips by their number, and what its format loses.

        Raises UsageError if the format cannot be written.
        """
