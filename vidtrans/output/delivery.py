"""Choose the format and the frame times of a render's output."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import gcd
from pathlib import Path

from vidtrans.clips.indexing import Clip
from vidtrans.core.errors import UsageError
from vidtrans.output.assembling import Assembly, pass_of, try_pass
from vidtrans.session import Context
from vidtrans.video.io.encoder import picture_names
from vidtrans.video.io.encoding import CODECS, CONTAINERS, LOSSLESS, EncodingSettings, PictureFormat, codecs_with_alpha
from vidtrans.video.io.join import StreamCopy, Timing, check_sound
from vidtrans.video.io.timestamps import rounded_rate

# The finest time base that an MP4 holds.
FINEST = 2**31 - 1


class Retiming:
    """The timestamps at which each frame of a range is written: none for a dropped frame, several for a repeated one.

    ``pts`` and ``durations``: of the range, in ``time_base`` units; frames are counted from its first. ``rate``:
    constant frames per second; None keeps every frame at its own time. At a constant rate, each timestamp gets the
    last frame that begins at most half a step after it. ``nominal``: the rate of the source. Where its times are
    rounded, the last frame ends as this rate has it, so that the average is the rate.
    """

    def __init__(
        self,
        pts: Sequence[int],
        durations: Sequence[int],
        time_base: Fraction,
        rate: Fraction | None = None,
        nominal: Fraction | None = None,
    ) -> None:
        self.rate = rate
        self._stamps: list[list[int]] = []
        if rate is None:
            self.timing = Timing(pts, durations, time_base)
            if (
                nominal
                and not self.timing.is_constant
                and (fitting := rounded_rate([*pts, pts[-1] + durations[-1]], time_base, nominal))
            ):
                self.timing = _exact(pts, time_base, fitting)
            return
        begin = pts[0] * time_base
        base = _common(begin, 1 / rate)
        step = int(1 / rate / base)
        count = max(1, round((pts[-1] + durations[-1] - pts[0]) * time_base * rate))
        half = 1 / (2 * rate * time_base)
        grid = [round(begin / base) + k * step for k in range(count)]
        self._stamps = [[] for _ in pts]
        for stamp in grid:
            shown = bisect_left(pts, stamp * base / time_base + half) - 1
            self._stamps[max(0, shown)].append(stamp)
        self.timing = Timing(tuple(grid), (step,) * count, base)

    def stamps(self, number: int) -> tuple[int, ...]:
        """Return the timestamps of frame ``number`` of the range."""
        return (self.timing.pts[number],) if self.rate is None else tuple(self._stamps[number])

    @property
    def num_written(self) -> int:
        """Return the number of written frames."""
        return len(self.timing.pts)


def _exact(pts: Sequence[int], time_base: Fraction, rate: Fraction) -> Timing:
    """Return the same times, rounded from a constant ``rate``, in a base that also holds the end of the last frame."""
    finer = (1 / (rate * time_base)).denominator
    if time_base.denominator * finer > FINEST:
        finer = 1
    stamps = [p * finer for p in pts]
    end = stamps[0] + round(len(pts) / (rate * time_base) * finer)
    durations = [b - a for a, b in pairwise(stamps)] + [max(1, end - stamps[-1])]
    return Timing(stamps, durations, time_base / finer, rate)


def _common(a: Fraction, b: Fraction) -> Fraction:
    """Return the coarsest time base 1/n that holds both times exactly; if too fine for MP4, 1/1000 of ``b``'s."""
    numerator = gcd(a.numerator * b.denominator, b.numerator * a.denominator)
    base = Fraction(numerator, a.denominator * b.denominator)
    # An MP4's time base is one over a whole number.
    base = Fraction(1, base.denominator)
    return base if base.denominator <= FINEST else Fraction(1, b.denominator * 1000)


