"""Render frames that come one by one: nothing is known of those to come, and memory does not grow with their number.

It differs from a render of a file in what that learns by looking through the whole clip first: held frames are painted
again, faults of a model's pictures are not mended, and no mask or key frames are read. Cuts are found some frames late,
so that results come as many frames later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.events import NEVER, Stop
from vidtrans.core.settings import Size
from vidtrans.flow.cuts import ANALYSIS_SHORT_SIDE, CutDetector
from vidtrans.library.given_pictures import check_frames, device_of, own_array
from vidtrans.library.stream_model import ENDLESS, StreamModel
from vidtrans.temporal.stream import Sample, filter_samples
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import resize


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


class FrameStream:
    """A render of frames that come one by one; ``flow_from``: as many pictures, whose motion the filter follows."""

    def __init__(
        self,
        model: StreamModel,
        frames: Iterable[object],
        flow_from: Iterable[object] | None = None,
        stop: Stop = NEVER,
    ) -> None:
        self._model, self._frames, self._flow_from, self._stop = model, frames, flow_from, stop
        self._devices, self._guides, self._sources = deque[Any](), deque[np.ndarray](), deque[np.ndarray]()
        check_frames(frames)
        if flow_from is not None:
            check_frames(flow_from, "flow_from")

    def pictures(self) -> Generator[tuple[Any, np.ndarray], None, None]:
        """Yield the device of each frame, see ``device_of``, and its picture, (H, W, 3) of its type, some frames later.

        Raises UsageError if a frame is no picture, or differs in size or type from the first one.
        """
        model, arrays = self._model, self._arrays()
        with ExitStack() as stack:
            shots = stack.enter_context(closing(shots_of(arrays) if model.finds_cuts else ((one, 0) for one in arrays)))
            opening = next(shots, None)
            if opening is None:
                return
            renderer = stack.enter_context(closing(model.renderer(opening[0])))
            prepared = (
                renderer.prepare(model.seen(number, picture, first), (first, ENDLESS))
                for number, (picture, first) in enumerate(chain([opening], shots))
            )
            samples = stack.enter_context(closing(self._guided(renderer.stream(prepared))))
            for sample, picture in filter_samples(samples, model.settings.make_filter()):
                yield self._devices.popleft(), model.finished(renderer, sample, picture, self._sources.popleft())

    def _arrays(self) -> Generator[np.ndarray, None, None]:
        first: np.ndarray | None = None
        for number, (frame, guide) in enumerate(_pairs(self._frames, self._flow_from)):
            self._stop.check()
            picture = own_array(frame, f"frame {number}")
            first = picture if first is None else first
            if picture.shape != first.shape or picture.dtype != first.dtype:
                why = f"it is {_kind(picture)}, the first one {_kind(first)}"
                raise UsageError(f"frame {number}", why, "give frames of one size and type, or one stream for each")
            self._devices.append(device_of(frame))
            self._sources.append(picture)
            if self._flow_from is not None:
                self._guides.append(own_array(guide, f"picture {number} of flow_from"))
            yield picture

    def _guided(self, samples: Generator[Sample, None, None]) -> Generator[Sample, None, None]:
        """Yield the samples with the pictures of ``flow_from`` as their guides."""
        with closing(samples):
            for sample in samples:
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
