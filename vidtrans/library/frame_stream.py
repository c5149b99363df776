"""Render frames that come one by one: nothing is known of those to come, and memory does not grow with their number.

It differs from a render of a file in what that learns by looking through the whole clip first: held frames are painted
again, faults of a model's pictures are not mended, and no mask or key frames are read. Cuts are found some frames late,
so that results come as many frames later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.events import NEVER, Stop
from vidtrans.core.settings import Size
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, CutDetector
from vidtrans.inference.engine import Engine
from vidtrans.library.given_pictures import to_array
from vidtrans.models.loaded_model import LoadedModel
from vidtrans.models.render_settings import ResolvedRenderSettings
from vidtrans.rendering.composite import finish
from vidtrans.rendering.directing import FrameBlend
from vidtrans.rendering.enlarger import enlarge_frames
from vidtrans.rendering.extraction import FrameExtractor, resized
from vidtrans.rendering.frame_path import recurrence
from vidtrans.rendering.frame_renderer import FrameRenderer, ModelInputs
from vidtrans.temporal.stream import Sample, filter_samples
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize
from vidtrans.video.io.clip import Frame

ENDLESS = 1 << 62  # the end of a shot that is not known yet


class _CutsSoFar(CutDetector):
    """Tells, while frames are added, which of them start a shot."""

    def firsts(self, *, ended: bool) -> Iterator[int]:
        """Yield, for each further frame that is decided, the first frame of its shot."""
        if ended:
            self._decide_all()
        begun = [start for start in self._shots if start <= self._told]
        first = begun[-1] if begun else 0
        while self._told < min(self._decided, self._count):
            first = self._told if self._told in self._shots else first
            self._told += 1
            yield first

    _told = 0


def shots_of(frames: Iterable[np.ndarray]) -> Generator[tuple[np.ndarray, int], None, None]:
    """Yield each frame with the number of the first frame of its shot, some frames after it came."""
    cuts, waiting = _CutsSoFar(), deque[np.ndarray]()
    for frame in frames:
        height, width = frame.shape[:2]
        cuts.add(to_uint8(resize(frame, *Size(short=ANALYSIS_SHORT_SIDE).of(width, height))))
        waiting.append(frame)
        for first in cuts.firsts(ended=False):
            yield waiting.popleft(), first
    for first in cuts.firsts(ended=True):
        yield waiting.popleft(), first


@dataclass(frozen=True)
class StreamModel:
    """A model with what it takes to paint frames that come one by one.

    ``blend``: strength and colours of the result. ``extractor``: makes the model's input, if its pairing uses one.
    """

    model: LoadedModel
    engine: Engine
    settings: ResolvedRenderSettings
    blend: FrameBlend
    extractor: FrameExtractor | None

    def check(self, *, single: bool) -> None:
        """Raise UsageError if the model needs more than frames; ``single``: more than one frame."""
        pairing = self.model.pairing
        reasons = {
            "it follows its own clock": pairing.has_clock,
            "its input is a folder of guides": bool(pairing.guides),
            "its input includes a mask": pairing.uses_mask,
            "it optimises each frame, for seconds or minutes": self.model.optimises,
            "its input includes several frames": single and pairing.offsets != (0,),
            "its input includes its previous output": single and self.model.is_recurrent,
        }
        if why := next((reason for reason, applies in reasons.items() if applies), ""):
            remedy = (
                "use model.render" if single and not (pairing.has_clock or pairing.guides) else "use vidtrans stylize"
            )
            raise UsageError(f"model '{self.model.name}'", why, remedy)

    def renderer(self, *, deep: bool) -> FrameRenderer:
        """Return a renderer for frames in order; ``deep``: its pictures have 16 bits a channel."""
        memory = recurrence(self.model.record, self.engine)
        return FrameRenderer(ModelInputs(self.model.pairing), self.engine, deep=deep, recurrence=memory)

    def seen(self, number: int, picture: np.ndarray) -> Frame:
        """Return a frame as the renderer takes it: at the model's size."""
        size = self.model.input_size(self.settings.rendering.size, (picture.shape[1], picture.shape[0]))
        return resized(Frame(number, number, picture), size, self.extractor)

    def finished(self, painted: np.ndarray, source: np.ndarray, sample: Sample) -> np.ndarray:
        """Return the result at the size of the ``source``, multiplied by the factor of a pairing that enlarges."""
        pairing, rendering = self.model.pairing, self.settings.rendering
        factor = pairing.upscale_factor
        if factor > 1:
            source = resize(source, source.shape[1] * factor, source.shape[0] * factor)
        mode = "bicubic" if self.model.is_identity else rendering.upscale_for(fills_holes=pairing.uses_mask)
        (large,) = enlarge_frames([painted], [source], mode, rendering.sharpness, has_faults=False)
        made = None
        if pairing.finishes:
            made = ModelInputs(pairing)([Frame(sample.index, sample.pts, sample.guide)])
        return finish(pairing, self.blend, source, large, made)


