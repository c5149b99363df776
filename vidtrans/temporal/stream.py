"""The interface of temporal filters (samples, windows, protocols), and the loop that filters samples."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vidtrans.temporal.settings import OffSettings

LOOKAHEAD = 1  # Number of samples that are read early, so that the work started by ``Filter.expect`` has time


@dataclass
class Sample:
    """One frame: the ``guide`` (input), (H, W, 3) uint8, and the model's ``output``, of the same size, uint8 or uint16.

    Pictures are numpy arrays, or, for a ``BatchFilter``, tensors on its device, which store 16 bits in int16.

    Attributes:
        index: The number of the frame in its clip.
        pts: The timestamp, in ticks of the clip's time base.
        guide: The input, at the size of the output.
        output: The model's picture; filters replace it.
        starts_shot: The frame is the first of its shot.
        source: The frame at full size, if paint is composited, or the result is blended with the source on a device;
            else None.
        host_guide: The guide as an array, if ``guide`` is on a device and the model's pairing needs it.
        is_key: In a draft, the frame was rendered, and its output is propagated to frames around it.
        is_propagated: In a draft, the output is propagated from key frames.
        rendered: In a draft, the rendered picture of a propagated frame, to measure the error.
        download: The running download of the output from a device, if any.
        whole: The source frame at the size of the result; None before the picture is enlarged.
        matte: The opacity of the output over the source, (H, W) uint8; None: opaque.
        state: The state of the filter and the painter after the last frame of a chunk within a shot.
        derived: Values that a filter derives from this frame and its neighbours, so that they are computed only once
            for all windows that contain the frame.
    """

    index: int
    pts: int
    guide: Any
    output: Any
    starts_shot: bool
    source: Any = field(default=None, repr=False)
    host_guide: np.ndarray | None = field(default=None, repr=False)
    is_key: bool = False
    is_propagated: bool = False
    rendered: Any = field(default=None, repr=False)
    download: Any = field(default=None, repr=False)
    whole: Any = field(default=None, repr=False)
    matte: np.ndarray | None = field(default=None, repr=False)
    state: Mapping[str, np.ndarray] | None = field(default=None, repr=False)
    derived: dict[Any, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Window:
    """Consecutive samples of one shot: ``samples[centre]``, and up to ``radius`` samples before and after it."""

    samples: tuple[Sample, ...]
    centre: int


@runtime_checkable
class BatchFilter(Protocol):
    """The interface of a filter that receives frames one by one, and computes many frames at once."""

    radius: int

    def begin(self) -> None:
        """Drop all frames that were added, before the first frame of another clip."""

    def push(self, sample: Sample) -> list[tuple[Sample, Any]]:
        """Add the next frame of a shot; return the finished frames, in order, with their pictures."""

    def flush(self) -> list[tuple[Sample, Any]]:
        """End the shot: return the remaining frames with their pictures."""


class Filter(Protocol):
    """The interface of a filter whose result for a frame depends only on ``radius`` neighbours on each side.

    If the class attribute ``needs_no_past_pictures`` is true, the filter reads only ``Sample.derived`` of frames before
    the window's centre, so that their pictures are dropped to save memory.
    """

    radius: int

    def expect(self, before: Sample, after: Sample) -> None:
        """Start to compute, in the background, values of two consecutive frames of a shot that later windows need."""

    def __call__(self, window: Window) -> np.ndarray:
        """Return the filtered picture of the window's centre, with the shape and dtype of its output."""


@runtime_checkable
class RecursiveFilter(Protocol):
    """The interface of a filter with a state; it receives each frame once, in order, and its radius is 0."""

    def state(self) -> Mapping[str, np.ndarray]:
        """Return the filter's state: all arrays, by name, on which the result of the next frame depends."""

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore a saved ``state``, so that the next frames have the same results as without the interruption."""


class NoFilter:
    """The filter ``off``: it returns the model's output unchanged."""

    version = 1
    radius = 0
    Settings = OffSettings

    def __init__(self, settings: OffSettings, device: str = "cpu") -> None:
        pass

    def expect(self, before: Sample, after: Sample) -> None:
        """Do nothing, because no value is needed."""

    def __call__(self, window: Window) -> np.ndarray:
        return window.samples[window.centre].output


