"""Write pictures as a clip, with the times and the sound of the clip that they were made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sized
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Report, Stop, silent
from vidtrans.core.files import write_atomically
from vidtrans.library.given_pictures import check_frames, to_array
from vidtrans.library.opened_clip import OpenedClip
from vidtrans.library.stop_message import stopped_as
from vidtrans.output.delivery import Assembly, Delivery
from vidtrans.output.result import check_place
from vidtrans.session import Context
from vidtrans.store.cache import FOLDER
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing

TICKS = 90000  # a second, of clips whose rate is no whole number


def write_clip(
    frames: Iterable[Any],
    path: str | Path,
    *,
    like: OpenedClip | None = None,
    fps: float | str | Fraction | None = None,
    codec: str = "auto",
    crf: int | None = None,
    overwrite: bool = False,
    report: Report = silent,
    stop: Stop | None = None,
) -> int:
    """Encode pictures as a video, and return their number.

    Args:
        frames: (H, W, 3) pictures, uint8 or uint16, all of one size: arrays, tensors, or a generator of them.
        path: the file; its ending chooses the container.
        like: the clip that they were made from: each gets the time of its frame, and the sound is copied.
        fps: frames a second; needed without ``like``.
        codec: 'h264', 'h265', 'av1', 'prores', 'ffv1' …: see ``vidtrans stylize --codec``; 'auto': by the ending.
        crf: quality; lower is better. By default that of ``stylize``.
        overwrite: whether to replace a file.
        report: called with progress.
        stop: a request to stop, which raises ``Interrupted``; nothing is written then.

    Raises:
        UsageError: A frame is no picture, or differs from the first; there are more or fewer than ``like`` has; there
            is a file and ``overwrite`` is off, or it is a source; the codec cannot hold them. Nothing is written then.
    """
    path, encoding = Path(path), EncodingSettings(codec=codec, crf=crf, fps="source" if fps is None else str(fps))
    _check(frames, path, like, encoding, overwrite=overwrite)
    encoding = encoding.resolved(pictures=False, output=path, report=report)
    if encoding.makes_pictures:
        raise UsageError(str(path), f"{encoding.codec} is no video", "give a name such as clip.mp4")
    encoding.check_container(path, single=False)
    remedy = "give its frames again"
    with stopped_as(f"{path.name} is not written", remedy), TemporaryDirectory(prefix="vidtrans-") as folder:
        context = Context(cache_dir=Path(folder) / FOLDER, report=report, stop=stop or Stop())
        segment = Path(folder) / f"segment.{encoding.chunk_codec.segments}"
        if like is not None:
            assembly = _encode_like(like, frames, path, encoding, segment, context.stop)
        else:
            assembly = _encode_at(encoding.rate or Fraction(0), frames, encoding, segment, context.stop)
        with write_atomically(path) as target:
            assembly.write([segment], target, segment.parent, context)
    return len(assembly.timing.pts)


def _check(
    frames: Iterable[Any], path: Path, like: OpenedClip | None, encoding: EncodingSettings, *, overwrite: bool
) -> None:
    """Raise UsageError for what is known to be wrong before there are frames."""
    check_frames(frames)
    if like is not None and not isinstance(like, OpenedClip):
        raise UsageError("like", f"it is of type {type(like).__name__}", "give what open_clip returns")
    if (like is None) == (encoding.rate is None):
        raise UsageError("write_clip", "the times come from a clip, or from a rate", "give like= or fps=")
    if like is not None and isinstance(frames, Sized):
        _check_count(len(frames), like)
    try:
        check_place(path, [clip.path for clip in (like, frames) if isinstance(clip, OpenedClip)])
    except UsageError as error:
        raise UsageError(error.what, error.why, "give another path") from None
    if path.exists() and not overwrite:
        raise UsageError(str(path), "it exists", "give another name, or overwrite=True")


def _check_count(given: int, like: OpenedClip) -> None:
    if given != len(like):
        why = f"{count(given, 'picture')} for its {count(len(like), 'frame')}"
        raise UsageError(f"like {like.path.name}", why, "give as many, or a part of the clip: like=clip[:n]")


def _encode_like(
    like: OpenedClip, frames: Iterable[Any], path: Path, encoding: EncodingSettings, segment: Path, stop: Stop
) -> Assembly:
    """Encode pictures with the times of a clip; return the plan of the result, with its sound."""
    clip, numbers = like.clip, like.frames
    delivery = Delivery(clip, numbers, encoding, trimmed=len(numbers) < clip.index.num_frames)
    delivery.check_sound(path)
    stamps = (stamp for number in numbers for stamp in delivery.stamps(number))
    written, picture = _encode(frames, segment, encoding, delivery.picture, stamps, stop)
    _check_count(written, like)
    return replace(delivery.assembly(folder=False), picture=picture)


def _encode_at(
    rate: Fraction, frames: Iterable[Any], encoding: EncodingSettings, segment: Path, stop: Stop
) -> Assembly:
    """Encode pictures at a rate; return the plan of the result."""
    base = 1 / rate if rate.denominator in (1, 1001) else Fraction(1, TICKS)
    step = round(1 / rate / base)
    form = PictureFormat(0, 0, Fraction(1), base, rate)
    written, picture = _encode(frames, segment, encoding, form, (step * n for n in itertools.count()), stop)
    timing = Timing([step * n for n in range(written)], [step] * written, base)
    return Assembly(encoding, picture, timing, None, None)


def _encode(
    frames: Iterable[Any],
    segment: Path,
    encoding: EncodingSettings,
    form: PictureFormat,
    stamps: Iterable[int],
    stop: Stop,
) -> tuple[int, PictureFormat]:
    """Encode pictures with the given timestamps, in a format but for their size and depth, which is returned.

    Return how many there were, too: at most one more than timestamps.
    """
    given, times, written = iter(frames), iter(stamps), 0
    first = next(given, None)
    if first is None:
        raise UsageError("frames", "there are none", "give at least one picture")
    opening = to_array(first, "frame 0")
    depth = encoding.depth_for(8 * opening.itemsize)
    form = replace(form, width=opening.shape[1], height=opening.shape[0], depth=depth, alpha=False)
    encoding.check_size(form)
    stored = form if depth in encoding.chunk_codec.depths else replace(form, depth=16 if depth > 8 else 8)
    with closing(SegmentWriter(segment, stored, encoding)) as writer:
        for frame in itertools.chain([opening], given):
            stop.check()
            picture = to_array(frame, f"frame {written}")
            if picture.shape != opening.shape or picture.dtype != opening.dtype:
                kind, wanted = (f"{one.shape[1]}x{one.shape[0]} of {one.dtype}" for one in (picture, opening))
                why = f"it is {kind}, the first one {wanted}"
                raise UsageError(f"frame {written}", why, "give frames of one size and type")
            written += 1
            stamp = next(times, None)
            if stamp is None:
                break
            writer.write(picture, stamp)
    return written, form
