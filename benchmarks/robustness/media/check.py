"""What sweep.py does with one file: probe it, render it unchanged, hold the result against another's count."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from benchmarks.robustness.media.look import MediaLook, NoLook, alignment, increases, look_at, num_picture_streams
from benchmarks.robustness.media.place import Expected, Place, Row
from benchmarks.robustness.media.running import Ran

MEDIA_ERROR = 3
GOAL_MS = 1.0
GOAL_PEAK_MB = 1000  # of what is refused in the end
HALF_A_MS = Fraction(1, 2000)  # Matroska keeps times in milliseconds
QUICKTIME = (".mp4", ".mov", ".m4v", ".3gp", ".heic", ".avif")
STREAM_KEYS = ("stream_index", "stream", "video_stream", "picture_stream")


def check(source: Path, expected: Expected) -> Row:
    """Probe and render one file."""
    row = Row(source.name, expected=expected.kind)
    with Place(source, row) as place:
        probe = place.vidtrans("probe")
        row.warnings += probe.warnings
        ran, output = _render(place, "out.mp4")
        row.exit = str(ran.status)
        if expected.kind == "error":
            _judge_error(row, probe, ran)
        else:
            _judge_result(row, place, expected, probe, ran, output)
        place.look_at_sources()
    return row


def _render(place: Place, name: str, *more: str) -> tuple[Ran, Path]:
    """Render unchanged into MP4, which holds the source's time base; into Matroska where that cannot be."""
    output = place.out / name
    render = ("stylize", "--model", "identity", "--codec", "h264", *more)
    ran = place.vidtrans(*render, "-o", str(output), output=output)
    if "cannot be written as" in ran.error:
        place.row.notes.append("no mp4: " + ran.error[:100])
        output = output.with_suffix(".mkv")
        ran = place.vidtrans(*render, "-o", str(output), output=output)
    warnings = [warning.removeprefix(f"{place.name}: ") for warning in ran.warnings]
    place.row.warnings += [warning for warning in dict.fromkeys(warnings) if warning not in place.row.warnings]
    return ran, output


def _judge_error(row: Row, probe: Ran, ran: Ran) -> None:
    row.notes.append(ran.error[:160])
    if row.peak_mb > GOAL_PEAK_MB:
        row.differs.append(f"took {row.peak_mb:.0f} MB")
    if ran.status != MEDIA_ERROR:
        row.differs.append(f"exit {ran.status} where an error was expected")
    if probe.status not in (0, MEDIA_ERROR):
        row.differs.append(f"probe: exit {probe.status}")
    if probe.status == 0:
        row.notes.append("probe: exit 0")


def _judge_result(row: Row, place: Place, expected: Expected, probe: Ran, ran: Ran, output: Path) -> None:
    """Hold a result against an independent look at the source."""
    damaged = ran.status == MEDIA_ERROR
    if damaged:
        row.notes.append(ran.error[:160])
        if expected.kind != "damage":
            row.differs.append(f"exit {ran.status}: {ran.error[:160]}")
        ran, output = _render(place, "allowed.mp4", "--allow-damaged")
        row.exit += f", then {ran.status}"
    if ran.status != 0:
        row.differs.append(f"exit {ran.status}: {ran.error[:160]}")
        return
    row.differs += [f"no warning of {subject}" for subject in expected.warns_of if not row.warns_of(subject)]
    try:
        after = look_at(output)
        before = look_at(place.source, _stream_of(probe))
    except NoLook as error:
        row.differs.append(f"not measured: {error}")
        return
    row.frames = f"{len(after.times_s)} of {len(before.times_s)} ({before.by})"
    if expected.kind == "damage":
        _judge_damaged(row, before, after)
    else:
        before = _judge_times(row, place.source, _from_zero(place.source, before), after, output.suffix == ".mkv")
        _judge_shape(row, before, after)
    _judge_sound(row, before, after)


def _stream_of(probe: Ran) -> int | None:
    """The number of the stream that vidtrans says it takes; None where it does not say."""
    return next((probe.table[k] for k in STREAM_KEYS if isinstance(probe.table.get(k), int)), None)


def _from_zero(source: Path, look: MediaLook) -> MediaLook:
    """The look with its earliest track at 0, where a clock that begins anywhere, and no edit list, gives the times."""
    known = [t for t in (*look.times_s, *(p.time_s for track in look.tracks for p in track)) if t is not None]
    if source.suffix.lower() in QUICKTIME or min(known, default=Fraction(0)) <= 0:
        return look

    def moved(time_s: Fraction | None) -> Fraction | None:
        return None if time_s is None else time_s - min(known)

    tracks = tuple(tuple(replace(p, time_s=moved(p.time_s)) for p in track) for track in look.tracks)
    return replace(look, times_s=tuple(map(moved, look.times_s)), tracks=tracks)


