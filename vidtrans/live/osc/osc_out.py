"""The thread that sends the changes of a live session by OSC: controls, sound, pictures."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from vidtrans.curves.expressions import Signal
from vidtrans.live.hub import Hub
from vidtrans.live.osc.osc_addresses import ROOT, TYPES, OscAddress, reports
from vidtrans.live.osc.osc_desk import OscDesk
from vidtrans.live.osc.osc_endpoint import OscEndpoint
from vidtrans.live.osc.osc_messages import Argument, OscMessage, pack_message

RATE_HZ = 60.0  # at which changes are looked for: no address is sent more often
RATE_S = 1.0  # over which pictures per second are counted
LOUDNESS, ONSET, BEAT = (Signal(name) for name in ("loudness", "onset", "beat"))


class OscChanges:
    """Finds what changed since the last call, as packed messages; one thread calls it.

    A value that a message moves is sent once, when it has rested: so two programs that send to each other, and
    motorised faders, come to rest. Values that are equal in 32 bits are the same.
    """

    def __init__(self, hub: Hub, desk: OscDesk, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub, self._desk, self._clock = hub, desk, clock
        self._sent: dict[str, Argument] = {}
        self._counted, self._counted_s, self._fps = 0, clock(), 0.0
        hub.sound.watch_always({LOUDNESS, ONSET, BEAT})

    def step(self) -> list[bytes]:
        """Return the messages of all values that changed, and of the list of addresses where it was asked for."""
        found: list[bytes] = []
        if self._desk.listing:
            self._desk.listing = False
            self._sent.clear()
            found += [pack_message(_description(one)) for one in (*self._desk.addresses.values(), *reports())]
        values = self._desk.values() | self._reports()
        self._sent = {path: value for path, value in self._sent.items() if path in values}
        for path, value in values.items():
            value = float(np.float32(value)) if isinstance(value, float) else value
            if value != self._sent.get(path) and not self._desk.is_moving(path):
                self._sent[path] = value
                found.append(pack_message(OscMessage(path, (value,))))
        return found

    def _reports(self) -> dict[str, Argument]:
        hub, now_s = self._hub, self._clock()
        count, passed_s = hub.worker.num_painted, now_s - self._counted_s
        if passed_s >= RATE_S:
            self._fps = round((count - self._counted) / passed_s, 1)
            self._counted, self._counted_s = count, now_s
        found: dict[str, Argument] = {f"{ROOT}frame": count, f"{ROOT}fps": self._fps}
        heard = hub.sound.values
        if LOUDNESS in heard:
            found[f"{ROOT}heard/loudness"] = float(heard[LOUDNESS])
            found[f"{ROOT}heard/onset"] = float(heard.get(ONSET, 0.0))
            found[f"{ROOT}heard/beat"] = int(heard.get(BEAT, 0.0))
        return found


class OscOut:
    """Sends changes to an endpoint until it is closed. Nobody has to listen there. Raises UsageError."""

    def __init__(self, endpoint: OscEndpoint, hub: Hub, desk: OscDesk) -> None:
        family, self._target = endpoint.resolve("--osc-out")
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._changes = OscChanges(hub, desk)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="osc out", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._closed.wait(1 / RATE_HZ):
            for packet in self._changes.step():
                with suppress(OSError):  # nobody listens, or the network is away for a while
                    self._socket.sendto(packet, self._target)


def _description(one: OscAddress) -> OscMessage:
    """Return the message of the list: address, type, lowest and highest value, and words."""
    words = [word for word in one.words if word]
    return OscMessage(f"{ROOT}list", (one.path, TYPES[one.kind], float(one.low), float(one.high), *words[:28]))
