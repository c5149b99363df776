"""Write pictures as a clip, with the times and the sound of the clip that they were made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Report, Stop, silent
from vidtrans.core.files import write_atomically
from vidtrans.library.given_pictures import to_array
from vidtrans.library.opened_clip import OpenedClip
from vidtrans.library.stop_message import stopped_as
from vidtrans.output.delivery import Delivery
from vidtrans.session import Context
from vidtrans.store.cache import FOLDER
from vidtrans.video.io.encoder import SegmentWriter
from vidtrans.video.io.encoding import EncodingSettings, PictureFormat
from vidtrans.video.io.join import Timing, join

TICKS = 90000  # a second, of clips whose rate is no whole number


def write_clip(
    frames: Iterable[Any],
    path: str | Path,
    *,
    like: OpenedClip | None = None,
    fps: float | str | Fraction | None = None,
    codec: str = "h264",
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
        codec: 'h264', 'h265', 'av1', 'prores', 'ffv1' …: see ``vidtrans stylize --codec``.
        crf: quality; lower is better. By default that of ``stylize``.
        overwrite: whether to replace a file.
        report: called with progress.
        stop: a request to stop, which raises ``Interrupted``; nothing is written then.

    Raises:
        UsageError: A frame is no picture, or differs from the first; there are more or fewer than ``like`` has; there
            is a file and ``overwrite`` is off; the codec cannot hold them. Nothing is written then.
    """
    path = Path(path)
    if path.exists() and not overwrite:
        raise UsageError(str(path), "it exists", "give another name, or overwrite=True")
    if (like is None) == (fps is None):
        raise UsageError("write_clip", "the times come from a clip, or from a rate", "give like= or fps=")
    encoding = EncodingSettings(codec=codec, crf=crf)
    encoding = encoding.resolved(pictures=False, output=path, report=report)
    with (
        stopped_as(f"{path.name} is not written", "give its frames again"),
        TemporaryDirectory(prefix="vidtrans-") as folder,
    ):
        context = Context(cache_dir=Path(folder) / FOLDER, report=report, stop=stop or Stop())
        segment = Path(folder) / f"segment.{encoding.chunk_codec.segments}"
        if like is not None:
            return _write_like(like, frames, path, encoding, segment, context)
        rate = Fraction(fps).limit_denominator(1001) if isinstance(fps, float) else Fraction(fps or 0)
        if rate <= 0:
            raise UsageError(f"fps {fps}", "not a rate", "give frames a second")
        base = 1 / rate if rate.denominator in (1, 1001) else Fraction(1, TICKS)
        step = round(1 / rate / base)
        stamps = (step * n for n in itertools.count())
        count = _encode(frames, segment, encoding, base, rate, stamps, Fraction(1), context.stop)
        timing = Timing([step * n for n in range(count)], [step] * count, base)
        with write_atomically(path) as target:
            join([segment], timing, target, None, report, context.stop)
    return count


def _write_like(
    like: OpenedClip, frames: Iterable[Any], path: Path, encoding: EncodingSettings, segment: Path, context: Context
) -> int:
    clip, numbers = like.clip, like.frames
    is_part = len(numbers) < clip.index.num_frames
    delivery = Delivery(clip, numbers, encoding, trimmed=is_part)
    delivery.check_sound(path)
    stamps = (stamp for number in numbers for stamp in delivery.stamps(number))
    picture = delivery.picture
    ratio = picture.sample_aspect_ratio
    count = _encode(frames, segment, encoding, picture.time_base, picture.rate, stamps, ratio, context.stop)
    if count != len(numbers):
        why = f"{count} pictures for its {len(numbers)} frames"
        raise UsageError(f"like {like.path.name}", why, "give as many, or a part of the clip: like=clip[:n]")
    with write_atomically(path) as target:
        delivery.assembly(folder=False).write([segment], target, segment.parent, context)
    return count


def _encode(
    frames: Iterable[Any],
    segment: Path,
    encoding: EncodingSettings,
    time_base: Fraction,
    rate: Fraction,
    stamps: Iterable[int],
    ratio: Fraction,
    stop: Stop,
) -> int:
    """Encode pictures with the given timestamps; return how many there were, at most one more than timestamps."""
    given, times, count = iter(frames), iter(stamps), 0
    first = next(given, None)
    if first is None:
        raise UsageError("frames", "there are none", "give at least one picture")
    opening = to_array(first, "frame 0")
    depth = encoding.depth_for(8 * opening.itemsize)
    form = PictureFormat(opening.shape[1], opening.shape[0], ratio, time_base, rate, depth)
    encoding.check_size(form)
    with closing(SegmentWriter(segment, form, encoding)) as writer:
        for frame in itertools.chain([opening], given):
            stop.check()
            picture = to_array(frame, f"frame {count}")
            if picture.shape != opening.shape:
                size, wanted = (f"{shape[1]}x{shape[0]}" for shape in (picture.shape, opening.shape))
                raise UsageError(f"frame {count}", f"it is {size}, the first one {wanted}", "give frames of one size")
            count += 1
            stamp = next(times, None)
            if stamp is None:
                break
            writer.write(picture, stamp)
    return count
