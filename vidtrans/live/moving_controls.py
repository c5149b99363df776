"""Evaluation of the curves that drive controls of a live session, for each painted frame.

The curves read the live sound and the source's frames. The sound of one connection at a time is analysed, in a thread
of its own.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

import cv2
import numpy as np

from vidtrans.core.errors import UsageError, VidtransError
from vidtrans.core.settings import Table
from vidtrans.curves.expressions import Signal, place_of
from vidtrans.curves.live_hearing import LiveSoundAnalysis
from vidtrans.curves.tracks import RunningCall
from vidtrans.flow.estimator import grey
from vidtrans.flow.survey import MOTION_SIGMA, edge_motion
from vidtrans.live.live_controls import ControlCurve, ControlState, FileTrack
from vidtrans.live.protocol import SoundMessage

MAX_SOUND_AHEAD_S = 1.0  # Most sound, in s, that a connection may send ahead of real time; further sound is dropped
MAX_WAITING_BLOCKS = 256  # Largest number of sound blocks that wait for analysis; the oldest are dropped
SILENT_AFTER_S = 0.15  # Time without a sound block, in s, after which silence is analysed instead
NO_SOUND_AFTER_S = 20.0  # Time without a sound block, in s, after which the analysis thread ends
COMPARISON_SIDE_PX = 96  # Short side, in pixels, to which frames are reduced before their motion is measured
PEAK_DECAY_S = 20.0  # Time constant, in s, with which the peak speed decays; motion is measured relative to this peak
# Smallest peak speed, in pixels of the reduced frame per second, so that camera noise stays near 0
MIN_PEAK_MOTION = 2.0
MOTION_VALID_S = 0.5  # Longest time between two frames, in s, for which their motion is measured


class LiveSound:
    """Analysis of the sound of one connection, the ``holder``: the connection that started last to send sound.

    No sound is stored. ``changed``: called when the holder changes. The event loop's thread calls all methods but
    ``watch``.

    Attributes:
        holder: The number of the connection whose sound is analysed; 0: none.
        values: The current values of the watched signals; empty without sound. The mapping is replaced, never changed.
        num_dropped: The number of blocks dropped because they came faster than real time.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.holder = 0
        self.values: Mapping[Signal, float] = {}
        self.num_dropped = 0
        self._changed = changed
        self._wake = threading.Condition()
        self._blocks: deque[SoundMessage] = deque(maxlen=MAX_WAITING_BLOCKS)
        self._signals: frozenset[Signal] = frozenset()
        self._always: frozenset[Signal] = frozenset()
        self._has_new_holder = False
        self._credit_s, self._credited_at_s = MAX_SOUND_AHEAD_S, time.monotonic()
        self._thread: threading.Thread | None = None

    def handle_message(self, number: int, message: Table) -> None:
        """Start or stop the analysis of connection ``number``, as its message requests. Raises UsageError."""
        if not isinstance(message.get("on"), bool):
            raise UsageError("sound", "the message does not say whether it begins", 'send {"on": true} or false')
        if message["on"]:
            self._set_holder(number)
        else:
            self.leave(number)

    def leave(self, number: int) -> None:
        """Stop the analysis if it analyses the sound of connection ``number``."""
        if self.holder == number:
            self._set_holder(0)

    def add_block(self, number: int, message: SoundMessage) -> None:
        """Queue the next sound block of connection ``number``; it is dropped if another connection is analysed."""
        if number != self.holder:
            return
        now = time.monotonic()
        self._credit_s = min(MAX_SOUND_AHEAD_S, self._credit_s + now - self._credited_at_s)
        self._credited_at_s = now
        if message.duration_s > self._credit_s:
            self.num_dropped += 1
            return
        self._credit_s -= message.duration_s
        with self._wake:
            self._blocks.append(message)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="live sound", daemon=True)
                self._thread.start()
            self._wake.notify()

    def watch(self, signals: Collection[Signal]) -> None:
        """Set the signals whose values are computed from now on, in place of those of the previous call."""
        with self._wake:
            self._signals = frozenset(signals) | self._always

    def watch_always(self, signals: Collection[Signal]) -> None:
        """Set signals whose values are always computed, in addition to those of ``watch``."""
        with self._wake:
            self._always = frozenset(signals)
            self._signals |= self._always

    def _set_holder(self, number: int) -> None:
        """Analyse the sound of connection ``number`` from now on (0: of none), without the queued blocks."""
        with self._wake:
            self.holder, self._has_new_holder = number, True
            self._blocks.clear()
            self._wake.notify()
        self._changed()

    def _run(self) -> None:
        """Analyse the queued sound blocks, and silence in gaps, until no sound arrives; runs in the analysis thread."""
        analysis: LiveSoundAnalysis | None = None
        last_block_s = time.monotonic()
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._blocks or self._has_new_holder, SILENT_AFTER_S)
                blocks, signals = list(self._blocks), self._signals
                self._blocks.clear()
                analysis = None if self._has_new_holder else analysis
                self._has_new_holder = False
                is_late = not blocks and time.monotonic() - last_block_s > NO_SOUND_AFTER_S
                if is_late or (not blocks and not self.holder):
                    self._thread, self.values = None, {}
                    return
            now = time.monotonic()
            for block in blocks:
                if analysis is None or analysis.rate_hz != block.rate_hz:
                    analysis = LiveSoundAnalysis(block.rate_hz, signals)
                analysis.watch(signals)
                analysis.add_samples(block.samples)
                last_block_s = now
            if analysis is not None and not blocks:
                analysis.add_samples(np.zeros(round(SILENT_AFTER_S * analysis.rate_hz), np.float32))
            if analysis is not None:
                self.values = analysis.values(signals)


