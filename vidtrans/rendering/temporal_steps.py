"""The steps of a render that see several frames of a shot: the temporal filter, and the painter of strokes after it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, closing
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vidtrans.core.concurrency.threads import BackgroundQueue
from vidtrans.grading.transfer import AffineColours
from vidtrans.rendering.composite import finish
from vidtrans.rendering.directing import FrameBlend
from vidtrans.rendering.plan import RenderPlan
from vidtrans.store.chunking import Chunk
from vidtrans.store.chunks import StateStore
from vidtrans.temporal.stream import RecursiveFilter, Sample, filter_samples
from vidtrans.video.colour.conversion import to_uint16
from vidtrans.video.io.clip import Frame

if TYPE_CHECKING:
    from vidtrans.strokes.painter import StrokePainter

FILTER, PAINTER = "filter.", "painter."  # before the names of arrays in a state
FindColours = Callable[[], AffineColours | None]


class TemporalSteps:
    """The temporal filter and the painter of a plan, for frames in order.

    ``find_colours`` returns the map to the colours of the palette, when it is needed first. Raises as ``make_filter``.
    """

    def __init__(self, plan: RenderPlan, find_colours: FindColours = lambda: None) -> None:
        self._plan, self._find_colours = plan, find_colours
        self.filter = plan.settings.make_filter()
        picture, strokes = plan.picture, plan.strokes
        self._painter = strokes.painter((picture.width, picture.height), plan.threads) if strokes else None
        self._from = 0  # the first frame to paint
        # Whether a frame depends on all frames of its shot before it.
        self.has_state = self._painter is not None or isinstance(self.filter, RecursiveFilter)

    def resume(self, chunk: Chunk, states: StateStore | None) -> int:
        """Prepare to continue with a chunk; return the first frame to read, the shot's first without a saved state."""
        near = max(chunk.shot_first, chunk.first - self.filter.radius)
        if not self.has_state:
            return near
        state = states.load(chunk.number - 1) if states is not None and chunk.first > chunk.shot_first else None
        self._from = chunk.shot_first if state is None else chunk.first
        if state is None:
            return chunk.shot_first
        if isinstance(self.filter, RecursiveFilter):
            self.filter.resume(_without(FILTER, state))
        if self._painter is not None:
            self._painter.resume(_without(PAINTER, state))
        return near

    def save(self, states: StateStore, chunk: Chunk, frame: int, queue: BackgroundQueue) -> None:
        """Queue the state at the end of a chunk, to be saved after the chunk is written."""
        if (state := self.state_after(chunk, frame)) is not None:
            queue.put(partial(states.save, chunk.number, state))

    def state_after(self, chunk: Chunk, frame: int) -> Mapping[str, np.ndarray] | None:
        """Return the state if ``frame`` is the last of a chunk and its shot goes on; else, or without one, None."""
        if not self.has_state or frame != chunk.stop - 1 or chunk.stop == chunk.shot_stop:
            return None
        state: dict[str, np.ndarray] = {}
        if isinstance(self.filter, RecursiveFilter):
            state |= {FILTER + name: values for name, values in self.filter.state().items()}
        if self._painter is not None:
            state |= {PAINTER + name: values.copy() for name, values in self._painter.state().items()}
        return state

    def __call__(self, samples: Iterable[Sample], wanted: range) -> Generator[tuple[Sample, Any], None, None]:
        """Return each ``wanted`` sample with its picture: filtered, of a GPU's render a tensor, or painted.

        A painted picture is a call that waits for it; it has the size of the result.
        """
        plan, needed = self._plan, wanted if self._painter is None else range(self._from, wanted.stop)
        if plan.settings.filter_name == "off":
            filtered = ((sample, sample.output) for sample in samples)
        else:
            filtered = filter_samples(samples, self.filter, needed, plan.held_frames)
        return filtered if self._painter is None else self._painted(self._painter, filtered, wanted)

    def _painted(
        self, painter: StrokePainter, filtered: Generator[tuple[Sample, Any], None, None], wanted: range
    ) -> Generator[tuple[Sample, Callable[[], np.ndarray]], None, None]:
        """Paint the pictures of frames in order; yield those of ``wanted`` frames."""
        strokes, curves = self._plan.strokes, self._plan.stroke_curves
        assert strokes is not None
        with closing(filtered), ExitStack() as stack:
            fine = strokes.fine and stack.enter_context(
                closing(strokes.fine.mattes(self._plan.size, self._plan.threads))
            )
            inputs = self._plan.inputs() if self._plan.pairing.finishes else None
            if inputs is not None:
                stack.enter_context(closing(inputs))
            for sample, picture in filtered:
                number, guide = sample.index, sample.guide
                if inputs is not None:
                    source = guide if picture.dtype == np.uint8 else to_uint16(guide)
                    made = inputs([Frame(number, sample.pts, guide)])
                    picture = finish(self._plan.pairing, FrameBlend(), source, picture, made)
                painted = painter.begin(
                    number,
                    guide,
                    picture if self._colours is None else self._colours.on_picture(picture),
                    {name: curve(number) for name, curve in curves.items()},
                    starts_shot=sample.starts_shot,
                    fine=fine(number) if fine else None,
                )
                if number in wanted:
                    yield sample, painted

    @cached_property
    def _colours(self) -> AffineColours | None:
        return self._find_colours()


def _without(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in state.items() if name.startswith(prefix)}