class Delivery:
    """The output format of the frames ``numbers`` of a clip. Raises UsageError if the codec cannot hold it.

    ``trimmed``: the frames are a part of the clip, whose times start at 0. ``factor``: how many times larger than the
    source it is. ``drawn``: the source is a drawing on paper. ``pattern``: file names of pictures in a folder.
    ``layer``: with alpha, even if the source has none. The attribute ``depth`` is the bits per channel of the rendered
    pictures, 8 or 16; ``picture.depth`` is the result's.
    """

    def __init__(
        self,
        clip: Clip,
        numbers: range,
        encoding: EncodingSettings,
        *,
        trimmed: bool = False,
        factor: int = 1,
        drawn: bool = False,
        pattern: str = "",
        layer: bool = False,
    ) -> None:
        self.clip, self.numbers, self.encoding = clip, numbers, encoding
        self.trimmed, self.drawn, self.pattern, self.layer = trimmed, drawn, pattern, layer
        self.times = self._times()
        self.picture = self._picture(factor)
        if layer and not self.picture.alpha:
            why = f"{encoding.codec} keeps no alpha"
            raise UsageError("--layer", why, f"use --codec {' or '.join(codecs_with_alpha())}")
        if not encoding.filter:  # else it is seen what the graph makes of it
            encoding.check_size(self.picture)
        self.depth = 16 if self.picture.depth > 8 else 8

    def _times(self) -> Retiming:
        """Return the times of the frames; a trimmed clip starts at 0."""
        index = self.clip.index
        pts = [p - self._begin for p in self._own(index.pts)]
        return Retiming(pts, self._own(index.durations()), index.time_base, self.encoding.rate, index.rate)

    @property
    def _begin(self) -> int:
        """The timestamp that becomes 0: of a trimmed clip's first frame, or where the whole clip's clock begins."""
        index = self.clip.index
        return index.pts[self.numbers.start] if self.trimmed else index.zero

    def _picture(self, factor: int) -> PictureFormat:
        """Return the output format: the depth of source and codec, and alpha if both have it."""
        index, encoding = self.clip.index, self.encoding
        depth = encoding.depth_for(index.findings.depth)
        codec = None if encoding.is_ffmpeg_encoder else CODECS[encoding.codec]
        return PictureFormat(
            index.width * factor,
            index.height * factor,
            index.sample_aspect_ratio,
            self.times.timing.time_base,
            encoding.rate or index.rate,
            depth,
            (index.findings.alpha or self.layer) and codec is not None and codec.has_alpha(depth) and not self.drawn,
        )

    @property
    def stored(self) -> PictureFormat:
        """Return the format of the stored chunks, whose depth may differ from the result's."""
        depths = self.encoding.chunk_codec.depths
        return self.picture if self.picture.depth in depths else replace(self.picture, depth=self.depth)

    def report_changes(self, context: Context) -> None:
        """Warn about changes that the codec makes to this source. Raises UsageError if it cannot be written."""
        encoding, picture, clip = self.encoding, self.picture, self.clip
        if clip.index.findings.alpha and not picture.alpha and not self.drawn:
            ground = "white" if clip.is_pictures else "black"
            text = f"{clip.name}: {encoding.codec} has no transparency, so transparent areas become {ground}"
            context.warn_once(f"{text} ({', '.join(codecs_with_alpha())} keep it)", clip.path)
        if encoding.palette and encoding.codec not in (*LOSSLESS, "gif", "exr"):
            text = f"{encoding.codec} mixes colours where the areas of a label map meet"
            context.warn_once(f"{clip.name}: {text}; {' and '.join(LOSSLESS)} keep every label", clip.path)
        size: tuple[int, int] | None = (picture.width, picture.height)
        if encoding.needs_program:
            size = try_pass(pass_of(encoding, picture), picture, context)
        if size is None or encoding.is_ffmpeg_encoder:
            return
        result = replace(picture, width=size[0], height=size[1])
        encoding.check_size(result)
        if result.is_odd and CODECS[encoding.codec].odd:
            text = f"a side of {size[0]}x{size[1]} is odd: {encoding.codec} is written as 4:4:4, not for all players"
            context.warn_once(f"{clip.name}: {text}", clip.path)

    def check_sound(self, output: Path, *, may_omit: bool = True) -> None:
        """Raise UsageError if ``output``'s container cannot hold the copied sound; ``may_omit``: see ``StreamCopy``."""
        kind = CONTAINERS.get(output.suffix.lower().lstrip("."))
        if kind and self.encoding.sound == "copy" and not self.clip.is_pictures and not self.clip.guides:
            check_sound((self.clip.origin or self.clip).path, kind, may_omit=may_omit)

    def assembly(self, folder: bool) -> Assembly:
        """Return the plan for assembling the chunks; the sound of a trimmed clip also starts at 0."""
        encoding = self.encoding
        names = self._names if encoding.makes_pictures and folder else None
        copied = None if self.clip.is_pictures or self.clip.guides else self._stream_copy()
        plays = (self.clip.origin or self.clip).index.findings.plays or 0
        return Assembly(encoding, self.picture, self.times.timing, copied, names, plays)

    def _stream_copy(self) -> StreamCopy:
        """Return the streams and the span to copy from the file that the clip was made from, in that file's time."""
        index, origin = self.clip.index, self.clip.origin or self.clip
        begin = self._begin * index.time_base - self.clip.offset_s
        new_rate = self.times.rate or (index.rate if index.rate != origin.index.rate else None)
        sound = self.encoding.sound == "copy"
        found = origin.index.findings
        copied = StreamCopy(
            origin.path,
            shift_s=-begin,
            rate=origin.index.rate,
            new_rate=new_rate,
            stereo=found.stereo,
            projection=found.projection,
            sound=sound,
        )
        if not self.trimmed and not self.clip.is_part:
            return copied
        start = self._own(index.pts)[0] * index.time_base - self.clip.offset_s
        end = start + sum(self._own(index.durations())) * index.time_base
        first = origin.index.pts[0] * origin.index.time_base
        return replace(copied, start_s=start, end_s=end, before_s=start - first)

    def _names(self, count: int) -> list[str]:
        """Return names for ``count`` pictures: like their sources, or numbered if a rate or graph changed the count."""
        codec, sources = self.encoding.codec, self.clip.index.names
        if self.times.rate is None and count == len(self.numbers):
            return picture_names(sources, self.numbers, codec, self.pattern)
        return picture_names((), range(count), codec, self.pattern)

    def stamps(self, number: int) -> Sequence[int]:
        """Return the timestamps at which a frame of the clip is shown; () for frames that are not in the result."""
        return self.times.stamps(number - self.numbers.start) if number in self.numbers else ()

    def num_written(self, numbers: range) -> int:
        """Return how many output frames show these frames of the clip; 0 if a constant rate drops them all."""
        return sum(len(self.stamps(n)) for n in numbers)

    def _own(self, values: Sequence[int]) -> Sequence[int]:
        return values[self.numbers.start : self.numbers.stop]
