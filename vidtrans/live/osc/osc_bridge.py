"""Connection of OSC to a live session: messages become commands to its hub, and session values become messages.

A thread reads packets and passes their last values to the event loop in batches; there the bridge turns them into
commands. Another thread sends the changes of the session: controls, sound, pictures.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import numpy as np

from vidtrans.core.costs import count
from vidtrans.core.errors import UsageError
from vidtrans.core.settings import Table
from vidtrans.curves.expressions import Signal
from vidtrans.live.hub import Client, Hub
from vidtrans.live.osc.osc_addresses import OSC_TYPES, REPORTS, ROOT, OscAddress, OscMismatchError, all_addresses
from vidtrans.live.osc.osc_messages import Argument, OscInbox, OscMessage, pack_message
from vidtrans.live.stage_settings import OscEndpoint, is_local_address
from vidtrans.live.stage_worker import PaintedFrame

QUIET_S = 0.2  # Time without an OSC message to a control, in s, after which the value of the control is sent back
NOTE_INTERVAL_S = 1.0  # Shortest time, in s, between two notes in the terminal about unused messages
BATCH_INTERVAL_S = 1 / 120  # Shortest time, in s, between two batches of messages for the session
GATHER_INTERVAL_S = 0.002  # Pause, in s, between two reads of the socket while messages wait for the next batch
MAX_PACKETS, MAX_READ_BYTES = 256, 1 << 17  # Most packets and bytes in one read of the socket
# Pause after each read of the socket, in s, so that a flood takes only a few percent of a CPU core
READ_PAUSE_S = 1 / 60
SOCKET_BUFFER_BYTES = 1 << 17  # Receive buffer of the socket: small, so that in a flood of packets no old values wait
MAX_PACKET_BYTES = 1 << 16  # Largest UDP packet that is read
STATUS_INTERVAL_S = 0.25  # Shortest time, in s, between two OSC status messages to the pages
RATE_HZ = 60.0  # Rate at which changed values are sent to the OSC endpoint
FPS_WINDOW_S = 1.0  # Time, in s, over which the reported rate of painted pictures is measured
LOUDNESS, ONSET, BEAT = (Signal(name) for name in ("loudness", "onset", "beat"))


class OscClient(Client):
    """OSC as one of the connections of the session. ``problem``: the error of the last command that was refused."""

    problem = ""

    def send(self, message: Table) -> None:
        """Store the text of an error message; ignore other messages, which are for pages."""
        if message["type"] == "problem":
            self.problem = str(message["text"])


class OscBridge:
    """Converter from OSC messages to session commands, and from session values to OSC arguments.

    Messages with unknown addresses or invalid arguments change nothing.

    Attributes:
        addresses: The addresses by path; the dict is replaced, never changed, when models or presets change.
        inbox: The inbox of received packets.
        is_list_due: Whether all addresses and values are to be sent next; the sender resets it.
    """

    def __init__(self, hub: Hub, inbox: OscInbox, port: str = "") -> None:
        self._hub, self.inbox, self._port = hub, inbox, port
        self._client = OscClient(0)
        self._names: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._last_set_s: dict[str, float] = {}  # Time of the last message to each control, by path
        self._last_message = ""  # The last message that reached the session
        self._last_note_s, self._num_reported = 0.0, 0
        self._sent_status: tuple[Table, list[int]] = {}, []
        self._positions: Mapping[str, float] = {}
        self.addresses: dict[str, OscAddress] = {}
        self.is_list_due = False
        self.refresh()
        hub.watchers.append(self._store_positions)

    def refresh(self) -> None:
        """Update the OSC addresses after models or presets were added or removed."""
        names = tuple(self._hub.models), tuple(self._hub.saved.names)
        if names != self._names:
            self._names = names
            self.addresses = {address.path: address for address in all_addresses(self._hub.models, names[1])}
            self.inbox.known_addresses = frozenset(path.encode() for path in self.addresses)
            triggers = [address for address in self.addresses.values() if address.kind == "trigger"]
            self.inbox.triggers = frozenset(address.path.encode() for address in triggers)
            self._last_set_s = {path: at for path, at in self._last_set_s.items() if path in self.addresses}

    def handle_messages(self, messages: Sequence[OscMessage]) -> None:
        """Execute the OSC messages of one batch, in their order."""
        self.refresh()
        controls: dict[str, object] = {}
        for message in messages:
            address = self.addresses.get(message.address)
            if address is None:
                continue  # A model was removed meanwhile
            try:
                value = address.value(message.arguments)
            except OscMismatchError as error:
                self.inbox.count_refusal(f"{message}: {error}")
                continue
            self.inbox.counts.used += 1
            self._last_message = str(message)
            if address.is_control:
                controls[address.name] = value
                self._last_set_s[address.path] = time.monotonic()
            else:
                self._set_controls(controls)
                controls = {}
                self._run_action(address.name, value)
        self._set_controls(controls)

    def is_moving(self, path: str) -> bool:
        """Return whether the last OSC message to the control at ``path`` is younger than ``QUIET_S``."""
        return time.monotonic() - self._last_set_s.get(path, -QUIET_S) < QUIET_S

    def values(self) -> dict[str, Argument]:
        """Return the current values of all addresses that have one, by path."""
        hub = self._hub
        numbers = hub.state.numbers() | dict(self._positions)
        controls = (address for address in self.addresses.values() if address.is_control)
        values: dict[str, Argument] = {
            address.path: _as_argument(address, numbers.get(address.name)) for address in controls
        }
        states = {"record": hub.recordings.is_recording, "dream": hub.source == "dream"}
        return values | {
            address.path: states[address.name] for address in self.addresses.values() if address.name in states
        }

    def send_status(self) -> None:
        """Send the OSC status to the pages if it has changed, and print at most one note a second."""
        counts = self.inbox.counts
        status: Table = {"port": self._port, "last": self._last_message, "problem": self.inbox.problem}
        status |= {"unmatched": dict(self.inbox.unmatched), "used": counts.used, "no_address": counts.unmatched}
        status |= {"malformed": counts.malformed, "dropped": counts.dropped, "refused": counts.refused}
        recipients = status, list(self._hub.clients)
        if recipients != self._sent_status:
            self._sent_status = recipients
            self._hub.clients.send_to_pages({"type": "osc", **status})
        num_unused = counts.malformed + counts.dropped + counts.refused + counts.unmatched
        if num_unused > self._num_reported and time.monotonic() - self._last_note_s >= NOTE_INTERVAL_S:
            self._last_note_s = time.monotonic()
            self._hub.announce(self._note_text(num_unused - self._num_reported), "warning")
            self._num_reported = num_unused

    def _note_text(self, number: int) -> str:
        """Return the note for the terminal about ``number`` unused messages, with the reasons."""
        unmatched = ", ".join(self.inbox.unmatched)
        detail = f"; no such address: {unmatched}" if unmatched else ""
        problem = f"; {self.inbox.problem}" if self.inbox.problem else ""
        return f"OSC: {count(number, 'message')} not used{detail}{problem}"

    def _set_controls(self, values: dict[str, object]) -> None:
        """Set the controls that differ from ``values``; if that is refused, set those of each pairing separately."""
        now = self._hub.state.table()
        values = {name: value for name, value in values.items() if now.get(name) != value}
        if not values or self._command({"type": "controls", "values": values}):
            return
        kinds = {name.rpartition(".")[0] for name in values}
        for kind in kinds if len(kinds) > 1 else ():
            self._command(
                {"type": "controls", "values": {n: v for n, v in values.items() if n.rpartition(".")[0] == kind}}
            )

    def _run_action(self, name: str, value: object) -> None:
        """Execute an address of ACTIONS, such as "record"; ``value``: its argument."""
        if name == "list":
            self.is_list_due = True
        elif name in ("clear", "undo"):
            page = self._hub.clients.get(self._hub.holder)
            if page is not None and self._hub.source == "drawing":
                page.send({"type": "drawing", "do": name})
        elif name == "preset":
            self._command({"type": "preset", "do": "load", "name": value})
        elif name == "record":
            self._command({"type": "record", "on": value})
        elif name == "dream" and value != (self._hub.source == "dream"):
            self._command({"type": "source", "kind": "dream" if value else "none"})

    def _store_positions(self, painted: PaintedFrame) -> None:
        """Store the current values of controls that curves drive; called in the thread that paints."""
        self._positions = painted.moving

    def _command(self, message: Table) -> bool:
        """Send a command message to the session; return whether it succeeded."""
        self._client.problem = ""
        self._hub.handle_command(self._client, message)
        if problem := self._client.problem:
            self.inbox.count_refusal(problem)
        return not problem


def _as_argument(address: OscAddress, value: object) -> Argument:
    """Return a control's value as an argument of the address's type; None stands for the model's default."""
    argument = address.default if value is None else value
    if isinstance(argument, str):
        return argument
    assert isinstance(argument, int | float)
    return bool(argument) if address.kind == "switch" else int(argument) if address.kind == "whole" else float(argument)


