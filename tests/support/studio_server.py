"""A studio that runs in this process, in a folder of the test."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from processes import HANG_S, until

from vidtrans.commands.page_commands import LiveRoomCommand, PageCommands
from vidtrans.core.events import Stop
from vidtrans.studio.project_folder import ProjectFolder
from vidtrans.studio.studio_app import serve
from vidtrans.studio.studio_session import StudioSession
from vidtrans.web.server import Address, WebServer

TOKEN = "a-token-of-the-tests"


@dataclass
class RunningStudio:
    """A studio that runs."""

    server: WebServer
    session: StudioSession

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self.session.folder.root

    def link(self, path: str = "/", **query: object) -> str:
        """Return an address with the token."""
        return self.server.link(path) + "".join(f"&{k}={urllib.parse.quote(str(v))}" for k, v in query.items())

    def ask(self, path: str, message: object = None, **query: object) -> tuple[int, Any]:
        """Return the status and the JSON of an answer; with a message, of a POST."""
        body = None if message is None else json.dumps(message).encode()
        request = urllib.request.Request(self.link(path, **query), body, {"content-type": "application/json"})
        return self.send(request)

    def send(self, request: urllib.request.Request) -> tuple[int, Any]:
        """Return the status and the JSON, or the bytes, of the answer to a request."""
        try:
            with urllib.request.urlopen(request, timeout=HANG_S) as answer:
                status, data = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, data = error.code, error.read()
        try:
            return status, json.loads(data)
        except ValueError:
            return status, data

    def job(self, number: int) -> dict[str, Any]:
        """Return a job as pages receive it."""
        return next((job for job in self.session.jobs if job["number"] == number), {"state": "", "progress": {}})

    def until_ended(self, *numbers: int) -> list[dict[str, Any]]:
        """Wait until jobs have ended, and return them."""
        until(lambda: all(self._is_over(number) for number in numbers))
        return [self.job(number) for number in numbers]

    def _is_over(self, number: int) -> bool:
        found = [job for job in self.session.jobs if job["number"] == number]
        return bool(found) and found[0]["state"] in ("done", "failed", "cancelled", "paused")


@contextmanager
def studio(folder: Path, port: int = 0) -> Iterator[RunningStudio]:
    """Serve the studio of a folder from a thread of this process."""
    project, stop = ProjectFolder(folder), Stop()
    project.prepare()
    live = LiveRoomCommand(project.check_value, project.root)
    session = StudioSession(project, PageCommands(project.check_value), 1, live=live)
    server = WebServer(Address("127.0.0.1", port, TOKEN))
    thread = threading.Thread(target=serve, args=(server, session, stop), daemon=True)
    thread.start()
    try:
        yield RunningStudio(server, session)
    finally:
        stop.request(130)
        thread.join(HANG_S)
        assert not thread.is_alive()