@dataclass(frozen=True)
class HeldFrames:
    """Frames that may repeat the previous frame, such as drawings that are held for two frames ("on twos").

    Attributes:
        numbers: Numbers of the frames to compare with the previous frame; if empty, no pictures are compared.
        guide_decides: Equal guides suffice, because differences between the outputs are flicker. Otherwise the outputs
            must be equal, too, because a model's other inputs may change over the clip.
    """

    numbers: Collection[int] = ()
    guide_decides: bool = False

    def repeats(self, before: Sample, sample: Sample) -> bool:
        """Return whether a ``sample`` repeats the previous sample, ``before``."""
        if sample.index not in self.numbers or sample.starts_shot:
            return False
        is_same = _is_equal(before.guide, sample.guide)
        return is_same and (self.guide_decides or _is_equal(before.output, sample.output))


def _is_equal(first: Any, second: Any) -> bool:  # noqa: ANN401  (arrays or tensors)
    """Return whether two pictures, arrays or tensors, have equal shapes and values."""
    return first is second or (first.shape == second.shape and bool((first == second).all()))


def filter_samples(
    samples: Iterable[Sample],
    method: Filter | BatchFilter,
    output_range: range | None = None,
    held: HeldFrames | None = None,
) -> Generator[tuple[Sample, Any], None, None]:
    """Yield each sample with its filtered picture; a ``held`` repeat of the previous frame gets the same picture.

    Windows around two equal frames differ, because the later frame is nearer to the next drawing, so that a held
    drawing would move. For the delay and ``output_range`` see ``_filter_each``.
    """
    if held is None or not held.numbers or isinstance(method, RecursiveFilter):
        yield from _filter_each(samples, method, output_range)
        return
    repeat_numbers: set[int] = set()

    def compare() -> Iterator[Sample]:
        """Yield the samples, and collect the numbers of the samples that repeat the previous sample."""
        before: Sample | None = None
        for sample in samples:
            if before is not None and held.repeats(before, sample):
                repeat_numbers.add(sample.index)
            before = replace(sample, derived={})
            yield sample

    picture = None
    for sample, filtered in _filter_each(compare(), method, output_range):
        if picture is None or sample.index not in repeat_numbers:
            picture = filtered
        repeat_numbers.discard(sample.index)
        yield sample, picture


def _filter_each(
    samples: Iterable[Sample], method: Filter | BatchFilter, output_range: range | None
) -> Generator[tuple[Sample, Any], None, None]:
    """Yield each sample with its filtered picture, ``method.radius`` + 1 frames later; at once if the radius is 0.

    All history is dropped at a cut. ``output_range``: the numbers of the frames to yield; other frames are only
    neighbours, but a recursive filter filters them, too. A ``BatchFilter`` may delay frames by one more batch.
    """
    if isinstance(method, BatchFilter):
        yield from _filter_in_batches(samples, method, output_range)
        return
    delay = method.radius + LOOKAHEAD if method.radius else 0  # Live filters have no window and must not wait
    recent: deque[Sample] = deque(maxlen=method.radius + 1 + delay)
    drops_pictures = getattr(method, "needs_no_past_pictures", False)
    waiting = 0  # Number of the last samples that have not been filtered yet

    def flush(keep: int) -> Iterator[tuple[Sample, np.ndarray]]:
        """Filter the waiting samples, except the last ``keep`` samples; yield the results in the output range."""
        nonlocal waiting
        while waiting > keep:
            at = len(recent) - waiting
            first = max(0, at - method.radius)
            is_output = output_range is None or recent[at].index in output_range
            if is_output or isinstance(method, RecursiveFilter):
                picture = method(Window(tuple(recent)[first : at + method.radius + 1], at - first))
                if is_output:
                    yield recent[at], picture
                past = at
                while drops_pictures and past >= 0 and any(recent[past].output.strides):
                    recent[past] = _without_pictures(recent[past])
                    past -= 1
            waiting -= 1

    for sample in samples:
        if sample.starts_shot:
            yield from flush(0)
            recent.clear()
        if recent:
            method.expect(recent[-1], sample)
        recent.append(sample)
        waiting += 1
        yield from flush(delay)
    yield from flush(0)


def _without_pictures(sample: Sample) -> Sample:
    """Return a sample with its derived values and with black pictures that take no memory."""
    guide, output = [np.broadcast_to(np.zeros((), p.dtype), p.shape) for p in (sample.guide, sample.output)]
    return replace(sample, guide=guide, output=output)


def _filter_in_batches(
    samples: Iterable[Sample], method: BatchFilter, output_range: range | None
) -> Iterator[tuple[Sample, np.ndarray]]:
    """Yield each sample with its filtered picture as soon as a ``BatchFilter`` has finished it."""
    method.begin()
    for sample in samples:
        finished = method.flush() if sample.starts_shot else []
        finished += method.push(sample)
        yield from ((s, picture) for s, picture in finished if output_range is None or s.index in output_range)
    yield from ((s, picture) for s, picture in method.flush() if output_range is None or s.index in output_range)
