"""Render frames in order: the pairing makes the network's input, and the engine computes the output, in batches.

A recurrent model also receives its last output. Renders of clips, settings grids, measurements and live cameras use
the same renderer.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np

from vidtrans.clips.masks import MatteReader
from vidtrans.core.settings import Table
from vidtrans.flow.history import (
    VERSION,
    BackwardFlowEstimator,
    from_signed_range,
    history,
    no_history,
    to_signed_range,
)
from vidtrans.inference.engine import Engine
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks.code_planes import append_planes
from vidtrans.painting.composing import FramePainter
from vidtrans.pairing.base import Pairing
from vidtrans.rendering.conditions import Conditions, LookConditions
from vidtrans.rendering.skipped_frames import Draft, FlowPropagator, RenderCount, is_similar
from vidtrans.temporal.stream import Sample
from vidtrans.video.colour.conversion import to_uint8, to_uint16
from vidtrans.video.io.clip import Frame


class Recurrence(Protocol):
    """The interface of a recurrent model's history: its last output, warped along the motion to the next frame.

    Pictures are arrays, or tensors on the engine's device.
    """

    def with_history(self, model_input: Any, sample: Sample) -> Any:  # noqa: ANN401
        """Append the history channels to the network's input of ``sample``."""

    def keep(self, sample: Sample) -> None:
        """Store a sample, from whose output the next frame's history is computed."""


class RecurrentHistory:
    """The history of a recurrent model on the CPU: the last output, warped along the motion to the next frame.

    ``flow``: the method that estimates the motion from the last frame to the next one.
    """

    def __init__(self, flow: str) -> None:
        self._estimate = BackwardFlowEstimator(flow)
        self._last: Sample | None = None

    def with_history(self, model_input: np.ndarray, sample: Sample) -> np.ndarray:
        """Append the history (warped RGB, confidence) to the input of ``sample``, (H, W, C): (H, W, C + 4).

        Pictures are uint8 or uint16. The result is uint16 if the input or the last output is.
        """
        last = self._last
        if last is None or sample.starts_shot or last.guide.shape != sample.guide.shape:
            nothing = no_history(*model_input.shape[:2])
            return np.dstack([model_input, nothing if model_input.dtype == np.uint8 else to_uint16(nothing)])
        if last.output.dtype == np.uint16:
            model_input = to_uint16(model_input)
        past = history(to_signed_range(last.output), self._estimate(last.guide, sample.guide))
        return np.dstack([model_input, from_signed_range(past, model_input.dtype)])

    def keep(self, sample: Sample) -> None:
        """Store a sample, from whose output the next frame's history is computed."""
        self._last = sample


def is_nvidia(engine: Engine) -> bool:
    """Return whether an engine runs on an Nvidia GPU (CUDA)."""
    return engine.device_kind == "cuda"


def recurrence(record: ModelRecord | None, engine: Any) -> Recurrence | None:  # noqa: ANN401  (an ``Engine``)
    """Return the history of a recurrent model, for frames in host memory; None for other models.

    On an Nvidia GPU the history is computed on the GPU even for frames in host memory, so that all paths have the same
    history. Raises UsageError if the model's flow method is not installed.
    """
    if record is None or not record.memory:
        return None
    if not is_nvidia(engine):
        return RecurrentHistory(record.memory["flow"])
    from vidtrans.rendering.device_history import ArrayDeviceHistory

    return ArrayDeviceHistory(record.memory["flow"], engine.device)


def recurrence_key(record: ModelRecord | None, engine: Any) -> Table:  # noqa: ANN401  (an ``Engine``)
    """Return the properties that affect the history of a recurrent model, for cache keys; {} for other models."""
    if record is None or not record.memory:
        return {}
    key = {**record.memory, "version": VERSION}
    if not is_nvidia(engine):
        return key
    from vidtrans.rendering.device_history import device_key

    return key | device_key(record.memory["flow"], engine.device)