class OscListener:
    """A listener for OSC packets at a UDP port, open from construction until it is closed. Raises UsageError."""

    def __init__(self, endpoint: OscEndpoint, hub: Hub, bridge: OscBridge) -> None:
        self._hub, self._bridge = hub, bridge
        self._socket = _open_socket(endpoint)
        self._is_open, self._is_closed = endpoint.is_open, False
        self._is_busy = False  # The event loop still processes the last batch
        self._thread = threading.Thread(target=self._run, name="osc", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_closed = True
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        """Read packets and pass their messages to the event loop in batches until closed; runs in the thread."""
        inbox, next_s, sent_s = self._bridge.inbox, 0.0, 0.0
        while not self._is_closed:
            now_s = time.monotonic()
            due_s = inbox.due_s(time.time())
            if due_s == 0 and now_s >= next_s and not self._is_busy:
                next_s = now_s + BATCH_INTERVAL_S
                self._submit(inbox.pop_messages(time.time()))
            elif due_s == 0:
                time.sleep(GATHER_INTERVAL_S)  # Reads are batched, which leaves time to other threads
                self._read(0)
            else:
                self._read(STATUS_INTERVAL_S if due_s is None else min(STATUS_INTERVAL_S, due_s))
            if now_s - sent_s >= STATUS_INTERVAL_S:
                sent_s = now_s
                self._in_loop(self._send_status)

    def _read(self, timeout_s: float) -> None:
        """Wait up to ``timeout_s`` for packets, and read those that have arrived, up to the limits of one read."""
        if not select.select([self._socket], [], [], timeout_s)[0]:
            return
        count = size = 0
        now_s, inbox = time.time(), self._bridge.inbox
        while count < MAX_PACKETS and size < MAX_READ_BYTES:
            try:
                packet, sender = self._socket.recvfrom(MAX_PACKET_BYTES)
            except BlockingIOError:
                return
            except OSError:
                count += 1  # On Windows: a packet was too large, or its sender has ended
                continue
            count, size = count + 1, size + len(packet)
            if not self._is_open or is_local_address(sender[0]):
                inbox.push(packet, now_s)
            else:
                inbox.counts.dropped += 1
        time.sleep(READ_PAUSE_S)

    def _submit(self, messages: list[OscMessage]) -> None:
        """Pass a batch of messages to the event loop's thread; the next batch waits until it is executed."""
        if messages:
            self._is_busy = True
            self._in_loop(self._handle_batch, messages)

    def _handle_batch(self, messages: list[OscMessage]) -> None:
        """Execute a batch of messages in the event loop's thread, and allow the next batch."""
        try:
            self._bridge.handle_messages(messages)
        finally:
            self._is_busy = False

    def _send_status(self) -> None:
        """Update the addresses and send the OSC status to the pages."""
        self._bridge.refresh()
        self._bridge.send_status()

    def _in_loop(self, function: object, *arguments: object) -> None:
        """Call a function in the event loop's thread; do nothing if the loop is not running."""
        loop = self._hub.loop
        if loop is None or loop.is_closed():
            self._is_busy = False
            return
        with suppress(RuntimeError):  # The loop was closed meanwhile
            loop.call_soon_threadsafe(function, *arguments)  # type: ignore[arg-type]


def _open_socket(endpoint: OscEndpoint) -> socket.socket:
    """Return a non-blocking UDP socket bound to an endpoint. Raises UsageError if the port is not free."""
    family, address = endpoint.resolve("--osc")
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # On Windows: do not share the port
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BUFFER_BYTES)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise UsageError(f"--osc {endpoint}", str(error.strerror or error).lower(), "choose another port") from None
    opened.setblocking(False)
    return opened


