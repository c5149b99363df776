"""The worker thread of a live session: it owns the models and paints the newest frame, without a queue.

Its input and output: frames, changes of the stage, and pictures.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from vidtrans.core.errors import DeviceError, VidtransError
from vidtrans.live.dreamer import Dreamer, KeyLog
from vidtrans.live.live_controls import ControlState
from vidtrans.live.live_stage import LiveStage, SourceFrame
from vidtrans.live.moving_controls import MovingControls
from vidtrans.live.protocol import FrameMessage, decode

REPEAT_S = 1 / 30  # seconds between repeated pictures of one frame
EXPECTED_S = 0.05  # after a frame, in which the next one is expected
FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0  # first and longest wait in seconds before models are loaded again


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


class StageWorker:
    """The thread that paints, which must be closed. ``open_stage`` loads the models, again after a lost device.

    ``open_dreamer(state, seed)`` starts a dream from a picture, or from noise if ``seed`` is None. ``moving``: gives
    the values of controls that curves move.
    """

    def __init__(
        self,
        open_stage: Callable[[], LiveStage],
        open_dreamer: Callable[[ControlState, np.ndarray | None], Dreamer],
        state: ControlState,
        answers: Answers,
        moving: MovingControls | None = None,
    ) -> None:
        self._moving = moving or MovingControls()
        self._open_stage, self._open_dreamer, self._answers = open_stage, open_dreamer, answers
        self._changed = threading.Condition()
        self._state, self._is_closed, self._is_dirty = state, False, False
        self._job: PaintJob | None = None
        self._adaptations: list[Adaptation] = []
        self._dreams = False
        self._is_cut = True  # no frame of the source was painted yet
        self._stage: LiveStage | None = None
        self._dreamer: Dreamer | None = None
        self._log: KeyLog | None = None
        self._submitted_s = -EXPECTED_S  # when the last frame came
        self._interval_s, self._took_s = EXPECTED_S, 0.0  # between the last two frames; to paint the last picture
        self._frame: SourceFrame | None = None  # the last frame, which is painted again when the controls change
        self._shown: np.ndarray | None = None
        self._retry_s = FIRST_RETRY_S
        self.num_painted = self.num_dropped = 0
        self._thread = threading.Thread(target=self._run, name="live worker", daemon=True)

    def start(self) -> None:
        """Load the models and start the thread. Raises ModelError, DeviceError, UsageError."""
        self._stage = self._open_stage()
        self._thread.start()

    def submit(self, job: PaintJob) -> None:
        """Paint a frame next, in place of a waiting frame, which is dropped."""
        with self._changed:
            replaced, self._job, now_s = self._job, job, time.monotonic()
            self._interval_s, self._submitted_s = min(EXPECTED_S, now_s - self._submitted_s), now_s
            self._is_cut = self._is_cut or job.is_cut
            self._changed.notify()
        if replaced is not None:
            self._drop(replaced)

    def change(self, state: ControlState) -> None:
        """Use other controls from now on, and repaint the last frame with them."""
        with self._changed:
            self._state, self._is_dirty = state, True
            self._changed.notify()

    def adapt(self, adaptation: Adaptation) -> None:
        """Change the stage before the next picture. A change that fails is reported, and the stage stays as it was."""
        with self._changed:
            self._adaptations.append(adaptation)
            self._changed.notify()

    def dream(self, on: bool) -> None:
        """Start a dream from the picture shown last, or end it."""
        with self._changed:
            self._dreams = on
            self._changed.notify()

    @property
    def key_log(self) -> KeyLog | None:
        """Return what was done with the last dream until now, also if it has ended; None before the first."""
        return self._log.copy() if self._log else None

    @property
    def is_alive(self) -> bool:
        """Return whether the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish the current picture and end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout=60)
        self._stage = self._dreamer = None  # their memory is free while the server goes on

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._has_work() and self._changed.wait(self._patience()):
                    pass
                if self._is_closed:
                    return
                job, self._job = self._take_job(), None
                state, is_dirty, self._is_dirty = self._state, self._is_dirty, False
                dreams = self._dreams
                adaptations, self._adaptations = self._adaptations, []
            began = time.perf_counter()
            try:
                if not self._is_ready(job):
                    with self._changed:
                        self._is_dirty = self._is_dirty or is_dirty
                        self._adaptations[:0] = adaptations
                    continue
                self._adapt(adaptations)
                self._paint(job, state, is_dirty, dreams)
                self._retry_s, self._took_s = FIRST_RETRY_S, time.perf_counter() - began
            except VidtransError as error:
                self._refuse(job, error, is_dirty)
            except Exception as error:
                self._recover(job, error)
            if dreams:
                self._wait(1 / state.controls.dream_fps - (time.perf_counter() - began))

    def _take_job(self) -> PaintJob | None:
        """Return the waiting frame, marked as a cut if a dropped frame before it was one; None without a frame."""
        if self._job is None:
            return None
        is_cut, self._is_cut = self._is_cut, False
        return replace(self._job, is_cut=is_cut)

    def _has_work(self) -> bool:
        is_due = self._is_dirty and not self._waits_for_frame()
        has_request = self._job is not None or is_due or self._dreams or bool(self._adaptations)
        return self._is_closed or self._stage is None or has_request

    def _waits_for_frame(self) -> bool:
        """Return whether to paint the last frame again, with changed controls, would delay the next one."""
        return self._interval_s - self._took_s < time.monotonic() - self._submitted_s < EXPECTED_S

    def _patience(self) -> float | None:
        if self._frame is None or self._stage is None:
            return None
        if self._is_dirty:
            return max(0.0, self._submitted_s + EXPECTED_S - time.monotonic())
        return REPEAT_S if self._stage.is_changing or self._state.curves else None

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._dreams, max(0.0, seconds))

    def _is_ready(self, job: PaintJob | None) -> bool:
        """Load the models if the device was lost; return whether they are loaded. After an error, wait first."""
        if self._stage is None:
            try:
                self._stage = self._open_stage()
            except Exception as error:
                self._recover(job, error)
        return self._stage is not None

    def _adapt(self, adaptations: Sequence[Adaptation]) -> None:
        """Change the stage; a change that fails keeps neither later ones nor the frame from their turn."""
        assert self._stage is not None
        for adaptation in adaptations:
            try:
                adaptation.apply(self._stage)
            except Exception as error:  # of a lost device, too: then painting fails next, and models are loaded again
                is_known = isinstance(error, VidtransError)
                problem = str(error) if is_known else f"a change failed ({type(error).__name__})"
                detail = "" if is_known else "".join(traceback.format_exception(error))
                self._answers.failed(f"{problem}; everything else stays as it was", detail)
                adaptation.undo()

    def _paint(self, job: PaintJob | None, state: ControlState, is_dirty: bool, dreams: bool) -> None:
        """Paint the frame of ``job``, or repaint the last frame. Raises VidtransError, and any error of the device."""
        assert self._stage is not None
        rgb = decode(job.message.file) if job is not None else None
        state = self._moving.at(state, rgb, self.num_painted)
        if job is not None and rgb is not None:
            if state.controls.freeze and self._frame is not None and not job.is_cut and not dreams:
                self._drop(job)
                if not is_dirty and not self._stage.is_changing and not self._moving.positions:
                    return
                job = None
            else:
                self._frame = SourceFrame(rgb, job.message.kind == "drawing", job.is_cut)
        if dreams:
            self._dream(job, state)
            return
        self._dreamer = None
        if self._frame is None:
            return
        began = time.perf_counter()
        frame = self._frame
        painted = self._stage.paint(frame, state, time.monotonic())
        self._frame = SourceFrame(frame.rgb, frame.is_drawing)
        self._answer(job, painted.picture, painted.model_input, began)

    def _dream(self, job: PaintJob | None, state: ControlState) -> None:
        if self._dreamer is None or self._dreamer.model.name != state.controls.model:
            self._dreamer = self._open_dreamer(state, self._shown)
            self._log = self._dreamer.log
        began = time.perf_counter()
        assert self._stage is not None
        drive = self._frame.rgb if self._frame is not None else None
        picture = self._stage.show(self._dreamer.step(state.controls, drive), state.controls)
        self._answer(None, picture, picture, began)
        if job is not None:
            self._drop(job)  # the frame drives the dream, whose frames have their own rate

    def _answer(self, job: PaintJob | None, picture: np.ndarray, model_input: np.ndarray, began: float) -> None:
        self._shown = picture
        self.num_painted += 1
        took_ms = 1e3 * (time.perf_counter() - began)
        self._answers.painted(Painted(job, picture, model_input, took_ms, self._moving.positions))

    def _drop(self, job: PaintJob, problem: VidtransError | None = None) -> None:
        """Report a frame as dropped; if it was a cut, the next frame becomes one."""
        with self._changed:
            self._is_cut = self._is_cut or job.is_cut
        self.num_dropped += 1
        self._answers.dropped(job, problem)

    def _refuse(self, job: PaintJob | None, error: VidtransError, is_dirty: bool) -> None:
        """Report a frame or controls that cannot be painted, and prepare for the next ones."""
        with self._changed:
            if job is not None:
                self._is_dirty = self._is_dirty or is_dirty  # the last frame still has to be repainted
            ends_dream, self._dreams = self._dreams and job is None, self._dreams and job is not None
            if job is None:
                self._frame = None
        if job is not None:
            self._drop(job, error)
        else:  # the dream or the last frame would fail again and again
            self._answers.failed(str(error), ends_dream=ends_dream)

    def _recover(self, job: PaintJob | None, error: Exception) -> None:
        """Report an unexpected error, and unload the models to load them again after a wait, as after a lost device."""
        if job is not None:
            self._drop(job, DeviceError("painting", "it failed", "wait: it is retried automatically"))
        if self._retry_s > FIRST_RETRY_S:
            self._frame = None  # the frame may be the cause
        detail = "".join(traceback.format_exception(error))
        self._answers.failed(f"painting failed ({type(error).__name__}); trying again in {self._retry_s:.0f} s", detail)
        self._stage = self._dreamer = None
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, self._retry_s)
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)
