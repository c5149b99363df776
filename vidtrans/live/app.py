"""The web application of a live session: the page, the bare output, the WebSocket, posted frames, a QR code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import cast

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from vidtrans.core.errors import DeviceError, MediaError, UsageError, VidtransError
from vidtrans.core.events import Stop
from vidtrans.core.settings import Table
from vidtrans.live.hub import Client, Hub
from vidtrans.live.protocol import (
    CONTENT_TYPES,
    FRAME_KINDS,
    JPEG_QUALITY,
    FrameKind,
    FrameMessage,
    is_sound_message,
    parse_frame,
    parse_sound,
)
from vidtrans.live.stage_connections import StageConnections
from vidtrans.live.stage_worker import StageWorker
from vidtrans.video.images.picture import encode_jpeg, encode_png
from vidtrans.web import MAX_MESSAGE
from vidtrans.web.server import WebServer, qr_svg, shared_files

PAGE_FOLDER = Path(__file__).parent / "page"  # Folder of the files of the live page
PAINT_TIMEOUT_S = 120.0  # Longest wait, in s, for the picture of a frame posted over HTTP


def serve(server: WebServer, hub: Hub, stop: Stop, connections: StageConnections | None = None) -> None:
    """Serve the live page until ``stop`` is requested; then complete a running recording."""

    @asynccontextmanager
    async def session() -> AsyncIterator[None]:
        """Run the event loops of picture senders while the server runs; then complete a running recording."""
        hub.loop = asyncio.get_running_loop()
        pump = asyncio.ensure_future(connections.pump()) if connections else None
        try:
            yield
        finally:
            if pump is not None:
                pump.cancel()
            await hub.stop_recording()

    query = connections.address_query if connections else None
    server.run(make_app(hub, lambda: server.link(outward=True), query), stop, session())


def make_app(hub: Hub, phone_link: Callable[[], str], osc: Callable[[], Table] | None = None) -> ASGIApp:
    """Return the ASGI application of a live session.

    It also works below another path, because the addresses in its page are relative. ``phone_link``: returns the link
    for the QR code. ``osc``: returns the OSC addresses as a tree; None: OSC is off.
    """

    async def page(request: Request) -> Response:
        """Return the live page."""
        return FileResponse(PAGE_FOLDER / "index.html")

    async def output(request: Request) -> Response:
        """Return the page that shows only the painted pictures, without controls."""
        return FileResponse(PAGE_FOLDER / "output.html")

    async def code(request: Request) -> Response:
        """Return a QR code of the link for phones, as SVG."""
        return Response(qr_svg(phone_link()), media_type="image/svg+xml")

    async def addresses(request: Request) -> Response:
        """Return the OSC addresses as an OSCQuery tree, or status 404 without OSC."""
        return JSONResponse(osc()) if osc else PlainTextResponse("OSC is off: start with --osc PORT\n", 404)

    routes = [
        Route("/", page),
        Route("/output", output),
        Route("/phone.svg", code),
        Route("/osc", addresses),
        Route("/frame", partial(_frame, hub), methods=["POST"]),
        Route("/look", partial(_look, hub), methods=["POST"]),
        WebSocketRoute("/ws", partial(_connection, hub)),
        Mount("/page", StaticFiles(directory=PAGE_FOLDER)),
        shared_files(),
    ]
    return Starlette(routes=routes)


async def _frame(hub: Hub, request: Request) -> Response:
    """Paint the picture file in the body of a request; return a PNG file if the request accepts PNG, else JPEG."""
    kind = request.query_params.get("kind", "picture")
    if kind not in FRAME_KINDS.values():
        return PlainTextResponse(f"kind must be one of {', '.join(FRAME_KINDS.values())}\n", 400)
    if isinstance(file := await _picture_file(request), Response):
        return file
    message = FrameMessage(cast(FrameKind, kind), 0, 0.0, file)
    try:
        painted = await asyncio.wait_for(hub.paint_for_program(message), PAINT_TIMEOUT_S)
    except (UsageError, MediaError) as error:
        return PlainTextResponse(f"{error}\n", 409 if isinstance(error, UsageError) else 400)
    except (DeviceError, TimeoutError) as error:
        return PlainTextResponse(f"{error or 'nothing can be painted now'}\n", 503)
    if request.headers.get("accept", "").startswith("image/png"):
        return Response(await asyncio.to_thread(encode_png, painted.picture), media_type="image/png")
    return Response(await asyncio.to_thread(encode_jpeg, painted.picture, JPEG_QUALITY), media_type="image/jpeg")


async def _look(hub: Hub, request: Request) -> Response:
    """Add a model predicted from the style picture in the body of a request, select it, and return its name."""
    if isinstance(file := await _picture_file(request), Response):
        return file
    try:
        return JSONResponse({"model": await hub.add_picture(file, request.query_params.get("name", ""))})
    except (UsageError, MediaError) as error:
        return PlainTextResponse(f"{error}\n", 409 if isinstance(error, UsageError) else 400)
    except (VidtransError, OSError) as error:  # Such as a full disk
        return PlainTextResponse(f"{error}\n", 503)


async def _picture_file(request: Request) -> bytes | Response:
    """Return the picture file in the body of a request, or the response for an invalid request."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in CONTENT_TYPES:
        return PlainTextResponse(f"the Content-Type must be one of {', '.join(CONTENT_TYPES)}\n", 415)
    body = bytearray()
    try:
        async for part in request.stream():
            body += part
            if len(body) > MAX_MESSAGE:
                return PlainTextResponse(f"a picture has at most {MAX_MESSAGE} bytes\n", 413)
    except ClientDisconnect:
        return Response(status_code=400)
    return bytes(body)


