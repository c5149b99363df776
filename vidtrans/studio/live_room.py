"""The live session of a studio: at most one at a time, served below /live, with models and looks that a page chose."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from vidtrans.core.errors import DeviceError, UsageError, VidtransError
from vidtrans.core.events import Event, Note, Report
from vidtrans.core.settings import Table
from vidtrans.core.system import command_line
from vidtrans.web.server import WebServer

PATH = "/live"
PROBLEM_S = 15.0  # seconds for which a problem that the session reported is shown
# What an address of the session answers while there is none: it looks again every three seconds, as a projector's page
# that was opened before the session.
OFF = HTMLResponse(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="dark">'
    '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="3">'
    "<title>vidtrans live: off</title></head><body><h1>Live is off</h1>"
    "<p>Go live in the studio: this page follows by itself.</p></body></html>",
    503,
)


class OpenSession(Protocol):
    """The interface of a live session."""

    def app(self, phone_link: Callable[[], str]) -> ASGIApp:
        """Return its application; called in the event loop."""

    def facts(self) -> Table:
        """Return what it does; ``alive``: whether it can paint."""

    async def close(self) -> None:
        """Complete a recording, and end it."""


class LiveCommand(Protocol):
    """The interface of the command that opens a session."""

    def schema(self) -> Table:
        """Return its JSON Schema."""

    def line(self, values: Mapping[str, object]) -> list[str]:
        """Return the words of the command line. Raises UsageError."""

    def open(self, values: Mapping[str, object], report: Report) -> OpenSession:
        """Open a session; called in a thread, as it takes seconds. Raises VidtransError."""


class LiveRoom:
    """The session that runs, if there is one, and an ASGI application for its pages.

    ``command``: opens sessions; None: the studio has none. ``server``: the server of the studio, for links.
    """

    server: WebServer | None = None

    def __init__(self, command: LiveCommand | None, report: Report) -> None:
        self._command, self._report = command, report
        self._turn = asyncio.Lock()
        self._session: OpenSession | None = None
        self._app: ASGIApp | None = None
        self._values: Mapping[str, object] = {}
        self._line = ""
        self._opening = ""  # the line of a session that is being opened
        self._problem = ("", 0.0)  # and when it was reported

    @property
    def command(self) -> LiveCommand:
        """Return the command. Raises UsageError if this studio has none."""
        if self._command is None:
            raise UsageError("live", "this studio offers no live session", "use vidtrans live")
        return self._command

    def line(self, values: Mapping[str, object]) -> str:
        """Return the command line of ``values``. Raises UsageError."""
        return command_line(["vidtrans", *self.command.line(values)])

    def table(self) -> Table:
        """Return the state, as a page receives it."""
        facts = self._session.facts() if self._session else {}
        text, reported = self._problem
        problem = text if time.monotonic() - reported < PROBLEM_S else ""
        if facts and not facts["alive"]:
            problem = "live: its painting has ended — stop it, and go live again"
        state = "opening" if self._opening else "on" if self._session else "off"
        return {
            "state": state,
            "line": self._opening or (self._line if facts else ""),
            "problem": problem,
            "values": dict(self._values),
            **facts,
        }

    async def start(self, values: Mapping[str, object]) -> None:
        """Open a session in place of the one that runs, which goes on until then, and if this fails.

        Raises VidtransError.
        """
        line = self.line(values)  # raises before anything is opened
        async with self._turn:
            self._opening = line
            try:
                session = await asyncio.to_thread(self.command.open, dict(values), self._hear)
            except VidtransError:
                raise
            except Exception as error:  # such as the memory of a device that is full
                self._report(Note(f"live: {type(error).__name__}: {error}", "warning"))
                why = f"it could not be opened ({type(error).__name__})"
                raise DeviceError("live", why, "choose another model, or see the terminal") from error
            finally:
                self._opening = ""
            former, self._session, self._app = self._session, session, session.app(self.phone_link)
            self._values, self._line, self._problem = dict(values), line, ("", 0.0)
            if former is not None:
                await former.close()

    async def stop(self) -> None:
        """End the session, if there is one."""
        async with self._turn:
            former, self._session, self._app = self._session, None, None
            if former is not None:
                await former.close()

    def phone_link(self, path: str = f"{PATH}/") -> str:
        """Return the link of a page for another device."""
        return self.server.link(path, outward=True) if self.server else path

    def _hear(self, event: Event) -> None:
        """Report an event of the session, and keep a warning for the page; of a traceback its last line."""
        self._report(event)
        if isinstance(event, Note) and event.level == "warning":
            with suppress(IndexError):
                self._problem = event.text.strip().splitlines()[-1], time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request to the pages of the session (ASGI)."""
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await OFF(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013})
