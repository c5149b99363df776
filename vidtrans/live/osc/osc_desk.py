"""OSC messages as commands to the hub of a live session, and its values as messages; in the event loop's thread."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from vidtrans.core.costs import count
from vidtrans.core.settings import Table
from vidtrans.live.clients import Client
from vidtrans.live.hub import Hub
from vidtrans.live.osc.osc_addresses import OscAddress, OscMismatchError, all_addresses
from vidtrans.live.osc.osc_inbox import OscInbox
from vidtrans.live.osc.osc_messages import Argument, OscMessage
from vidtrans.live.paint_jobs import Painted

REST_S = 0.2  # without a message to a control, after which its value is sent back
NOTE_S = 1.0  # between two notes in the terminal


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
