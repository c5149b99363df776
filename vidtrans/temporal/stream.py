"""The interface of filters: samples, windows, protocols, settings; and how samples are pushed through one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vidtrans.core.settings import setting
from vidtrans.flow import FLOWS

LOOKAHEAD = 1  # samples that are taken before windows need them, so that ``Filter.expect`` gains time


@dataclass
class Sample:
    """One frame: the ``guide`` (input), (H, W, 3) uint8, and the model's ``output``, of one size, uint8 or uint16.

    They are numpy arrays, or, for a ``BatchFilter``, tensors on its device, where 16 bits are in int16.

    Attributes:
        index: The number of the frame in its clip.
        pts: Its time.
        guide: The input, at the size of the output.
        output: What the model has made of it; filters replace it.
        starts_shot: It is the first frame of its shot.
        source: The frame at its full size, where paint is laid on it, or a result is blended with it on a device.
        host_guide: The guide as an array, where ``guide`` lies on a device.
        is_key: Of a draft: it was rendered, and its output is propagated to the frames around it.
        is_propagated: Of a draft: its output is to be propagated to it.
        rendered: Of a draft: what was rendered of a propagated frame, to compare both.
        download: The download of its output that has begun.
        derived: What a filter derives from this frame and its neighbours, so that it is computed once whatever number
            of windows the frame is in.
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
    derived: dict[Any, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Window:
    """``samples`` of one shot around ``samples[centre]``: up to ``radius`` before it and after it."""

    samples: tuple[Sample, ...]
    centre: int


@runtime_checkable
class BatchFilter(Protocol):
    """A filter that takes frames one by one and computes many at once: a ``Filter`` with a rhythm of its own."""

    radius: int

    def begin(self) -> None:
        """Drop all frames."""

    def push(self, sample: Sample) -> list[tuple[Sample, Any]]:
        """Take the next frame of a shot; return those that are done, in order, with their pictures."""

    def flush(self) -> list[tuple[Sample, Any]]:
        """End the shot: return the rest of its frames."""


class Filter(Protocol):
    """A frame depends on ``radius`` neighbours on each side, and on nothing else.

    One whose class has a true attribute ``needs_no_past_pictures`` takes of frames before the centre only what is
    derived of them.
    """

    radius: int

    def expect(self, before: Sample, after: Sample) -> None:
        """Begin in the background what windows will need of two neighbours of a shot."""

    def __call__(self, window: Window) -> np.ndarray:
        """Return the filtered picture of the window's centre, of its output's shape and dtype."""


@runtime_checkable
class RecursiveFilter(Protocol):
    """A filter that carries a state from frame to frame: it takes frames in order, each once, with a radius of 0."""

    def state(self) -> Mapping[str, np.ndarray]:
        """Return all that the next frame depends on."""

    def resume(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue exactly from what ``state`` returned."""


@dataclass(frozen=True)
class DeflickerSettings:
    """How much a filter may change, and what counts as flicker."""

    strength: float = setting(1.0, "share of the correction that is applied", low=0.0, high=1.0)
    texture_strength: float = setting(
        1.0, "share of it in fine texture, which may boil; 0 steadies tones only", low=0.0, high=1.0
    )
    keep_source_changes: float = setting(1.0, "how far changes that the source explains are kept", low=0.0, high=1.0)
    texture_gain: float = setting(1.1, "how much of the texture that averaging pales is given back", low=0.0, high=2.0)
    colour_sigma: float = setting(
        0.16, "σ of the source's colour difference that is the same place", low=0.01, high=1.0
    )
    flow: str = setting("dis", "flow method", choices=tuple(FLOWS))
    flow_size: int = setting(540, "short side at which flow is estimated in larger pictures; 0: their own", low=0)


@dataclass(frozen=True)
class OffSettings:
    """Nothing to set."""


class NoFilter:
    """Returns the model's own output."""

    version = 1
    radius = 0
    Settings = OffSettings

    def __init__(self, settings: OffSettings, device: str = "cpu") -> None:
        pass

    def expect(self, before: Sample, after: Sample) -> None:
        """Begin nothing."""

    def __call__(self, window: Window) -> np.ndarray:
        """Return the output of the window's centre."""
        return window.samples[window.centre].output


def filter_samples(
    samples: Iterable[Sample], method: Filter | BatchFilter, wanted: range | None = None
) -> Generator[tuple[Sample, np.ndarray], None, None]:
    """Yield each sample with its filtered picture, ``method.radius`` frames behind the input, or one more, unless 0.

    At a cut all history is dropped. ``wanted``: the numbers of the frames that are asked for; the others are only
    neighbours. A recursive filter sees all of them. A filter of batches may be a batch further behind.
    """
    if isinstance(method, BatchFilter):
        yield from _filter_in_batches(samples, method, wanted)
        return
    ahead = method.radius + LOOKAHEAD if method.radius else 0  # one that has no window may be live: it must not wait
    recent: deque[Sample] = deque(maxlen=method.radius + 1 + ahead)
    drops_pictures = getattr(method, "needs_no_past_pictures", False)
    waiting = 0  # how many of the last samples have not been filtered yet

    def flush(keep: int) -> Iterator[tuple[Sample, np.ndarray]]:
        nonlocal waiting
        while waiting > keep:
            at = len(recent) - waiting
            first = max(0, at - method.radius)
            is_wanted = wanted is None or recent[at].index in wanted
            if is_wanted or isinstance(method, RecursiveFilter):
                picture = method(Window(tuple(recent)[first : at + method.radius + 1], at - first))
                if is_wanted:
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
        yield from flush(ahead)
    yield from flush(0)


def _without_pictures(sample: Sample) -> Sample:
    """Return a sample with what is derived of it, and black pictures that take no memory."""
    guide, output = (np.broadcast_to(np.zeros((), p.dtype), p.shape) for p in (sample.guide, sample.output))
    return replace(sample, guide=guide, output=output)


def _filter_in_batches(
    samples: Iterable[Sample], method: BatchFilter, wanted: range | None
) -> Iterator[tuple[Sample, np.ndarray]]:
    method.begin()
    for sample in samples:
        done = method.flush() if sample.starts_shot else []
        done += method.push(sample)
        yield from ((s, picture) for s, picture in done if wanted is None or s.index in wanted)
    yield from ((s, picture) for s, picture in method.flush() if wanted is None or s.index in wanted)
