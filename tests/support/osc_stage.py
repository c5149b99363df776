"""A hub without a thread that paints, and OSC that speaks to it without a network."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from live_server import load

from vidtrans.live.hub import Hub
from vidtrans.live.live_controls import Controls, ControlState, SavedControls
from vidtrans.live.osc.osc_bridge import OscBridge
from vidtrans.live.osc.osc_messages import BUNDLE, TIME_TAG_ERA_S, Argument, OscInbox, OscMessage, pack_message
from vidtrans.models.loaded_model import LoadedModel

FROM_1900_S = 2_208_988_800  # to 1970


def pack_bundle(elements: list[bytes], at_s: float | None = None) -> bytes:
    """Return a bundle of any bytes. ``at_s``: its time in seconds since 1970; None: at once."""
    # python-osc writes no time after 2036
    tag = 1 if at_s is None else int((at_s + FROM_1900_S) % TIME_TAG_ERA_S * 2**32)
    return BUNDLE + struct.pack(">Q", tag) + b"".join(struct.pack(">I", len(one)) + one for one in elements)


class StillWorker(SimpleNamespace):
    """A worker that paints nothing, and counts changes."""

    num_changes = num_painted = 0
    key_log = None

    def set_controls(self, state: ControlState) -> None:
        """Count a change of controls."""
        self.num_changes += 1

    def set_dreaming(self, is_on: bool) -> None:
        """Begin no dream."""


class OscStage:
    """A session as OSC sees it. ``at_s``: the time on its clock, in seconds since 1970."""

    def __init__(self, models: Mapping[str, LoadedModel] | None = None) -> None:
        found = dict(models or load("identity", "flower"))
        self.notes: list[str] = []
        self.hub = Hub(
            found,
            ControlState(Controls(next(iter(found)))),
            SavedControls(Path("presets.json")),
            Path("takes"),
            lambda event: self.notes.append(event.text),
        )
        self.hub.worker = StillWorker()  # type: ignore[assignment]
        self.hub.pictures = SimpleNamespace(message=lambda: {"type": "hello"})  # type: ignore[assignment]
        self.inbox = OscInbox()
        self.bridge = OscBridge(self.hub, self.inbox, "127.0.0.1:9000")
        self.at_s = 1_800_000_000.0

    def send(self, address: str, *arguments: Argument) -> None:
        """Send a message to it."""
        self.push(pack_message(OscMessage(f"/vidtrans/{address}", arguments)))

    def push(self, packet: bytes) -> None:
        """Send bytes to it."""
        self.inbox.push(packet, self.at_s)

    def frame(self) -> None:
        """Carry out what has come, as once a frame."""
        self.bridge.handle_messages(self.inbox.pop_messages(self.at_s))

    def value(self, name: str) -> Any:
        """Return the value of a control."""
        return self.hub.state.table()[name]


def free_port() -> int:
    """Return a UDP port of this machine that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