class FrameStream:
    """A render of frames that come one by one; ``flow_from``: as many pictures, whose motion the filter follows."""

    def __init__(
        self,
        model: StreamModel,
        frames: Iterable[object],
        flow_from: Iterable[object] | None = None,
        stop: Stop = NEVER,
    ) -> None:
        """Raises UsageError if the model cannot paint a stream."""
        model.check(single=False)
        self._model, self._frames, self._flow_from, self._stop = model, frames, flow_from, stop
        self._given, self._guides, self._sources = deque[object](), deque[np.ndarray](), deque[np.ndarray]()

    def pictures(self) -> Generator[tuple[object, np.ndarray], None, None]:
        """Yield each frame, as it was given, with its picture, (H, W, 3) of its type, some frames later.

        Raises UsageError if a frame is no picture, or differs in size or type from the first one.
        """
        with closing(shots_of(self._arrays())) as shots:
            for sample, picture in filter_samples(self._samples(shots), self._model.settings.make_filter()):
                yield self._given.popleft(), self._model.finished(picture, self._sources.popleft(), sample)

    def _arrays(self) -> Iterator[np.ndarray]:
        first: np.ndarray | None = None
        for number, (frame, guide) in enumerate(_pairs(self._frames, self._flow_from)):
            self._stop.check()
            picture = to_array(frame, f"frame {number}")
            first = picture if first is None else first
            if picture.shape != first.shape or picture.dtype != first.dtype:
                why = f"it is {_kind(picture)}, the first one {_kind(first)}"
                raise UsageError(f"frame {number}", why, "give frames of one size and type, or one stream for each")
            self._given.append(frame)
            self._sources.append(picture)
            if guide is not None:
                self._guides.append(to_array(guide, f"picture {number} of flow_from"))
            yield picture

    def _samples(self, shots: Iterator[tuple[np.ndarray, int]]) -> Iterator[Sample]:
        """Yield the samples of the frames, painted, for the filter."""
        opening = next(shots, None)
        if opening is None:
            return
        deep = opening[0].dtype == np.uint16
        with closing(self._model.renderer(deep=deep)) as renderer:
            prepared = (
                renderer.prepare(self._model.seen(number, picture), (first, ENDLESS))
                for number, (picture, first) in enumerate(chain([opening], shots))
            )
            for sample in renderer.stream(prepared):
                if self._flow_from is None:
                    yield sample
                    continue
                height, width = sample.output.shape[:2]
                yield replace(sample, guide=to_uint8(resize(self._guides.popleft(), width, height)))


def _pairs(frames: Iterable[object], flow_from: Iterable[object] | None) -> Iterator[tuple[object, object | None]]:
    if flow_from is None:
        yield from ((frame, None) for frame in frames)
        return
    missing = object()
    for number, (frame, guide) in enumerate(zip_longest(frames, flow_from, fillvalue=missing)):
        if frame is missing or guide is missing:
            longer = "flow_from" if frame is missing else "the frames"
            raise UsageError("flow_from", f"{longer} go on after {number} pictures", "give as many pictures as frames")
        yield frame, guide


def _kind(picture: np.ndarray) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]} of {picture.dtype}"
