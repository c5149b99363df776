"""The thread that reads OSC packets and hands their last values to the event loop, as soon as it is free."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import suppress

from vidtrans.core.errors import UsageError
from vidtrans.live.hub import Hub
from vidtrans.live.osc.osc_desk import OscDesk
from vidtrans.live.osc.osc_endpoint import OscEndpoint, is_near
from vidtrans.live.osc.osc_messages import OscMessage

PACE_S = 1 / 120  # between two moments at which messages are carried out
GATHER_S = 0.002  # between two reads while messages wait to be carried out
MOST_PACKETS, MOST_BYTES = 256, 1 << 17  # of one read
FLOOD_S = (
    1 / 60
)  # after a read of so many: a flood costs a few percent of a core, and what the buffer cannot hold is lost
BUFFER = 1 << 17  # bytes of the system's buffer: a few reads, so that values of a flood are not old
LARGEST_PACKET = 1 << 16
TELL_S = 0.25  # between two looks at what pages are told, and at the end


class OscListener:
    """Listens at a UDP port from construction on; must be closed. Raises UsageError if the port cannot be opened."""

    def __init__(self, endpoint: OscEndpoint, hub: Hub, desk: OscDesk) -> None:
        self._hub, self._desk = hub, desk
        self._socket = _open(endpoint)
        self._is_open, self._is_closed = endpoint.is_open, False
        self._is_busy = False  # the event loop has not carried out the messages before
        self._thread = threading.Thread(target=self._run, name="osc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and close the port."""
        self._is_closed = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        inbox, next_s, told_s = self._desk.inbox, 0.0, 0.0
        while not self._is_closed:
            now_s = time.monotonic()
            due_s = inbox.due_s(time.time())
            if due_s == 0 and now_s >= next_s and not self._is_busy:
                next_s = now_s + PACE_S
                self._hand_over(inbox.take(time.time()))
            elif due_s == 0:
                time.sleep(GATHER_S)  # many are read at once: the other threads have the time
                self._read(0)
            else:
                self._read(TELL_S if due_s is None else min(TELL_S, due_s))
            if now_s - told_s >= TELL_S:
                told_s = now_s
                self._in_loop(self._tell)

    def _read(self, timeout_s: float) -> None:
        """Wait for packets, and read those that are there, as many as are read at once."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return
        count = size = 0
        now_s, inbox = time.time(), self._desk.inbox
        while count < MOST_PACKETS and size < MOST_BYTES:
            try:
                packet, sender = self._socket.recvfrom(LARGEST_PACKET)
            except BlockingIOError:
                return
            except OSError:
                count += 1  # on Windows: a packet was too large, or the program that sent it is gone
                continue
            count, size = count + 1, size + len(packet)
            if not self._is_open or is_near(sender[0]):
                inbox.push(packet, now_s)
            else:
                inbox.counts.dropped += 1
        time.sleep(FLOOD_S)

    def _hand_over(self, messages: list[OscMessage]) -> None:
        if messages:
            self._is_busy = True
            self._in_loop(self._carry_out, messages)

    def _carry_out(self, messages: list[OscMessage]) -> None:
        try:
            self._desk.carry_out(messages)
        finally:
            self._is_busy = False

    def _tell(self) -> None:
        self._desk.refresh()
        self._desk.tell()

    def _in_loop(self, function: object, *arguments: object) -> None:
        """Call a function in the event loop's thread; before it runs, and when it has ended, do nothing."""
        loop = self._hub.loop
        if loop is None or loop.is_closed():
            self._is_busy = False
            return
        with suppress(RuntimeError):  # it was closed just now
            loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]


def _open(endpoint: OscEndpoint) -> socket.socket:
    family, address = endpoint.resolve("--osc")
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # on Windows: not shared with another program
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise UsageError(f"--osc {endpoint}", str(error.strerror or error).lower(), "choose another port") from None
    opened.setblocking(False)
    return opened