# Limit of queued samples, in multiples of the batch size. Samples that reuse an output also wait for its batch.
MAX_WAITING_BATCHES = 4


@dataclass(frozen=True)
class ModelInputs:
    """A function that makes the network's input from source frames, by the pairing, or from drawings.

    Attributes:
        pairing: The model's pairing.
        drawn: Frames are drawings.
        mattes: The mask of each frame at the working size, for pairings that use the mask.
        conditions: Constant channels (style code or style weights) of a multi-style model.
        size: The (width, height) to which the frames of a model chain are resized; None leaves the size as it is.
        conditions_later: In a model chain, the conditions are for a model after the first.
    """

    pairing: Pairing
    drawn: bool = False
    mattes: MatteReader | None = None
    conditions: Conditions | None = None
    size: tuple[int, int] | None = None
    conditions_later: bool = False

    def __call__(self, frames: Sequence[Frame]) -> np.ndarray:
        """Make the input for the last of ``frames``, which begin with the oldest frame that the pairing uses.

        Returns:
            (H, W, in_channels) uint8; uint16 if the frames are and the pairing accepts it.
        """
        model_input = self._picture_input(
            frames if self.size is None else [frame.resized(*self.size) for frame in frames]
        )
        return (
            model_input
            if self.conditions is None
            else append_planes(model_input, self.conditions.values(frames[-1].index))
        )

    def _picture_input(self, frames: Sequence[Frame]) -> np.ndarray:
        """Return the network's input for the last of ``frames``, without the condition channels."""
        if self.drawn:
            return self.pairing.drawing_input(to_uint8(frames[-1].rgb))
        pictures = [picture for frame in frames for picture in (frame.rgb, *frame.guides)]
        if not self.pairing.deep:
            pictures = [to_uint8(picture) for picture in pictures]
        if isinstance(self.conditions, LookConditions) and not self.conditions_later:
            return pictures[-1]  # ``pairing.input`` would append the planes of the first style
        if not self.pairing.uses_mask:
            return self.pairing.input(pictures)
        return self.pairing.render_input(pictures, frames[-1].index, self.matte(frames[-1]))

    def matte(self, frame: Frame) -> np.ndarray | None:
        """Return the matte of a frame, (H, W) uint8; None without a mask."""
        return self.mattes(frame.index) if self.mattes else None

    def close(self) -> None:
        if self.mattes is not None:
            self.mattes.close()


class PreparedFrame(NamedTuple):
    """A sample with the network's ``input``: an array (H, W, in_channels), or uploads of the pictures to make it from.

    ``input`` is None if the frame's output is stored or propagated. ``restarts``: the frame reuses no earlier output.
    """

    sample: Sample
    input: Any
    restarts: bool = False


