"""The worker thread of a live session: it owns the models and paints the newest frame, without a queue.

Inputs are frames, controls and changes of the stage; results go to a listener.
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

REPEAT_S = 1 / 30  # Interval, in s, at which the last frame is painted again while a fade or a curve changes it
NEXT_FRAME_WAIT_S = 0.05  # Time after a frame, in s, within which the next frame is expected from the source
MIN_RETRY_S, MAX_RETRY_S = 1.0, 30.0  # First and longest wait, in s, before the models are loaded again


@dataclass(frozen=True)
class PaintJob:
    """A frame to paint, ``message``, from the connection with number ``sender``.

    ``is_cut``: it does not continue the frame before. ``received``: time of arrival, from ``time.perf_counter``.
    """

    message: FrameMessage
    sender: int = 0
    is_cut: bool = False
    received: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True)
class PaintedFrame:
    """A painted picture, (H, W, 3) uint8. ``job``: the frame that it shows; None for a repeated frame or a dream.

    ``model_input``: a view of the model's input, (H, W, 3) uint8. ``model_ms``: painting time in ms. ``moving``: the
    values of controls that curves drive, by name.
    """

    job: PaintJob | None
    picture: np.ndarray
    model_input: np.ndarray
    model_ms: float
    moving: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class StageChange:
    """A change of the models that paint: ``apply`` makes it, and ``undo`` is called if that fails.

    Both are called in the thread that paints.
    """

    apply: Callable[[LiveStage], None]
    undo: Callable[[], None] = lambda: None


class WorkerListener(Protocol):
    """The interface of a listener, which the worker calls with its results in the thread that paints."""

    def on_painted(self, painted: PaintedFrame) -> None:
        """Handle a painted picture."""

    def on_dropped(self, job: PaintJob, problem: VidtransError | None = None) -> None:
        """Handle a frame that was not painted: a newer one replaced it, or it failed with ``problem``."""

    def on_failed(self, problem: str, detail: str = "", *, ends_dream: bool = False) -> None:
        """Handle a failed painting or change of models.

        ``detail``: a traceback or ''. ``ends_dream``: the dream stops.
        """


class StageWorker:
    """The thread that loads the models and paints; the caller must close it.

    ``open_stage`` loads the models, once at the start and again after the device was lost. ``open_dreamer(state,
    seed)`` starts a dream from a picture, or from noise if ``seed`` is None. ``moving`` evaluates the curves that drive
    controls.
    """

    def __init__(
        self,
        open_stage: Callable[[], LiveStage],
        open_dreamer: Callable[[ControlState, np.ndarray | None], Dreamer],
        state: ControlState,
        listener: WorkerListener,
        moving: MovingControls | None = None,
    ) -> None:
        self._moving = moving or MovingControls()
        self._open_stage, self._open_dreamer, self._listener = open_stage, open_dreamer, listener
        self._changed = threading.Condition()
        self._state, self._is_closed, self._is_dirty = state, False, False
        self._job: PaintJob | None = None
        self._stage_changes: list[StageChange] = []
        self._is_dreaming = False
        self._is_cut = True
        self._stage: LiveStage | None = None
        self._dreamer: Dreamer | None = None
        self._log: KeyLog | None = None
        self._last_submit_s = -NEXT_FRAME_WAIT_S
        self._frame_interval_s, self._painting_s = NEXT_FRAME_WAIT_S, 0.0
        self._frame: SourceFrame | None = None  # The last frame, which is painted again when the controls change
        self._last_picture: np.ndarray | None = None
        self._retry_s = MIN_RETRY_S
        self.num_painted = self.num_dropped = 0
        self._thread = threading.Thread(target=self._run, name="live worker", daemon=True)

    def start(self) -> None:
        """Load the models and start the thread that paints. Raises ModelError, DeviceError, UsageError."""
        self._stage = self._open_stage()
        self._thread.start()

    def submit(self, job: PaintJob) -> None:
        """Queue a frame to be painted next; a frame that still waits is dropped."""
        with self._changed:
            replaced, self._job, now_s = self._job, job, time.monotonic()
            self._frame_interval_s, self._last_submit_s = min(NEXT_FRAME_WAIT_S, now_s - self._last_submit_s), now_s
            self._is_cut = self._is_cut or job.is_cut
            self._changed.notify()
        if replaced is not None:
            self._drop(replaced)

    def set_controls(self, state: ControlState) -> None:
        """Use the controls of ``state`` from now on, and repaint the last frame with them."""
        with self._changed:
            self._state, self._is_dirty = state, True
            self._changed.notify()

    def change_stage(self, change: StageChange) -> None:
        """Queue a change of the models before the next picture; if it fails, the listener is informed."""
        with self._changed:
            self._stage_changes.append(change)
            self._changed.notify()

    def set_dreaming(self, is_on: bool) -> None:
        """Start a dream from the last picture, or end the running dream."""
        with self._changed:
            self._is_dreaming = is_on
            self._changed.notify()

    @property
    def key_log(self) -> KeyLog | None:
        """Return a copy of the log of the current or last dream; None before the first dream."""
        return self._log.copy() if self._log else None

    @property
    def is_alive(self) -> bool:
        """Return whether the thread that paints is running."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Finish the current picture and end the thread that paints."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout=60)
        self._stage = self._dreamer = None  # Frees their memory while the server continues

    def _run(self) -> None:
        """Paint frames, repeat the last frame and continue dreams until the worker is closed; runs in its thread."""
        while True:
            with self._changed:
                while not self._has_work() and self._changed.wait(self._wait_limit_s()):
                    pass
                if self._is_closed:
                    return
                job, self._job = self._take_job(), None
                state, is_dirty, self._is_dirty = self._state, self._is_dirty, False
                is_dreaming = self._is_dreaming
                changes, self._stage_changes = self._stage_changes, []
            began = time.perf_counter()
            try:
                if not self._is_ready(job):
                    with self._changed:
                        self._is_dirty = self._is_dirty or is_dirty
                        self._stage_changes[:0] = changes
                    continue
                self._apply_changes(changes)
                self._paint(job, state, is_dirty, is_dreaming)
                self._retry_s, self._painting_s = MIN_RETRY_S, time.perf_counter() - began
            except VidtransError as error:
                self._report_problem(job, error, is_dirty)
            except Exception as error:
                self._recover(job, error)
            if is_dreaming:
                self._wait(1 / state.controls.dream_fps - (time.perf_counter() - began))

    def _take_job(self) -> PaintJob | None:
        """Return the waiting frame, marked as the start of a shot if a frame dropped before it was one; else None."""
        if self._job is None:
            return None
        is_cut, self._is_cut = self._is_cut, False
        return replace(self._job, is_cut=is_cut)

    def _has_work(self) -> bool:
        """Return whether the thread has something to do: paint, change or load the models, or end."""
        is_due = self._is_dirty and not self._expects_frame()
        has_request = self._job is not None or is_due or self._is_dreaming or bool(self._stage_changes)
        return self._is_closed or self._stage is None or has_request

    def _expects_frame(self) -> bool:
        """Return whether repainting the last frame now would delay the next frame of the source."""
        return self._frame_interval_s - self._painting_s < time.monotonic() - self._last_submit_s < NEXT_FRAME_WAIT_S

    def _wait_limit_s(self) -> float | None:
        """Return the time, in s, after which the last frame is painted again; None if nothing changes it."""
        if self._frame is None or self._stage is None:
            return None
        if self._is_dirty:
            return max(0.0, self._last_submit_s + NEXT_FRAME_WAIT_S - time.monotonic())
        return REPEAT_S if self._stage.is_changing or self._state.curves else None

    def _wait(self, seconds: float) -> None:
        """Wait for a number of seconds, or until the dream ends or the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or not self._is_dreaming, max(0.0, seconds))

    def _is_ready(self, job: PaintJob | None) -> bool:
        """Return whether the models are loaded; load them if the device was lost, and report a failure."""
        if self._stage is None:
            try:
                self._stage = self._open_stage()
            except Exception as error:
                self._recover(job, error)
        return self._stage is not None

    def _apply_changes(self, changes: Sequence[StageChange]) -> None:
        """Change the models in the order of ``changes``; a change that fails is reported and undone."""
        assert self._stage is not None
        for change in changes:
            try:
                change.apply(self._stage)
            except Exception as error:  # After a lost device painting fails next, and the models are loaded again
                is_known = isinstance(error, VidtransError)
                problem = str(error) if is_known else f"a change failed ({type(error).__name__})"
                detail = "" if is_known else "".join(traceback.format_exception(error))
                self._listener.on_failed(f"{problem}; everything else stays as it was", detail)
                change.undo()

    def _paint(self, job: PaintJob | None, state: ControlState, is_dirty: bool, is_dreaming: bool) -> None:
        """Paint the frame of ``job``, or the last frame again, or the next frame of a dream (``is_dreaming``).

        ``is_dirty``: the controls have changed since the last picture. Raises any device error.
        """
        assert self._stage is not None
        rgb = decode(job.message.file) if job is not None else None
        state = self._moving.evaluate(state, rgb, self.num_painted)
        if job is not None and rgb is not None:
            if state.controls.freeze and self._frame is not None and not job.is_cut and not is_dreaming:
                self._drop(job)
                if not is_dirty and not self._stage.is_changing and not self._moving.positions:
                    return
                job = None
            else:
                self._frame = SourceFrame(rgb, job.message.kind == "drawing", job.is_cut)
        if is_dreaming:
            self._paint_dream(job, state)
            return
        self._dreamer = None
        if self._frame is None:
            return
        began = time.perf_counter()
        frame = self._frame
        painted = self._stage.paint(frame, state, time.monotonic())
        self._frame = SourceFrame(frame.rgb, frame.is_drawing)
        self._deliver(job, painted.picture, painted.model_input, began)

    def _paint_dream(self, job: PaintJob | None, state: ControlState) -> None:
        """Paint the next frame of the dream; start the dream if there is none or the model has changed."""
        if self._dreamer is None or self._dreamer.model.name != state.controls.model:
            self._dreamer = self._open_dreamer(state, self._last_picture)
            self._log = self._dreamer.log
        began = time.perf_counter()
        assert self._stage is not None
        drive = self._frame.rgb if self._frame is not None else None
        picture = self._stage.blend_picture(self._dreamer.step(state.controls, drive), state.controls)
        self._deliver(None, picture, picture, began)
        if job is not None:
            self._drop(job)  # The frame drives the dream, whose frames have their own rate

    def _deliver(self, job: PaintJob | None, picture: np.ndarray, model_input: np.ndarray, began: float) -> None:
        """Pass a picture to the listener; ``began``: when its painting began, from ``time.perf_counter``, in s.

        ``job``: the frame that it shows; None for a repeated frame or a dream.
        """
        self._last_picture = picture
        self.num_painted += 1
        took_ms = 1e3 * (time.perf_counter() - began)
        self._listener.on_painted(PaintedFrame(job, picture, model_input, took_ms, self._moving.positions))

    def _drop(self, job: PaintJob, problem: VidtransError | None = None) -> None:
        """Report a frame as dropped to the listener; if it began a shot (a cut), the next frame does so."""
        with self._changed:
            self._is_cut = self._is_cut or job.is_cut
        self.num_dropped += 1
        self._listener.on_dropped(job, problem)

    def _report_problem(self, job: PaintJob | None, error: VidtransError, is_dirty: bool) -> None:
        """Report that a frame could not be painted; without a job, forget the last frame, and end a dream.

        ``is_dirty``: the last frame still has to be repainted with changed controls.
        """
        with self._changed:
            if job is not None:
                self._is_dirty = self._is_dirty or is_dirty  # The last frame still has to be repainted
            ends_dream, self._is_dreaming = self._is_dreaming and job is None, self._is_dreaming and job is not None
            if job is None:
                self._frame = None
        if job is not None:
            self._drop(job, error)
        else:  # The dream or the last frame would fail again and again
            self._listener.on_failed(str(error), ends_dream=ends_dream)

    def _recover(self, job: PaintJob | None, error: Exception) -> None:
        """Report an unexpected error, such as a lost device, and unload the models, which are loaded again later."""
        if job is not None:
            self._drop(job, DeviceError("painting", "it failed", "wait: it is retried automatically"))
        if self._retry_s > MIN_RETRY_S:
            self._frame = None  # The frame may be the cause
        detail = "".join(traceback.format_exception(error))
        self._listener.on_failed(
            f"painting failed ({type(error).__name__}); trying again in {self._retry_s:.0f} s", detail
        )
        self._stage = self._dreamer = None
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed, self._retry_s)
        self._retry_s = min(2 * self._retry_s, MAX_RETRY_S)
