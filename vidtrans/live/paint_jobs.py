"""Input and output of the thread that paints: frames, changes of the stage, and pictures."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vidtrans.core.errors import VidtransError
from vidtrans.live.live_stage import LiveStage
from vidtrans.live.protocol import FrameMessage


@dataclass(frozen=True)
class PaintJob:
    """A frame to paint. ``received``: at a time of ``time.perf_counter``. ``sender``: the number of its connection."""

    message: FrameMessage
    sender: int = 0
    is_cut: bool = False
    received: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class Painted:
    """A painted picture, (H, W, 3) uint8. ``job``: its frame; None for a repeated frame or a dream.

    ``model_input``: a view of the model's input, (H, W, 3) uint8. ``model_ms``: milliseconds of painting. ``moving``:
    the values of the controls that curves move, by name.
    """

    job: PaintJob | None
    picture: np.ndarray
    model_input: np.ndarray
    model_ms: float
    moving: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Adaptation:
    """A change of the stage, ``apply``; where that fails, ``undo`` is called, both in the thread that paints."""

    apply: Callable[[LiveStage], None]
    undo: Callable[[], None] = lambda: None


class Answers(Protocol):
    """The interface for the worker's results; the worker calls it in its own thread."""

    def painted(self, painted: Painted) -> None:
        """Handle a painted picture."""

    def dropped(self, job: PaintJob, problem: VidtransError | None = None) -> None:
        """Handle a frame that was not painted: a newer frame replaced it, or it has a ``problem``."""

    def failed(self, problem: str, detail: str = "", *, ends_dream: bool = False) -> None:
        """Handle a failure of painting or of a change; ``detail``: a traceback or ''; ``ends_dream``: of the dream."""
