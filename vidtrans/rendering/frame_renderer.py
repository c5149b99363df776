"""Render frames: the pairing makes the input, the engine the output; a recurrent model sees its last output.

One object for all who render: a clip's chunks, a grid of trials, a measurement, a live camera.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from vidtrans.clips.aligned_clip import MatteReader
from vidtrans.inference.engine import Engine
from vidtrans.networks.code_planes import with_planes
from vidtrans.painting.composing import PaintComposer
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.batching import BatchQueue, RenderCount
from vidtrans.rendering.flow_propagation import Draft, FlowPropagator
from vidtrans.rendering.look_conditions import Conditions, LookConditions
from vidtrans.rendering.recurrence import Recurrence
from vidtrans.temporal.stream import Sample
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.io.clip import Frame


class ModelInputs:
    """What the network sees of frames: the pairing's input, or, of a drawing, the drawing itself.

    ``mattes``: the mask of each frame at the working size, for pairings that look at it. ``conditions``: what a model
    with looks is told of a frame, by its number.
    """

    def __init__(
        self,
        pairing: Pairing,
        *,
        drawn: bool = False,
        mattes: MatteReader | None = None,
        conditions: Conditions | None = None,
    ) -> None:
        self.pairing, self.is_drawn, self._mattes, self._conditions = pairing, drawn, mattes, conditions

    def __call__(self, frames: Sequence[Frame]) -> np.ndarray:
        """Return the input for the last of ``frames``, which begin with the oldest that the pairing looks back to.

        Returns:
            (H, W, in_channels) uint8; uint16 where the frames are and the pairing takes that.
        """
        made = self._made(frames)
        return made if self._conditions is None else with_planes(made, self._conditions.values(frames[-1].index))

    @property
    def has_conditions(self) -> bool:
        """Whether there are planes beside what the pairing makes."""
        return self._conditions is not None

    def _made(self, frames: Sequence[Frame]) -> np.ndarray:
        """Return the input without what the model is told."""
        if self.is_drawn:
            return self.pairing.drawing_input(to_uint8(frames[-1].rgb))
        pictures = [picture for frame in frames for picture in (frame.rgb, *frame.guides)]
        if not self.pairing.deep:
            pictures = [to_uint8(picture) for picture in pictures]
        if isinstance(self._conditions, LookConditions):
            return pictures[-1]  # the pairing's own input has the planes of the first look
        if not self.pairing.uses_mask:
            return self.pairing.input(pictures)
        return self.pairing.render_input(pictures, frames[-1].index, self._matte(frames[-1]))

    def mask_plane(self, frame: Frame) -> np.ndarray:
        """Return what a pairing that uses the mask makes of it for a frame, (H, W, 1) uint8."""
        height, width = frame.rgb.shape[:2]
        return self.pairing.mask_plane((height, width), frame.index, self._matte(frame))

    def _matte(self, frame: Frame) -> np.ndarray | None:
        return self._mattes(frame.index) if self._mattes else None

    def close(self) -> None:
        """Close the mask's file."""
        if self._mattes is not None:
            self._mattes.close()


class PreparedFrame(NamedTuple):
    """A sample with the network's ``input``, which is None where its output is known, or is to be propagated.

    ``input`` is (H, W, in_channels); on its way to a device, what it is made of. ``restarts``: nothing that was
    rendered before it is taken again.
    """

    sample: Sample
    input: Any
    restarts: bool = False