def _judge_damaged(row: Row, before: MediaLook, after: MediaLook) -> None:
    """Decoders differ in what they save of a damaged file: no count is the right one."""
    row.times = "increase" if after.orderly else ""
    if not after.orderly:
        row.differs.append("times of the result do not increase")
    known = set(before.times_s)
    row.exact = after.times_s == before.times_s
    if before.orderly and not known.issuperset(after.times_s):
        row.notes.append(f"{len(set(after.times_s) - known)} times that {before.by} does not have")


def _judge_times(row: Row, source: Path, before: MediaLook, after: MediaLook, milliseconds: bool) -> MediaLook:
    """Returns the look that the result was held against: a second decoder's where the first one's is another."""
    other = _second_opinion(source, before, after, milliseconds)
    if other is not None:
        row.notes.append(f"{before.by} counts {len(before.times_s)} in stream {before.stream}, {other.by} other times")
        before = other
        row.frames = f"{len(after.times_s)} of {len(before.times_s)} ({before.by}, stream {before.stream})"
    if len(before.times_s) != len(after.times_s):
        row.differs.append(f"{len(after.times_s)} frames, {before.by} counts {len(before.times_s)}")
    elif not before.orderly:
        row.times = "rebuilt"
        if not after.orderly:
            row.differs.append("rebuilt times do not increase")
        if not row.warns_of("times"):
            row.differs.append("times were rebuilt without a warning")
        row.exact = after.orderly
    else:
        _judge_orderly_times(row, before, after, milliseconds)
    return before


def _judge_orderly_times(row: Row, before: MediaLook, after: MediaLook, milliseconds: bool) -> None:
    moved = [a - b for a, b in zip(after.times_s, before.times_s, strict=True) if a is not None and b is not None]
    largest = max((abs(m) for m in moved), default=Fraction(0))
    row.exact = _equal(before, after, milliseconds)
    if row.exact:
        row.times = "exact" if largest == 0 else "to 1 ms (mkv)"
    elif len(set(moved)) == 1 and after.orderly:
        row.times = "moved"
        row.differs.append(f"all times moved by {float(moved[0]):.6f} s")
    else:
        row.times = "differ"
        row.differs.append(f"{sum(m != 0 for m in moved)} times differ, by up to {float(largest) * 1000:.3f} ms")


def _equal(before: MediaLook, after: MediaLook, milliseconds: bool) -> bool:
    if len(before.times_s) != len(after.times_s) or not before.orderly or not after.orderly:
        return False
    slack = HALF_A_MS if milliseconds else Fraction(0)
    return all(abs(a - b) <= slack for a, b in zip(after.times_s, before.times_s, strict=True))  # type: ignore[operator]


def _second_opinion(source: Path, before: MediaLook, after: MediaLook, milliseconds: bool) -> MediaLook | None:
    """PyAV's times, or those of another picture stream, where they are the result's and ffprobe's are not."""
    if _equal(before, after, milliseconds) or (not before.orderly and len(before.times_s) == len(after.times_s)):
        return None
    with suppress(NoLook):
        look = look_at(source, before.stream, by_pyav=True)
        if before.by != "PyAV" and _equal(look, after, milliseconds):
            return look
    for stream in range(8 if num_picture_streams(source) > 1 else 0):
        with suppress(NoLook):
            look = look_at(source, stream)
            if look.stream == stream and _equal(look, after, milliseconds):
                return look
    return None


def _judge_shape(row: Row, before: MediaLook, after: MediaLook) -> None:
    """Upright, and as wide to its height as the source is shown."""
    if after.rotation:
        row.differs.append(f"the result is turned by {after.rotation} once more")
    if before.height and after.height and abs(after.display_aspect / before.display_aspect - 1) > Fraction(1, 50):
        shapes = f"{float(after.display_aspect):.3f}, the source's {float(before.display_aspect):.3f}"
        row.differs.append(f"the result's aspect is {shapes}")


def _judge_sound(row: Row, before: MediaLook, after: MediaLook) -> None:
    if before.by == "PyAV" and not before.tracks and not after.tracks:
        return
    counts = [len(t) for t in before.tracks], [len(t) for t in after.tracks]
    row.sound = "none" if not any(counts[0]) else "+".join(str(n) for n in counts[1])
    if counts[0] != counts[1]:
        row.differs.append(f"sound packets {counts[1]}, the source has {counts[0]}")
        return
    if not increases(before.times_s):
        before = replace(before, times_s=())
    for track in range(len(after.tracks)):
        found = alignment(before, after, track) if before.times_s else None
        same = [p.digest for p in before.tracks[track]] == [p.digest for p in after.tracks[track]]
        if not same:
            row.differs.append(f"sound track {track}: the bytes are others")
        elif found is not None and found.same_bytes and found.offset_ms == found.offset_ms:
            row.av_ms = max(row.av_ms or 0.0, abs(found.offset_ms), abs(found.offset_ms + found.drift_ms))
    if row.av_ms is not None and row.av_ms > GOAL_MS:
        row.differs.append(f"sound moved by {row.av_ms:.3f} ms")
