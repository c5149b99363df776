"""The live session of a studio: at most one at a time, at the path /live, with models that the page selects."""

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

LIVE_PATH = "/live"  # Path of the pages of the live session
PROBLEM_SHOWN_S = 15.0  # Time, in s, for which a reported problem is shown on the page
# Page shown while there is no session; it reloads every 3 s, so a page opened earlier finds the session
OFF_PAGE = HTMLResponse(
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="dark">'
    '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="3">'
    "<title>vidtrans live: off</title></head><body><h1>Live is off</h1>"
    "<p>Go live in the studio: this page follows by itself.</p></body></html>",
    503,
)


class OpenSession(Protocol):
    """The interface of an open live session."""

    def app(self, phone_link: Callable[[], str]) -> ASGIApp:
        """Return the ASGI application of the session; called in the event loop."""

    def facts(self) -> Table:
        """Return the status of the session by name; ``alive``: whether it can paint."""

    async def close(self) -> None:
        """Complete a running recording, and end the session."""


class LiveCommand(Protocol):
    """The interface of the command that opens a live session."""

    def schema(self) -> Table:
        """Return the options of the command for the page."""

    def line(self, values: Mapping[str, object]) -> list[str]:
        """Return the words of the command line for option ``values``. Raises UsageError."""

    def open(self, values: Mapping[str, object], report: Report) -> OpenSession:
        """Open a live session; called in a thread, as it takes seconds. Raises VidtransError."""


class LiveHost:
    """The current live session of a studio, if there is one, and the ASGI application for its pages.

    ``command``: opens sessions; None: the studio offers none. ``server``: the server of the studio, for links.
    """

    server: WebServer | None = None

    def __init__(self, command: LiveCommand | None, report: Report) -> None:
        self._command, self._report = command, report
        self._lock = asyncio.Lock()
        self._session: OpenSession | None = None
        self._app: ASGIApp | None = None
        self._values: Mapping[str, object] = {}
        self._line = ""
        self._opening_line = ""  # Command line of a session that is being opened
        self._problem = ("", 0.0)  # Text, and the time of the report

    @property
    def command(self) -> LiveCommand:
        """Return the command that opens sessions. Raises UsageError if this studio has none."""
        if self._command is None:
            raise UsageError("live", "this studio offers no live session", "use vidtrans live")
        return self._command

    def line(self, values: Mapping[str, object]) -> str:
        """Return the command line for option ``values``, as a shell would take it. Raises UsageError."""
        return command_line(["vidtrans", *self.command.line(values)])

    def table(self) -> Table:
        """Return the state of the live session for the page, as JSON values."""
        facts = self._session.facts() if self._session else {}
        text, reported = self._problem
        problem = text if time.monotonic() - reported < PROBLEM_SHOWN_S else ""
        if facts and not facts["alive"]:
            problem = "live: its painting has ended — stop it, and go live again"
        state = "opening" if self._opening_line else "on" if self._session else "off"
        return {
            "state": state,
            "line": self._opening_line or (self._line if facts else ""),
            "problem": problem,
            "values": dict(self._values),
            **facts,
        }

    async def start(self, values: Mapping[str, object]) -> None:
        """Open a session, then end the current one; if opening fails, the current one continues.

        Raises VidtransError.
        """
        line = self.line(values)  # Raises before anything is opened
        async with self._lock:
            self._opening_line = line
            try:
                session = await asyncio.to_thread(self.command.open, dict(values), self._forward_event)
            except VidtransError:
                raise
            except Exception as error:  # Such as a device that is out of memory
                self._report(Note(f"live: {type(error).__name__}: {error}", "warning"))
                why = f"it could not be opened ({type(error).__name__})"
                raise DeviceError("live", why, "choose another model, or see the terminal") from error
            finally:
                self._opening_line = ""
            former, self._session, self._app = self._session, session, session.app(self.phone_link)
            self._values, self._line, self._problem = dict(values), line, ("", 0.0)
            if former is not None:
                await former.close()

    async def stop(self) -> None:
        """End the current live session, if there is one."""
        async with self._lock:
            former, self._session, self._app = self._session, None, None
            if former is not None:
                await former.close()

    def phone_link(self, path: str = f"{LIVE_PATH}/") -> str:
        """Return the link of a page of the session for another device."""
        return self.server.link(path, outward=True) if self.server else path

    def _forward_event(self, event: Event) -> None:
        """Report an event of the session, and store the last line of a warning for the page."""
        self._report(event)
        if isinstance(event, Note) and event.level == "warning":
            with suppress(IndexError):
                self._problem = event.text.strip().splitlines()[-1], time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request (ASGI) to the pages of the live session, or answer that there is none."""
        if self._app is not None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await OFF_PAGE(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013})
