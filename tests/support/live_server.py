"""A live server in this process, and programs that speak to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from processes import HANG_S, until
from websockets.sync.client import ClientConnection, connect

from vidtrans.core.events import Event, Note, Stop
from vidtrans.live.app import serve
from vidtrans.live.hub import Hub
from vidtrans.live.live_controls import SavedControls
from vidtrans.live.live_session import open_session
from vidtrans.live.protocol import FrameMessage, PictureMessage, pack_frame, parse_picture
from vidtrans.live.stage_connections import StageConnections
from vidtrans.live.stage_settings import StageSettings
from vidtrans.live.stage_worker import StageWorker
from vidtrans.models.loaded_model import LoadedModel, load_model
from vidtrans.pipeline.render import RenderingSettings
from vidtrans.session import Context
from vidtrans.web.server import Address, WebServer

TOKEN = "a-token-of-the-tests"
TIMEOUT_S = HANG_S


def png(picture: np.ndarray) -> bytes:
    """Return a picture, (H, W, 3) uint8 RGB, as a PNG file."""
    return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()


def pixels(file: bytes) -> np.ndarray:
    """Return the picture of a file, (H, W, 3) uint8 RGB."""
    return cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def flat(level: int, size: tuple[int, int] = (32, 24)) -> np.ndarray:
    """Return a grey picture of (width, height)."""
    return np.full((size[1], size[0], 3), level, np.uint8)


@dataclass
class Running:
    """A server that runs. ``notes``: what it has reported."""

    server: WebServer
    hub: Hub
    worker: StageWorker
    notes: list[str] = field(default_factory=list)

    def link(self, path: str = "/") -> str:
        """Return the address of a page, with its token."""
        return self.server.link(path)

    @contextmanager
    def program(self, query: str = "") -> Iterator[Program]:
        """Connect, as a program that is no page."""
        address = self.link("/ws").replace("http", "ws", 1) + query
        with connect(address, max_size=None, open_timeout=TIMEOUT_S) as socket:
            yield Program(socket)

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something is true, and return it."""
        return until(condition)


class Program:
    """A connection, with what came over it and was not asked for yet."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self._sequence = socket, 0
        self._waiting: list[PictureMessage | dict[str, Any]] = []

    def send(self, **message: Any) -> None:
        """Send a message."""
        self.socket.send(json.dumps(message))

    def frame(self, picture: np.ndarray | bytes, kind: Any = "picture") -> int:
        """Send a frame, and return its number."""
        self._sequence += 1
        file = picture if isinstance(picture, bytes) else png(picture)
        self.socket.send(pack_frame(FrameMessage(kind, self._sequence, float(self._sequence), file)))
        return self._sequence

    def picture(self, sequence: int | None = None) -> PictureMessage:
        """Return the next picture or acknowledgement, or that of one frame."""
        return self._next(lambda m: isinstance(m, PictureMessage) and sequence in (None, m.sequence))

    def message(self, kind: str, **values: Any) -> dict[str, Any]:
        """Return the next message of a type that has these values."""
        wanted = {"type": kind, **values}
        return self._next(lambda m: isinstance(m, dict) and wanted.items() <= m.items())

    def state(self, **controls: Any) -> dict[str, Any]:
        """Return the next state with these controls."""
        return self._next(
            lambda m: isinstance(m, dict) and m["type"] == "state" and controls.items() <= m["controls"].items()
        )

    def _next(self, is_wanted: Callable[[Any], bool]) -> Any:
        for at, message in enumerate(self._waiting):
            if is_wanted(message):
                del self._waiting[: at + 1]
                return message
        while True:
            data = self.socket.recv(timeout=TIMEOUT_S)
            message = json.loads(data) if isinstance(data, str) else parse_picture(data)
            if is_wanted(message):
                self._waiting.clear()
                return message
            self._waiting.append(message)


def load(*names: str | Path) -> dict[str, LoadedModel]:
    """Return models by name."""
    loaded = [load_model(str(name), Context()) for name in names]
    return {model.name: model for model in loaded}


@contextmanager
def serving(
    models: Mapping[str, LoadedModel] | Sequence[str] = ("identity",),
    *,
    prepare: Callable[[Hub, StageWorker], None] = lambda hub, worker: None,
    port: int = 0,
    stage: StageSettings | None = None,
) -> Iterator[Running]:
    """Serve models from a thread of this process, with ``stage``'s connections.

    ``prepare`` may change the hub and the worker before that.
    """
    notes: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    loaded = models if isinstance(models, Mapping) else load(*models)
    context = Context(device="cpu", report=report)
    saved = SavedControls(Path("presets.json"))
    hub, worker = open_session(loaded, RenderingSettings(), saved, Path("recordings"), context)
    prepare(hub, worker)
    server, stop = WebServer(Address("127.0.0.1", port, TOKEN)), Stop()
    connections = StageConnections(hub, stage or StageSettings())
    thread = threading.Thread(target=serve, args=(server, hub, stop, connections), daemon=True)
    thread.start()
    try:
        yield Running(server, hub, worker, notes)
    finally:
        stop.request(130)
        thread.join(TIMEOUT_S)
        connections.close()
        worker.close()
        assert not thread.is_alive()
