"""Open timelines by the ending of their names."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_file
from vidtrans.timelines.timeline import Timeline

EDL = ".edl"
OTIO = ".otio"
# Of timelines in other formats, which OpenTimelineIO reads with adapters.
ADAPTED = (".fcpxml", ".xml", ".aaf")
TIMELINES = (OTIO, EDL, *ADAPTED)


def is_timeline(path: Path) -> bool:
    """Return whether a file name has the ending of a timeline."""
    return path.suffix.lower() in TIMELINES


def read_bytes(path: Path) -> bytes:
    """Return the content of a timeline. Raises UsageError if it cannot be read."""
    try:
        content = read_small_file(path)
    except FileNotFoundError:
        raise UsageError(str(path), "no such file", "check the name") from None
    except IsADirectoryError:
        raise UsageError(str(path), "it is a folder", "give a file") from None
    except PermissionError:
        raise UsageError(str(path), "permission denied", "make the file readable") from None
    except ValueError as error:
        raise UsageError(str(path), str(error), "give a timeline") from None
    if not content.strip():
        raise UsageError(str(path), "the file is empty", "export the timeline again")
    return content


def open_timeline(path: Path, rate: Fraction | None) -> Timeline:
    """Return the timeline in a file. ``rate``: of an EDL, in frames per second.

    Raises UsageError if it cannot be read, or has no clips.
    """
    if path.suffix.lower() == EDL:
        from vidtrans.timelines.edl_timeline import EdlTimeline

        if rate is None:
            raise UsageError(str(path), "an EDL does not state its frame rate", "give it as --rate, as in --rate 25")
        return EdlTimeline(path, read_bytes(path), rate)
    from vidtrans.timelines.otio_timeline import OtioTimeline

    if rate is not None:
        raise UsageError(f"--rate {rate}", f"{path.name} states its own frame rates", "leave it out")
    return OtioTimeline(path, read_bytes(path))