class SourceSignals:
    """The signals of the source's frames: motion and brightness.

    Attributes:
        brightness: The last frame's mean grey level, 0 to 1.
    """

    def __init__(self) -> None:
        self.brightness = 0.0
        self._motion, self._peak = 0.0, MIN_PEAK_MOTION
        self._before: np.ndarray | None = None
        self._last_frame_s = -math.inf

    def measure(self, rgb: np.ndarray, now_s: float) -> None:
        """Measure motion and brightness of the source's next frame, (H, W, 3) uint8, shown at ``now_s``, in s."""
        scale = min(1.0, COMPARISON_SIDE_PX / min(rgb.shape[:2]))
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
        picture = grey(small)
        self.brightness = float(picture.mean()) / 255
        after = cv2.GaussianBlur(picture, (0, 0), MOTION_SIGMA).astype(np.float32)
        before, passed_s = self._before, max(1e-3, now_s - self._last_frame_s)
        self._before, self._last_frame_s = after, now_s
        if before is None or before.shape != after.shape or passed_s > MOTION_VALID_S:
            self._motion = 0.0
            return
        speed = edge_motion(before, after) / passed_s
        self._peak = max(speed, MIN_PEAK_MOTION, self._peak * math.exp(-passed_s / PEAK_DECAY_S))
        self._motion = speed / self._peak

    def motion(self, now_s: float) -> float:
        """Return the mean speed of edges, 0 to 1, relative to its peak in about the last 20 seconds."""
        return self._motion if now_s - self._last_frame_s < MOTION_VALID_S else 0.0


class MovingControls:
    """The values of the controls that curves drive, evaluated in the thread that paints. ``sound``: None without sound.

    Attributes:
        positions: The value of each driven control at the last frame, by name.
    """

    def __init__(self, sound: LiveSound | None = None) -> None:
        self._sound = sound
        self._source = SourceSignals()
        self._began_s = self._now_s = time.monotonic()
        self._curves: Mapping[str, ControlCurve] = {}
        self._signals: frozenset[Signal] = frozenset()
        self._files: dict[str, FileTrack] = {}
        self._calls: dict[Signal, RunningCall] = {}
        self._follows_source = False
        self.positions: dict[str, float] = {}

    def evaluate(self, state: ControlState, source: np.ndarray | None, frame: int) -> ControlState:
        """Return the control values for the next frame, which has number ``frame`` in the session.

        ``source``: a new frame of the source, (H, W, 3) uint8; None if the last one is painted again. Values are
        clamped to the control's bounds; where an expression has no value, the control keeps its last one.
        """
        if state.curves != self._curves:
            self._set_curves(state.curves)
        if not self._curves:
            return state
        now_s = time.monotonic()
        passed_s, self._now_s = now_s - self._now_s, now_s
        if source is not None and self._follows_source:
            self._source.measure(source, now_s)
        values = {"t": now_s - self._began_s, "frame": float(frame)}
        sound_values = self._sound.values if self._sound is not None else {}
        for signal in self._signals:
            values[place_of(signal)] = self._value(signal, sound_values, values, passed_s)
        before = state.numbers()
        positions = {}
        for name, curve in self._curves.items():
            value = math.nan
            with suppress(ArithmeticError, ValueError, TypeError):
                value = float(curve.curve.expressions[0].value(values))
            if math.isnan(value):
                number = before.get(name)
                value = self.positions.get(name, curve.low if number is None else number)
            positions[name] = curve.clamp(value)
        self.positions = positions
        return state.with_positions(positions)

    def _set_curves(self, curves: Mapping[str, ControlCurve]) -> None:
        """Use these curves, by control name, from now on: open the files that they read, and watch their signals."""
        self._curves = curves
        self._signals = frozenset().union(*(curve.signals for curve in curves.values()))
        roots = {signal.source for signal in self._signals}
        self._follows_source = any(root.is_seen for root in roots)
        files = {}
        for root in roots:
            with suppress(VidtransError):  # A file that was deleted since its check gives 0
                if root.file:
                    files[root.file] = self._files.get(root.file) or FileTrack(root.file)
        self._files = files
        self._calls = {call: running for call, running in self._calls.items() if call in self._signals}
        self.positions = {name: value for name, value in self.positions.items() if name in curves}
        if self._sound is not None:
            self._sound.watch(frozenset(signal for signal in self._signals if signal.is_heard))

    def _value(
        self, signal: Signal, sound_values: Mapping[Signal, float], times: Mapping[str, float], passed_s: float
    ) -> float:
        """Return the current value of a signal. ``times``: t, in s, and the frame number, by name.

        ``passed_s``: the time since the last frame, in s.
        """
        if signal.is_heard:
            return sound_values.get(signal, 0.0)
        if signal.inner is not None:
            call = self._calls.setdefault(signal, RunningCall(signal))
            return call.step(self._value(signal.inner, sound_values, times, passed_s), passed_s)
        if signal.file:
            file = self._files.get(signal.file)
            return 0.0 if file is None else float(file.track(np.array([times["frame" if file.in_frames else "t"]]))[0])
        return self._source.motion(self._now_s) if signal.name == "motion" else self._source.brightness
