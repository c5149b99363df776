"""The sound that a live session hears: blocks of one connection at a time, analysed in a thread of their own."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping

import numpy as np

from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.curves.expressions import Signal
from vidtrans.curves.live_hearing import LiveEar
from vidtrans.live.protocol import SoundMessage

MOST_AHEAD_S = 1.0  # of sound that may come faster than it sounds; more is dropped
MOST_BLOCKS = 256  # that wait, where the processor is busy; older ones are dropped
SILENT_AFTER_S = 0.15  # without a block, after which silence is heard
ENDS_AFTER_S = 20.0  # without a block, after which nothing is heard


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
