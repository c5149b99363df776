"""The values of controls that curves move, for each painted frame, and the sound and the source that they follow.

The sound is that of one connection at a time, analysed in a thread of its own.
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
from vidtrans.curves.live_hearing import LiveEar
from vidtrans.curves.tracks import RunningCall
from vidtrans.flow.estimator import grey
from vidtrans.flow.survey import MOTION_SIGMA, edge_motion
from vidtrans.live.live_controls import ControlCurve, ControlState, FileTrack
from vidtrans.live.protocol import SoundMessage

MOST_AHEAD_S = 1.0  # of sound that may come faster than it sounds; more is dropped
MOST_BLOCKS = 256  # that wait, where the processor is busy; older ones are dropped
SILENT_AFTER_S = 0.15  # without a block, after which silence is heard
ENDS_AFTER_S = 20.0  # without a block, after which nothing is heard
SIDE = 96  # pixels of the short side at which frames are compared
FULL_FALL_S = 20.0  # in which the motion that is scaled to 1 falls by e
LEAST_MOTION = 2.0  # pixels a second at that size; less, as the noise of a camera, is never scaled to 1
HOLD_S = 0.5  # for which the motion of the last two frames counts


class LiveSound:
    """Hears the sound of one connection, the ``holder``: the last one that began. No sound is kept or recorded.

    ``changed``: called where another connection is heard, or none. The event loop's thread calls all methods but
    ``watch``.

    Attributes:
        holder: The number of the connection that is heard; 0: none.
        values: The values of the watched signals now; none of them: 0. It is replaced, never changed.
        num_dropped: The number of blocks that came too fast.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self.holder = 0
        self.values: Mapping[Signal, float] = {}
        self.num_dropped = 0
        self._changed = changed
        self._wake = threading.Condition()
        self._blocks: deque[SoundMessage] = deque(maxlen=MOST_BLOCKS)
        self._signals: frozenset[Signal] = frozenset()
        self._always: frozenset[Signal] = frozenset()
        self._has_new_holder = False
        self._credit_s, self._credited = MOST_AHEAD_S, time.monotonic()
        self._thread: threading.Thread | None = None

    def carry_out(self, number: int, message: Table) -> None:
        """Hear the connection ``number`` from now on, or no longer. Raises UsageError."""
        if not isinstance(message.get("on"), bool):
            raise UsageError("sound", "the message does not say whether it begins", 'send {"on": true} or false')
        if message["on"]:
            self._hold(number)
        else:
            self.leave(number)

    def leave(self, number: int) -> None:
        """Hear the connection ``number`` no longer."""
        if self.holder == number:
            self._hold(0)

    def block(self, number: int, message: SoundMessage) -> None:
        """Take the next block of a connection; those of connections that are not heard are dropped."""
        if number != self.holder:
            return
        now = time.monotonic()
        self._credit_s = min(MOST_AHEAD_S, self._credit_s + now - self._credited)
        self._credited = now
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
        """Give the values of these signals from now on."""
        with self._wake:
            self._signals = frozenset(signals) | self._always

    def watch_always(self, signals: Collection[Signal]) -> None:
        """Give the values of these signals, whatever else is watched."""
        with self._wake:
            self._always = frozenset(signals)
            self._signals |= self._always

    def _hold(self, number: int) -> None:
        with self._wake:
            self.holder, self._has_new_holder = number, True
            self._blocks.clear()
            self._wake.notify()
        self._changed()

    def _run(self) -> None:
        ear: LiveEar | None = None
        heard = time.monotonic()  # until when sound, or silence, was heard
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._blocks or self._has_new_holder, SILENT_AFTER_S)
                blocks, signals = list(self._blocks), self._signals
                self._blocks.clear()
                ear = None if self._has_new_holder else ear
                self._has_new_holder = False
                is_late = not blocks and time.monotonic() - heard > ENDS_AFTER_S
                if is_late or (not blocks and not self.holder):
                    self._thread, self.values = None, {}
                    return
            now = time.monotonic()
            for block in blocks:
                if ear is None or ear.rate_hz != block.rate_hz:
                    ear = LiveEar(block.rate_hz, signals)
                ear.watch(signals)
                ear.listen(block.samples)
                heard = now
            if ear is not None and not blocks:
                ear.listen(np.zeros(round(SILENT_AFTER_S * ear.rate_hz), np.float32))
            if ear is not None:
                self.values = ear.values(signals)