class FrameRenderer:
    """Frames go in, in order; samples with the model's output come out, in the same order, some frames later.

    A frame goes through ``prepare``, the pairing's part, and ``render``, the engine's: two threads may share them.

    Args:
        inputs: makes the network's input.
        engine: runs the network, in batches.
        deep: outputs are uint16, not uint8.
        recurrence: what a recurrent model knows of the frame before; such a model renders frames one by one.
        reuse: where the input differs by no more than this from the last one that was rendered, in levels of 255 (see
            ``batching.is_similar``), its output is taken again.
        draft: which frames are rendered; the others are propagated from those along the motion.
        count: where it is counted what was rendered; its own by default.
        painter: lays painted key frames over the model's pictures.
    """

    def __init__(
        self,
        inputs: ModelInputs,
        engine: Engine,
        *,
        deep: bool = False,
        recurrence: Recurrence | None = None,
        reuse: float = 0.0,
        draft: Draft | None = None,
        count: RenderCount | None = None,
        painter: PaintComposer | None = None,
    ) -> None:
        self._painter = painter
        self.inputs, self.engine, self.count = inputs, engine, count or RenderCount()
        self._deep, self._reuse, self._recurrence, self._draft = deep, reuse, recurrence, draft
        self._queue = BatchQueue(engine, deep=deep, reuse=reuse, count=self.count)
        self._offsets = inputs.pairing.offsets
        self._past: dict[int, Frame] = {}
        self._propagator = FlowPropagator(self.count.losses) if draft else None

    def remember(self, frame: Frame) -> None:
        """Keep a frame that is not rendered, and that inputs of later ones are made from."""
        self._past[frame.index] = frame

    def prepare(
        self, frame: Frame, shot: tuple[int, int], known: np.ndarray | None = None, *, restarts: bool = False
    ) -> PreparedFrame:
        """Make the input of a frame, unless its output is ``known``.

        Args:
            frame: the next one. Those that it looks back to, in its shot, were prepared or remembered.
            shot: the frames [first, stop) of its shot.
            known: its output, made earlier.
            restarts: what is rendered from here on depends on no earlier frame's input.
        """
        start, stop = shot
        self._past[frame.index] = frame
        numbers = [max(start, frame.index + offset) for offset in self._offsets]
        self._past = {n: kept for n, kept in self._past.items() if n >= numbers[0]}
        guide = to_uint8(frame.rgb)
        sample = Sample(frame.index, frame.pts, guide, guide, starts_shot=frame.index == start)
        if known is not None:
            sample.output = known
        elif self._painter is not None:
            sample.source = frame.rgb
        is_rendered = known is None
        if self._draft is not None and self._draft.is_key(frame.index, start, stop):
            sample.is_key = True
        elif self._draft is not None and is_rendered:
            sample.is_propagated = True
            is_rendered = self._draft.is_checked(frame.index, start, stop)
        return PreparedFrame(sample, self._input([self._past[n] for n in numbers]) if is_rendered else None, restarts)

    def _input(self, frames: Sequence[Frame]) -> Any:  # noqa: ANN401  (see ``PreparedFrame``)
        return self.inputs(frames)

    def render(self, prepared: PreparedFrame) -> Iterator[Sample]:
        """Yield the samples that have their output now."""
        return self._propagated(self._painted(self._rendered(prepared)))

    def flush(self) -> Iterator[Sample]:
        """Yield the samples that still waited."""
        yield from self._propagated(self._painted(self._queue.flush()))
        if self._propagator is not None:
            yield from self._propagator.flush()

    def stream(self, prepared: Iterable[PreparedFrame]) -> Generator[Sample, None, None]:
        """Yield all samples of a stream of frames, in order."""
        for one in prepared:
            yield from self.render(one)
        yield from self.flush()

    def picture(self, model_input: np.ndarray, source: np.ndarray | None = None) -> np.ndarray:
        """Render one input that was made elsewhere, say of a training pair, whatever waits.

        Args:
            model_input: (H, W, in_channels) uint8 or uint16.
            source: (H, W, 3) of the output's dtype, where the pairing puts back what it knows better of it.

        Returns:
            (H, W, 3) uint8, or uint16 of a deep renderer.
        """
        output = self.engine(model_input[None], deep=self._deep)[0]
        pairing = self.inputs.pairing
        return output if source is None or not pairing.finishes else pairing.finish(source, output, model_input)

    def close(self) -> None:
        """Close what the inputs hold open."""
        self.inputs.close()

    def _rendered(self, prepared: PreparedFrame) -> Iterator[Sample]:
        sample, model_input, restarts = prepared
        self.count.skipped += model_input is None and sample.is_propagated
        if self._recurrence is not None:
            if model_input is not None:
                self.count.inferred += 1
                sample.output = self._remembering(self._recurrence, model_input, sample)
            self._recurrence.keep(sample)
            yield sample
            return
        if self._reuse and restarts:
            self._queue.reset()
        self._queue.add(sample, model_input)
        if self._queue.is_full:
            yield from self._queue.flush()
        yield from self._queue.ready()

    def _remembering(self, recurrence: Recurrence, model_input: Any, sample: Sample) -> Any:  # noqa: ANN401
        """Return a recurrent model's output of a sample, made of its input and of what it knows of the frame before."""
        with_history = recurrence.with_history(model_input, sample)
        return self.engine(with_history[None], deep=self._deep)[0]

    def _painted(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        for sample in samples:
            if self._painter is not None and sample.source is not None:
                sample.output = self._painter(sample.index, sample.output, sample.source)
                sample.source = None  # it is large
            yield sample

    def _propagated(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        if self._propagator is None:
            yield from samples
            return
        for sample in samples:
            yield from self._propagator.push(sample)
