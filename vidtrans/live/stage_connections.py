"""The connections of a live session on a stage: OSC in and out, and senders of its pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from vidtrans.core.settings import Table
from vidtrans.live.hub import Hub
from vidtrans.live.osc.osc_desk import OscDesk
from vidtrans.live.osc.osc_inbox import OscInbox
from vidtrans.live.osc.osc_listener import OscListener
from vidtrans.live.osc.osc_out import OscOut
from vidtrans.live.osc.osc_query import address_tree
from vidtrans.live.senders import check_installed
from vidtrans.live.senders.base import PictureSender
from vidtrans.live.senders.picture_sending import PictureSending, open_sender
from vidtrans.live.stage_settings import StageSettings

PUMP_S = 0.1


class StageConnections:
    """The connections of a session, open from construction on; must be closed.

    Raises UsageError where a port is not free, a host is unknown, or a sender cannot be opened.
    """

    def __init__(self, hub: Hub, settings: StageSettings) -> None:
        self._closing = ExitStack()
        self._desk: OscDesk | None = None
        self._senders: list[PictureSender] = []
        self.sendings: list[PictureSending] = []
        with ExitStack() as opened:
            for name in settings.senders:
                self._open_sender(name, hub, opened)
            if settings.osc or settings.osc_out:
                self._open_osc(settings, hub, opened)
            self._closing = opened.pop_all()

    @property
    def query(self) -> Callable[[], Table] | None:
        """Return the function that gives the addresses of OSC as a tree; None without OSC."""
        desk = self._desk
        return None if desk is None else lambda: address_tree(desk.addresses, desk.values())

    async def pump(self) -> None:
        """Do what senders want of the main thread, until it is cancelled."""
        while self._senders:
            for sender in self._senders:
                sender.pump()
            await asyncio.sleep(PUMP_S)

    def close(self) -> None:
        """End all connections."""
        self._closing.close()

    def _open_sender(self, name: str, hub: Hub, opened: ExitStack) -> None:
        sender = open_sender(name)
        sending = PictureSending(name, sender, lambda text: hub.announce(text, "warning"))
        opened.callback(sending.close)
        hub.watchers.append(sending.show)
        self._senders.append(sender)
        self.sendings.append(sending)

    def _open_osc(self, settings: StageSettings, hub: Hub, opened: ExitStack) -> None:
        self._desk = OscDesk(hub, OscInbox(), str(settings.osc or ""))
        if settings.osc:
            opened.callback(OscListener(settings.osc, hub, self._desk).close)
        if settings.osc_out:
            opened.callback(OscOut(settings.osc_out, hub, self._desk).close)


def check_libraries(senders: Sequence[str]) -> None:
    """Raise UsageError if the library of a sender is not installed."""
    for name in senders:
        check_installed(name)