class OscChanges:
    """The session values that changed since the last call of ``step``, as packed OSC messages.

    One thread calls it. A value that messages change is sent once, after they pause. So two programs that send to each
    other, and motorised faders, come to rest. Values that are equal in 32 bits count as unchanged.
    """

    def __init__(self, hub: Hub, bridge: OscBridge, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub, self._bridge, self._clock = hub, bridge, clock
        self._sent: dict[str, Argument] = {}
        self._fps_count, self._fps_start_s, self._fps = 0, clock(), 0.0
        hub.sound.watch_always({LOUDNESS, ONSET, BEAT})

    def step(self) -> list[bytes]:
        """Return the OSC messages of all changed values, and of the list of addresses if it was requested."""
        packets: list[bytes] = []
        if self._bridge.is_list_due:
            self._bridge.is_list_due = False
            self._sent.clear()
            packets += [
                pack_message(_list_message(address)) for address in (*self._bridge.addresses.values(), *REPORTS)
            ]
        values = self._bridge.values() | self._reports()
        self._sent = {path: value for path, value in self._sent.items() if path in values}
        for path, value in values.items():
            value = float(np.float32(value)) if isinstance(value, float) else value
            if value != self._sent.get(path) and not self._bridge.is_moving(path):
                self._sent[path] = value
                packets.append(pack_message(OscMessage(path, (value,))))
        return packets

    def _reports(self) -> dict[str, Argument]:
        """Return the values of the addresses in REPORTS, by path: frames, rate, and the live sound if there is one."""
        hub, now_s = self._hub, self._clock()
        count, passed_s = hub.worker.num_painted, now_s - self._fps_start_s
        if passed_s >= FPS_WINDOW_S:
            self._fps = round((count - self._fps_count) / passed_s, 1)
            self._fps_count, self._fps_start_s = count, now_s
        reports: dict[str, Argument] = {f"{ROOT}frame": count, f"{ROOT}fps": self._fps}
        signals = hub.sound.values
        if LOUDNESS in signals:
            reports[f"{ROOT}heard/loudness"] = float(signals[LOUDNESS])
            reports[f"{ROOT}heard/onset"] = float(signals.get(ONSET, 0.0))
            reports[f"{ROOT}heard/beat"] = int(signals.get(BEAT, 0.0))
        return reports


class OscOut:
    """A sender of changed session values to an OSC endpoint, until it is closed. Raises UsageError.

    No program has to listen at the endpoint.
    """

    def __init__(self, endpoint: OscEndpoint, hub: Hub, bridge: OscBridge) -> None:
        family, self._target = endpoint.resolve("--osc-out")
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._changes = OscChanges(hub, bridge)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="osc out", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        """Send the changed values at ``RATE_HZ`` until closed; runs in the thread."""
        while not self._closed.wait(1 / RATE_HZ):
            for packet in self._changes.step():
                with suppress(OSError):  # Nobody listens, or the network is down
                    self._socket.sendto(packet, self._target)


def _list_message(address: OscAddress) -> OscMessage:
    """Return the message that lists an address: its path, type, lowest and highest value, and words."""
    words = [word for word in address.words if word]
    return OscMessage(
        f"{ROOT}list", (address.path, OSC_TYPES[address.kind], float(address.low), float(address.high), *words[:28])
    )
