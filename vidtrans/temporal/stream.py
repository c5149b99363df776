"""The interface of filters: samples, windows, protocols, settings, and the filter ``off``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from vidtrans.temporal.settings import OffSettings


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