class FrameRenderer:
    """A renderer that takes source frames in order, and yields samples with the model's output some frames later.

    ``prepare`` runs the pairing and ``stream`` the engine, so that two threads can share the work. ``blends``:
    ``finish`` blends the output with the source.

    Args:
        inputs: makes the network's input.
        engine: runs the network, in batches.
        deep: outputs are uint16, not uint8.
        recurrence: the history of a recurrent model, which renders one frame at a time.
        reuse: the largest difference to the last rendered input, in levels of 255, at which its output is reused.
        draft: selects the frames to render; other outputs are propagated along the motion.
        count: counts rendered frames; by default a new count.
        painter: composites painted key frames over the model's pictures.
    """

    blends = False

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
        painter: FramePainter | None = None,
    ) -> None:
        self.inputs, self.engine, self.count = inputs, engine, count or RenderCount()
        self._deep, self._reuse, self._recurrence, self._draft, self._painter = deep, reuse, recurrence, draft, painter
        self._queue = BatchQueue(engine, deep=deep, reuse=reuse, count=self.count)
        self._past: dict[int, Frame] = {}
        self._propagator = FlowPropagator(self.count.losses) if draft else None

    def remember(self, frame: Frame) -> None:
        """Store a source frame that is not rendered but is part of a later frame's input."""
        self._past[frame.index] = frame

    def prepare(
        self, frame: Frame, shot: tuple[int, int], stored_output: np.ndarray | None = None, *, restarts: bool = False
    ) -> PreparedFrame:
        """Make the network's input of a frame, unless there is a ``stored_output``.

        Args:
            frame: the next frame. Earlier frames of its shot that its input needs were prepared or remembered.
            shot: the frames [first, stop) of its shot.
            stored_output: the model's output of this frame, if it was stored earlier.
            restarts: outputs from here on depend on no earlier frame's input.
        """
        start, stop = shot
        self._past[frame.index] = frame
        numbers = [max(start, frame.index + offset) for offset in self.inputs.pairing.offsets]
        self._past = {n: past for n, past in self._past.items() if n >= numbers[0]}
        guide, is_rendered = to_uint8(frame.rgb), stored_output is None
        output = guide if stored_output is None else stored_output
        sample = Sample(frame.index, frame.pts, guide, output, starts_shot=frame.index == start)
        if is_rendered and self._painter is not None:
            sample.source = frame.rgb
        if self._draft is not None:
            is_rendered = self._draft.mark(sample, start, stop, is_stored=not is_rendered)
        return PreparedFrame(sample, self._input([self._past[n] for n in numbers]) if is_rendered else None, restarts)

    def _input(self, frames: Sequence[Frame]) -> Any:  # noqa: ANN401  (see ``PreparedFrame``)
        """Make the network's input from the last of ``frames`` and the earlier frames that the pairing uses."""
        return self.inputs(frames)

    def stream(self, prepared: Iterable[PreparedFrame]) -> Generator[Sample, None, None]:
        """Yield the samples of all prepared frames in order, each when its output is complete."""
        for prepared_frame in prepared:
            yield from self._complete(self._render(prepared_frame))
        yield from self._complete(self._queue.flush())
        if self._propagator is not None:
            yield from self._propagator.flush()

    def picture(self, model_input: np.ndarray, source: np.ndarray | None = None) -> np.ndarray:
        """Render one input that belongs to no sequence, for example of a training pair.

        Args:
            model_input: (H, W, in_channels) uint8 or uint16.
            source: (H, W, 3) of the output's dtype, for pairings that restore source content (``finishes``).

        Returns:
            (H, W, 3) uint8, or uint16 from a deep renderer.
        """
        output = self.engine(model_input[None], deep=self._deep)[0]
        pairing = self.inputs.pairing
        return output if source is None or not pairing.finishes else pairing.finish(source, output, model_input)

    def fetch(self, sample: Sample, picture: Any) -> Callable[[], np.ndarray]:  # noqa: ANN401  (an array or a tensor)
        """Start to copy a sample's ``picture`` to the host; return a function that waits for the copy."""
        return picture if callable(picture) else lambda: picture

    def finish(self, sample: Sample, picture: Any) -> Callable[[], np.ndarray]:  # noqa: ANN401
        """Start to copy a filtered ``picture`` to the host, in order, blended with the source if ``blends``."""
        return self.fetch(sample, picture)

    def close(self) -> None:
        self.inputs.close()

    def _render(self, prepared: PreparedFrame) -> Iterator[Sample]:
        """Add a prepared frame to the queue, or infer it with its history; yield the samples with complete outputs."""
        sample, model_input, restarts = prepared
        self.count.skipped += model_input is None and sample.is_propagated
        if self._recurrence is not None:
            if model_input is not None:
                self.count.inferred += 1
                sample.output = self._infer_with_history(self._recurrence, model_input, sample)
            self._recurrence.keep(sample)
            yield sample
            return
        if self._reuse and restarts:
            self._queue.reset()
        self._queue.add(sample, model_input)
        if self._queue.is_full:
            yield from self._queue.flush()
        yield from self._queue.ready()

    def _infer_with_history(self, recurrence: Recurrence, model_input: Any, sample: Sample) -> Any:  # noqa: ANN401
        """Run a recurrent model on a frame's input and history; return the output."""
        with_history = recurrence.with_history(model_input, sample)
        return self.engine(with_history[None], deep=self._deep)[0]

    def _complete(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """Composite painted key frames over the outputs, and interpolate the outputs of frames that a draft skips."""
        for sample in samples:
            if self._painter is not None and sample.source is not None:
                sample.output = self._painter(sample.index, sample.output, sample.source)
                sample.source = None  # Frees the memory early
            yield from (sample,) if self._propagator is None else self._propagator.push(sample)


class BatchQueue:
    """A queue of network inputs that wait for a full batch, and of the samples that need the outputs, in order.

    An input that equals the previous one, or differs by at most ``reuse`` levels (``is_similar``), is not queued: its
    sample reuses the previous output.
    """

    def __init__(self, engine: Engine, *, deep: bool, reuse: float, count: RenderCount) -> None:
        self._engine, self._deep, self._count = engine, deep, count
        self._is_same = partial(is_similar, levels=reuse) if reuse else np.array_equal
        self._inputs: list[Any] = []
        self._waiting: deque[tuple[Sample, int | None]] = deque()  # Samples, each with the index of its input
        self._last: Any = None  # The last input that was not a repetition
        self._last_output: Any = None  # The output of the last input; None while this input waits for its batch

    def add(self, sample: Sample, model_input: Any) -> None:  # noqa: ANN401  (an array, or uploads)
        """Append a sample with its network input; the input is None if the sample already has its output."""
        place: int | None = None
        if model_input is not None and self._last is not None and self._is_repeated(model_input):
            self._count.skipped += 1
            if self._last_output is None:
                place = len(self._inputs) - 1
            else:
                _set_output(sample, self._last_output)
        elif model_input is not None:
            self._count.inferred += 1
            place, self._last, self._last_output = len(self._inputs), model_input, None
            self._inputs.append(model_input)
        self._waiting.append((sample, place))

    def reset(self) -> None:
        """Forget the last input, so that the next input is rendered even if it is equal."""
        self._last = None

    @property
    def is_full(self) -> bool:
        """Return whether a batch is full, or too many samples wait for an incomplete batch."""
        count, batch = len(self._inputs), self._batch()
        return count >= batch or (count > 0 and len(self._waiting) >= MAX_WAITING_BATCHES * batch)

    def ready(self) -> Iterator[Sample]:
        """Yield the samples at the front of the queue if no sample has to wait for a batch."""
        while self._waiting and not self._inputs:
            yield self._waiting.popleft()[0]

    def flush(self) -> Iterator[Sample]:
        """Run the engine on all queued inputs and yield all samples."""
        outputs = self._outputs() if self._inputs else []
        if outputs:
            self._last_output = outputs[-1]
        self._inputs.clear()
        while self._waiting:
            sample, place = self._waiting.popleft()
            if place is not None:
                _set_output(sample, outputs[place])
            yield sample

    def _batch(self) -> int:
        """Return the engine's batch size for inputs of the queued size; a larger batch would only take memory."""
        return self._engine.batch_for(*self._inputs[0].shape[:2]) if self._inputs else self._engine.batch

    def _is_repeated(self, model_input: Any) -> bool:  # noqa: ANN401
        """Return whether an input is equal or similar to the last one, so that its output is reused."""
        return self._is_same(model_input, self._last)

    def _outputs(self) -> list[Any]:
        """Run the engine on all queued inputs; return the outputs in the same order."""
        inputs = np.stack(self._inputs) if len(self._inputs) > 1 else self._inputs[0][None]
        return list(self._engine(inputs, deep=self._deep))


def _set_output(sample: Sample, output: Any) -> None:  # noqa: ANN401
    """Set a sample's output; of a propagated sample, set ``rendered``, which only measures the propagation's error."""
    setattr(sample, "rendered" if sample.is_propagated else "output", output)
