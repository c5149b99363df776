"""A connection's outbox: the newest picture, acknowledgements of dropped frames, and text messages."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vidtrans.core.settings import Table
from vidtrans.live.protocol import DROPPED, PictureMessage, pack_picture

MOST_WAITING = 256  # waiting messages of each kind for a connection that does not read; older messages are lost


@dataclass
class Client:
    """One connection, of a page or a program. ``shows_input``: it also gets the network's input as a picture.

    Only the newest picture waits to be sent, so a connection that does not read delays nothing and uses little memory.
    """

    number: int
    is_program: bool = False
    shows_input: bool = False
    _picture: tuple[PictureMessage, float] | None = None
    _dropped: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    _texts: deque[Table] = field(default_factory=lambda: deque(maxlen=MOST_WAITING))
    _state: Table | None = None
    _moving: Table | None = None  # where the controls are that curves move
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False

    def say(self, message: Table) -> None:
        """Queue a message. Of the messages of type ``state`` only the newest is sent."""
        if message["type"] == "state":
            self._state = message
        else:
            self._texts.append(message)
        self._woken.set()

    def show(self, picture: PictureMessage, received: float, moving: Mapping[str, float] | None = None) -> None:
        """Queue a picture in place of an unsent one; its frame was ``received`` at a time of ``time.perf_counter``.

        ``moving``: the values of the controls that curves move, by name, for a page.
        """
        if moving and not self.is_program:
            self._moving = {"type": "moving", "values": dict(moving)}
        if self._picture is not None and self._picture[0].sender == self.number:
            self.drop(self._picture[0].sequence, self._picture[0].timestamp)
        self._picture = picture, received
        self._woken.set()

    def drop(self, sequence: int, timestamp: float) -> None:
        """Queue the acknowledgement of a frame of this connection that was dropped."""
        self._dropped.append((sequence, timestamp))
        self._woken.set()

    def close(self) -> None:
        """End the connection, because its session ends; a page tries to connect again."""
        self.is_closed = True
        self._woken.set()

    async def messages(self) -> list[Table | bytes]:
        """Wait for queued messages, and return them in the order to send: tables as JSON texts, bytes as they are."""
        await self._woken.wait()
        self._woken.clear()
        found: list[Table | bytes] = list(self._texts)
        self._texts.clear()
        if self._state is not None:
            found.append(self._state)
            self._state = None
        if self._moving is not None:
            found.append(self._moving)
            self._moving = None
        found += [pack_picture(PictureMessage(DROPPED, n, t, self.number)) for n, t in self._dropped]
        self._dropped.clear()
        if self._picture is not None:
            picture, received = self._picture
            self._picture = None
            found.append(pack_picture(self._for_this(picture, received)))
        return found

    def _for_this(self, picture: PictureMessage, received: float) -> PictureMessage:
        server_ms = 1e3 * (time.perf_counter() - received)
        model_input = picture.model_input if self.shows_input else b""
        return replace(picture, server_ms=server_ms, model_input=model_input)


class Clients(dict[int, Client]):
    """The connections of a session, by their numbers."""

    def say(self, message: Table) -> None:
        """Queue a message to all connections."""
        for client in self.values():
            client.say(message)

    def say_pages(self, message: Table) -> None:
        """Queue a message to the connections that are no programs."""
        for client in self.values():
            if not client.is_program:
                client.say(message)