class SourceSignals:
    """Measures the frames that a live session paints.

    Attributes:
        brightness: The last frame's mean grey level, 0 to 1.
    """

    def __init__(self) -> None:
        self.brightness = 0.0
        self._motion, self._full = 0.0, LEAST_MOTION
        self._before: np.ndarray | None = None
        self._seen_s = -math.inf

    def see(self, rgb: np.ndarray, now_s: float) -> None:
        """Measure the next frame, (H, W, 3) uint8, at a time in s."""
        scale = min(1.0, SIDE / min(rgb.shape[:2]))
        small = cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
        picture = grey(small)
        self.brightness = float(picture.mean()) / 255
        after = cv2.GaussianBlur(picture, (0, 0), MOTION_SIGMA).astype(np.float32)
        before, passed_s = self._before, max(1e-3, now_s - self._seen_s)
        self._before, self._seen_s = after, now_s
        if before is None or before.shape != after.shape or passed_s > HOLD_S:
            self._motion = 0.0
            return
        speed = edge_motion(before, after) / passed_s
        self._full = max(speed, LEAST_MOTION, self._full * math.exp(-passed_s / FULL_FALL_S))
        self._motion = speed / self._full

    def motion(self, now_s: float) -> float:
        """Return how much moves, from 0 to 1, where 1 is the most of the last seconds."""
        return self._motion if now_s - self._seen_s < HOLD_S else 0.0


class MovingControls:
    """Evaluates the curves of controls; the thread that paints calls it. ``sound``: what is heard; None: nothing.

    Attributes:
        positions: The value of each control that moves, at the last frame, by name.
    """

    def __init__(self, sound: LiveSound | None = None) -> None:
        self._sound = sound
        self._source = SourceSignals()
        self._began_s = self._now_s = time.monotonic()
        self._curves: Mapping[str, ControlCurve] = {}
        self._signals: frozenset[Signal] = frozenset()
        self._files: dict[str, FileTrack] = {}
        self._calls: dict[Signal, RunningCall] = {}
        self._sees = False
        self.positions: dict[str, float] = {}

    def at(self, state: ControlState, source: np.ndarray | None, frame: int) -> ControlState:
        """Return the controls of the next frame, the ``frame``-th of the session.

        ``source``: a new frame of the source, (H, W, 3) uint8; None: the last one is painted again. A value that is
        out of bounds becomes the nearest one; where there is no number, the control stays where it is.
        """
        if state.curves != self._curves:
            self._take(state.curves)
        if not self._curves:
            return state
        now_s = time.monotonic()
        passed_s, self._now_s = now_s - self._now_s, now_s
        if source is not None and self._sees:
            self._source.see(source, now_s)
        values = {"t": now_s - self._began_s, "frame": float(frame)}
        heard = self._sound.values if self._sound is not None else {}
        for signal in self._signals:
            values[place_of(signal)] = self._value(signal, heard, values, passed_s)
        before = state.numbers()
        positions = {}
        for name, curve in self._curves.items():
            found = math.nan
            with suppress(ArithmeticError, ValueError, TypeError):
                found = float(curve.curve.expressions[0].value(values))
            if math.isnan(found):
                number = before.get(name)
                found = self.positions.get(name, curve.low if number is None else number)
            positions[name] = curve.kept(found)
        self.positions = positions
        return state.moved(positions)

    def _take(self, curves: Mapping[str, ControlCurve]) -> None:
        """Evaluate other curves from now on."""
        self._curves = curves
        self._signals = frozenset().union(*(curve.signals for curve in curves.values()))
        roots = {signal.source for signal in self._signals}
        self._sees = any(root.is_seen for root in roots)
        files = {}
        for root in roots:
            with suppress(VidtransError):  # a file that is gone since it was checked gives 0
                if root.file:
                    files[root.file] = self._files.get(root.file) or FileTrack(root.file)
        self._files = files
        self._calls = {call: running for call, running in self._calls.items() if call in self._signals}
        self.positions = {name: value for name, value in self.positions.items() if name in curves}
        if self._sound is not None:
            self._sound.watch(frozenset(signal for signal in self._signals if signal.is_heard))

    def _value(
        self, signal: Signal, heard: Mapping[Signal, float], times: Mapping[str, float], passed_s: float
    ) -> float:
        if signal.is_heard:
            return heard.get(signal, 0.0)
        if signal.inner is not None:
            call = self._calls.setdefault(signal, RunningCall(signal))
            return call.step(self._value(signal.inner, heard, times, passed_s), passed_s)
        if signal.file:
            file = self._files.get(signal.file)
            return 0.0 if file is None else float(file.track(np.array([times["frame" if file.in_frames else "t"]]))[0])
        return self._source.motion(self._now_s) if signal.name == "motion" else self._source.brightness