async def _connection(hub: Hub, socket: WebSocket) -> None:
    """Serve a WebSocket connection until it ends; this task receives messages, and a second one sends them."""
    await socket.accept()
    try:
        client = hub.join(is_program=socket.query_params.get("role") == "program")
    except UsageError as error:
        await socket.close(1013, str(error)[:120])
        return
    sender = asyncio.create_task(_send(client, socket))
    try:
        await _receive(hub, client, socket)
    finally:
        hub.leave(client)
        sender.cancel()
        with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, OSError):
            await sender


async def _receive(hub: Hub, client: Client, socket: WebSocket) -> None:
    """Handle the commands, sound blocks and frames of a connection until it ends."""
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        try:
            if (data := message.get("bytes")) is None:
                hub.handle_command(client, _parse(message.get("text") or ""))
            elif is_sound_message(data):
                hub.sound.add_block(client.number, parse_sound(data))
            else:
                hub.submit_frame(client, parse_frame(data))
        except UsageError as error:
            client.send({"type": "problem", "text": str(error)})


def _parse(text: str) -> dict[str, object]:
    """Parse the text of a message as a JSON object. Raises UsageError."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise UsageError("message", "it is not a JSON object", "see vidtrans.live.hub")
    return message


async def _send(client: Client, socket: WebSocket) -> None:
    """Send the queued messages of a connection until the connection or the session ends."""
    with suppress(WebSocketDisconnect, RuntimeError, OSError):  # Disconnected; ``_receive`` ends for the same reason
        while not client.is_closed:
            for message in await client.messages():
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_text(json.dumps(message))
        await socket.close(1012, "the session has ended")


class LivePages:
    """The web pages of an open session. ``release`` frees the memory of the models after the session."""

    def __init__(self, hub: Hub, worker: StageWorker, release: Callable[[], None]) -> None:
        self.hub, self.worker, self._release = hub, worker, release

    def app(self, phone_link: Callable[[], str]) -> ASGIApp:
        """Return the ASGI application; call it in the event loop. ``phone_link``: returns the link of the QR code."""
        self.hub.loop = asyncio.get_running_loop()
        return make_app(self.hub, phone_link)

    def facts(self) -> Table:
        """Return the status of the session: models, connections, painted frames, source, and recording."""
        return {
            "models": list(self.hub.models),
            "connections": len(self.hub.clients),
            "frames": self.worker.num_painted,
            "source": self.hub.source,
            "recording": self.hub.recordings.is_recording,
            "alive": self.worker.is_alive,
        }

    async def close(self) -> None:
        """Complete a recording, end all connections, stop the thread that paints, and free the models."""
        await self.hub.stop_recording()
        self._end_connections()
        await asyncio.to_thread(self.worker.close)
        self._end_connections()  # Connections that were opened meanwhile
        self._release()

    def _end_connections(self) -> None:
        """End all WebSocket connections; their pages then try to connect again."""
        for client in list(self.hub.clients.values()):
            client.close()
