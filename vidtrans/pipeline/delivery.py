"""What of a render is written, and when it is shown: the format of the result, and the way there from its chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vidtrans.pipeline.assemble import Assembly
from vidtrans.pipeline.context import Clip, Context
from vidtrans.rendering.retiming import Retiming
from vidtrans.video.carry import Carried
from vidtrans.video.codecs import CODECS
from vidtrans.video.encoder import PictureFormat
from vidtrans.video.encoding import EncodingSettings
from vidtrans.video.sequence import picture_names


class Delivery:
    """The frames ``numbers`` of a clip as a result. Raises UsageError where the codec cannot hold it.

    ``factor``: how many times larger than its source it is; ``drawn``: the source is a drawing, on paper; ``pattern``:
    how pictures in a folder are called. ``depth``: bits a channel of the pictures that are written, 8 or 16; the
    ``picture``'s are the result's.
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
    ) -> None:
        self.clip, self.numbers, self.encoding = clip, numbers, encoding
        self.trimmed, self.drawn, self.pattern = trimmed, drawn, pattern
        self.times = self._times()
        self.picture = self._picture(factor)
        encoding.check_size(self.picture)
        self.depth = 16 if self.picture.depth > 8 else 8

    def _times(self) -> Retiming:
        """When each frame is shown; a trimmed clip starts at 0."""
        index, encoding = self.clip.index, self.encoding
        begin = self.begin
        own = self._own(index.pts)
        pts = [p - begin for p in own] if begin else own
        return Retiming(pts, self._own(index.durations()), index.time_base, encoding.rate)

    @property
    def begin(self) -> int:
        """What becomes 0: a part's first frame, and one before 0, which containers would cut off."""
        first = self.clip.index.pts[self.numbers.start]
        return first if self.trimmed else min(0, first)

    def _picture(self, factor: int) -> PictureFormat:
        """What is written: as deep as source and codec are, with alpha where both have it."""
        index, encoding = self.clip.index, self.encoding
        depth = encoding.depth_for(index.findings.depth)
        own = None if encoding.is_users else CODECS[encoding.codec]
        return PictureFormat(
            index.width * factor,
            index.height * factor,
            index.sample_aspect_ratio,
            self.times.timing.time_base,
            encoding.rate or index.rate,
            depth,
            index.findings.alpha and own is not None and own.has_alpha(depth) and not self.drawn,
        )

    @property
    def kept(self) -> PictureFormat:
        """The format of the chunks, which may be kept in another one than the result's."""
        depths = self.encoding.kept_as.depths
        return self.picture if self.picture.depth in depths else replace(self.picture, depth=self.depth)

    def tell(self, context: Context) -> None:
        """Say what the codec does to this source."""
        encoding, picture, name = self.encoding, self.picture, self.clip.name
        if self.clip.index.findings.alpha and not picture.alpha and not self.drawn:
            ground = "white" if self.clip.is_pictures else "black"
            told = f"{name}: {encoding.codec} has no transparency, what is transparent lies on {ground}"
            context.warn_once(f"{told} (prores4444, ffv1, png, exr and gif keep it)")
        if picture.is_odd and encoding.kept_as.odd:
            shown = f"{picture.width}x{picture.height}"
            context.warn_once(
                f"{name}: {shown} is odd, {encoding.codec} is written as 4:4:4, which not all players show"
            )

    def assembly(self, folder: bool) -> Assembly:
        """How the chunks become the result; a trimmed clip takes its sound along to 0."""
        encoding, index = self.encoding, self.clip.index
        names = None
        if encoding.makes_pictures and folder:
            numbers = self.numbers if self.times.rate is None else range(self.times.num_written)
            sources = index.names if self.times.rate is None else ()
            names = picture_names(sources, numbers, encoding.codec, self.pattern)
        carried = None
        if not self.clip.is_pictures and not self.clip.guides:
            shift = -self.begin * index.time_base
            carried = Carried(
                self.clip.origin or self.clip.path, shift_s=shift, rate=index.rate, new_rate=self.times.rate
            )
            if self.trimmed:
                begin = -shift
                end = begin + sum(self._own(index.durations())) * index.time_base
                before = round((begin - index.pts[0] * index.time_base) * index.rate)
                carried = replace(carried, start_s=begin, end_s=end, frames_before=before)
        return Assembly(encoding, self.picture, self.times.timing, carried, names)

    def stamps(self, number: int) -> Sequence[int]:
        """When the clip's frame of this number is shown."""
        return self.times.stamps(number - self.numbers.start)

    def num_written(self, numbers: range) -> int:
        """How many frames of the result come of these: none where a constant rate drops them all."""
        return sum(len(self.stamps(n)) for n in numbers)

    def _own(self, values: Sequence[int]) -> Sequence[int]:
        return values[self.numbers.start : self.numbers.stop]
