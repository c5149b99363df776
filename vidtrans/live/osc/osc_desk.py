"""OSC messages as commands to the hub of a live session, and its values as messages.

A thread reads packets and hands their last values to the event loop, as soon as it is free; there the desk turns them
into commands. Another thread sends the changes of the session: controls, sound, pictures.
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
from vidtrans.live.osc.osc_addresses import REPORTS, ROOT, TYPES, OscAddress, OscMismatchError, all_addresses
from vidtrans.live.osc.osc_messages import Argument, OscInbox, OscMessage, pack_message
from vidtrans.live.stage_settings import OscEndpoint, is_near
from vidtrans.live.stage_worker import Painted

REST_S = 0.2  # without a message to a control, after which its value is sent back
NOTE_S = 1.0  # between two notes in the terminal
PACE_S = 1 / 120  # between two moments at which messages are carried out
GATHER_S = 0.002  # between two reads while messages wait to be carried out
MOST_PACKETS, MOST_BYTES = 256, 1 << 17  # of one read
# After a read of so many: a flood costs a few percent of a core, and what the buffer cannot hold is lost.
FLOOD_S = 1 / 60
BUFFER = 1 << 17  # bytes of the system's buffer: a few reads, so that values of a flood are not old
LARGEST_PACKET = 1 << 16
TELL_S = 0.25  # between two looks at what pages are told, and at the end
RATE_HZ = 60.0  # at which changes to send are looked for: no address is sent more often
RATE_S = 1.0  # over which pictures per second are counted
LOUDNESS, ONSET, BEAT = (Signal(name) for name in ("loudness", "onset", "beat"))


class OscClient(Client):
    """OSC as a connection of the hub. ``problem``: what the hub said of the last command that it refused."""

    problem = ""

    def say(self, message: Table) -> None:
        """Keep the text of a problem; the rest is for pages."""
        if message["type"] == "problem":
            self.problem = str(message["text"])


class OscDesk:
    """Turns messages into commands. Unknown names, wrong types and numbers that are none change nothing.

    Attributes:
        addresses: The addresses by path; replaced, never changed, where models or presets change.
        inbox: Where packets come in.
        listing: Whether all addresses and values are to be sent; the sender sets it back.
    """

    def __init__(self, hub: Hub, inbox: OscInbox, port: str = "") -> None:
        self._hub, self.inbox, self._port = hub, inbox, port
        self._client = OscClient(0)
        self._names: tuple[tuple[str, ...], tuple[str, ...]] | None = None
        self._moved: dict[str, float] = {}  # when a message moved a control last, by path
        self._last = ""  # the last message that was used
        self._noted, self._reported = 0.0, 0
        self._shown: tuple[Table, list[int]] = {}, []
        self._positions: Mapping[str, float] = {}
        self.addresses: dict[str, OscAddress] = {}
        self.listing = False
        self.refresh()
        hub.watchers.append(self._watch)

    def refresh(self) -> None:
        """Take over added or removed models and presets."""
        names = tuple(self._hub.models), tuple(self._hub.saved.names)
        if names != self._names:
            self._names = names
            self.addresses = {one.path: one for one in all_addresses(self._hub.models, names[1])}
            self.inbox.known = frozenset(path.encode() for path in self.addresses)
            presses = [one for one in self.addresses.values() if one.kind == "trigger"]
            self.inbox.triggers = frozenset(one.path.encode() for one in presses)
            self._moved = {path: at for path, at in self._moved.items() if path in self.addresses}

    def carry_out(self, messages: Sequence[OscMessage]) -> None:
        """Carry out the messages of one moment, in their order."""
        self.refresh()
        controls: dict[str, object] = {}
        for message in messages:
            address = self.addresses.get(message.address)
            if address is None:
                continue  # a model was removed meanwhile
            try:
                value = address.value(message.arguments)
            except OscMismatchError as error:
                self.inbox.refuse(f"{message}: {error}")
                continue
            self.inbox.counts.used += 1
            self._last = str(message)
            if address.is_control:
                controls[address.name] = value
                self._moved[address.path] = time.monotonic()
            else:
                self._set(controls)
                controls = {}
                self._act(address.name, value)
        self._set(controls)

    def is_moving(self, path: str) -> bool:
        """Return whether messages move the control of an address now; its value is sent when it rests."""
        return time.monotonic() - self._moved.get(path, -REST_S) < REST_S

    def values(self) -> dict[str, Argument]:
        """Return the values of all addresses that have one, by path; of controls that curves move where they are."""
        hub = self._hub
        numbers = hub.state.numbers() | dict(self._positions)
        controls = (one for one in self.addresses.values() if one.is_control)
        found: dict[str, Argument] = {one.path: _as_argument(one, numbers.get(one.name)) for one in controls}
        doing = {"record": hub.recordings.is_on, "dream": hub.source == "dream"}
        return found | {one.path: doing[one.name] for one in self.addresses.values() if one.name in doing}

    def tell(self) -> None:
        """Send the pages what came since the last call, and the terminal at most one note a second."""
        counts = self.inbox.counts
        status: Table = {"port": self._port, "last": self._last, "problem": self.inbox.problem}
        status |= {"unmatched": dict(self.inbox.unmatched), "used": counts.used, "no_address": counts.unmatched}
        status |= {"malformed": counts.malformed, "dropped": counts.dropped, "refused": counts.refused}
        shown = status, list(self._hub.clients)
        if shown != self._shown:
            self._shown = shown
            self._hub.clients.say_pages({"type": "osc", **status})
        bad = counts.malformed + counts.dropped + counts.refused + counts.unmatched
        if bad > self._reported and time.monotonic() - self._noted >= NOTE_S:
            self._noted = time.monotonic()
            self._hub.announce(self._note(bad - self._reported), "warning")
            self._reported = bad

    def _note(self, number: int) -> str:
        unmatched = ", ".join(self.inbox.unmatched)
        detail = f"; no such address: {unmatched}" if unmatched else ""
        problem = f"; {self.inbox.problem}" if self.inbox.problem else ""
        return f"OSC: {count(number, 'message')} not used{detail}{problem}"

    def _set(self, values: dict[str, object]) -> None:
        """Change controls, those that differ; where they do not fit together, those of each pairing by themselves."""
        now = self._hub.state.table()
        values = {name: value for name, value in values.items() if now.get(name) != value}
        if not values or self._command({"type": "controls", "values": values}):
            return
        kinds = {name.rpartition(".")[0] for name in values}
        for kind in kinds if len(kinds) > 1 else ():
            self._command(
                {"type": "controls", "values": {n: v for n, v in values.items() if n.rpartition(".")[0] == kind}}
            )

    def _act(self, name: str, value: object) -> None:
        if name == "list":
            self.listing = True
        elif name in ("clear", "undo"):
            page = self._hub.clients.get(self._hub.holder)
            if page is not None and self._hub.source == "drawing":
                page.say({"type": "drawing", "do": name})
        elif name == "preset":
            self._command({"type": "preset", "do": "load", "name": value})
        elif name == "record":
            self._command({"type": "record", "on": value})
        elif name == "dream" and value != (self._hub.source == "dream"):
            self._command({"type": "source", "kind": "dream" if value else "none"})

    def _watch(self, painted: Painted) -> None:
        """Keep where curves have moved controls; called in the thread that paints."""
        self._positions = painted.moving

    def _command(self, message: Table) -> bool:
        """Return whether the hub carried a command out."""
        self._client.problem = ""
        self._hub.command(self._client, message)
        if problem := self._client.problem:
            self.inbox.refuse(problem)
        return not problem


def _as_argument(address: OscAddress, value: object) -> Argument:
    """Return a control's value as an argument of its type; None: that of its model."""
    found = address.default if value is None else value
    if isinstance(found, str):
        return found
    assert isinstance(found, int | float)
    return bool(found) if address.kind == "switch" else int(found) if address.kind == "whole" else float(found)


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
            found += [pack_message(_description(one)) for one in (*self._desk.addresses.values(), *REPORTS)]
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
