"""Opening of timeline files by their suffixes."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path

from vidtrans.core.errors import UsageError
from vidtrans.core.files import read_small_file
from vidtrans.timelines.edl_timeline import EdlTimeline
from vidtrans.timelines.media_search import MediaSearch
from vidtrans.timelines.spans import read_facts
from vidtrans.timelines.timeline import BUNDLES, EDL, Timeline

# Two frame rates: every valid timecode is valid at one of them, as drop-frame timecode skips other numbers at each
ANY_RATES = (Fraction(30000, 1001), Fraction(60000, 1001))


def read_timeline_bytes(path: Path) -> bytes:
    """Return the content of a timeline file. Raises UsageError if it cannot be read."""
    check_encodable(path)
    if path.suffix.lower() in BUNDLES:
        why = "bundles of a timeline and its media are not read"
        raise UsageError(str(path), why, "unpack it (.otioz is a ZIP file), and give the content.otio in it")
    try:
        content = read_small_file(path)
    except FileNotFoundError:
        raise UsageError(str(path), "no such file", "check the name") from None
    except IsADirectoryError:
        raise UsageError(str(path), "it is a folder", "give a file") from None
    except PermissionError:
        raise UsageError(str(path), "permission denied", "make the file readable") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(str(path), why.lower(), "give a timeline") from None
    if not content.strip():
        raise UsageError(str(path), "the file is empty", "export the timeline again")
    return content


def check_encodable(path: Path) -> None:
    """Raise UsageError for a path that is not UTF-8, which timelines and records cannot store."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        name = str(path).encode(errors="backslashreplace").decode()
        raise UsageError(name, "its name, or that of its folder, is not UTF-8", "rename it") from None


def open_timeline(path: Path, rate: Fraction | None, search: MediaSearch) -> Timeline:
    """Return the timeline in a file. Raises UsageError if it cannot be read or has no clips, MediaError.

    ``rate``: frames per second of an EDL; None: the rate of its media, which ``search`` finds.
    """
    content = read_timeline_bytes(path)
    if path.suffix.lower() == EDL:
        return EdlTimeline(path, content, rate or _rate_of_media(path, content, search))
    from vidtrans.timelines.otio_timeline import OtioTimeline

    if rate is not None:
        raise UsageError(f"--rate {float(rate):g}", f"{path.name} states its own frame rates", "leave it out")
    return OtioTimeline(path, content)


def timeline_cuts(path: Path) -> tuple[list[Fraction], Fraction]:
    """Return the times of the cuts of an OpenTimelineIO timeline, in s, and its frame rate.

    Raises UsageError if it cannot be read.
    """
    from vidtrans.timelines.otio_timeline import OtioTimeline

    return OtioTimeline(path, read_timeline_bytes(path)).cuts()


def _rate_of_media(path: Path, content: bytes, search: MediaSearch) -> Fraction:
    """Return the frame rate that the constant-rate videos of an EDL share.

    Raises UsageError if they have several rates, or there are no such videos, MediaError.
    """
    facts = {}
    for clip in _open_at_any_rate(path, content).clips:
        media = search.find(clip)
        if media not in facts:
            facts[media] = read_facts(media, clip)
    videos = [one for one in facts.values() if one.rate is not None and not one.numbers]
    rates = [one.rate for one in videos if one.rate is not None and one.times is None]
    if len({round(rate) for rate in rates}) == 1:  # 23.976 and 24 have the same counts
        return max(rates, key=rates.count)
    texts = sorted({f"{float(rate):.6g}" for rate in rates})
    why = f"its clips have {' and '.join(texts)} frames a second" if texts else "an EDL does not state its frame rate"
    if videos and not rates:
        why = f"{videos[0].path.name} has a variable frame rate, and an EDL does not state its own"
    raise UsageError(str(path), why, "give the rate of the timeline as --rate, as in --rate 25")


def _open_at_any_rate(path: Path, content: bytes) -> EdlTimeline:
    """Return an EDL read at an arbitrary frame rate, only for the names of its media. Raises UsageError."""
    try:
        return EdlTimeline(path, content, ANY_RATES[0])
    except UsageError as error:
        with suppress(UsageError):
            return EdlTimeline(path, content, ANY_RATES[1])
        raise error from None
