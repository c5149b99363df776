"""The web server: opens its port, makes links to its pages, and serves an application until it is stopped.

Links are also shown as QR codes for phones. Scripts that several pages share are in ``page``.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from vidtrans.core.errors import UsageError
from vidtrans.core.events import Stop
from vidtrans.web import LOOPBACK, MAX_MESSAGE
from vidtrans.web.access import Access, Guard
from vidtrans.web.certificate import find_certificate, link_name, machine_names

ALL_INTERFACES = ("0.0.0.0", "::")  # Host addresses with which a server listens on all network interfaces
POLL_S = 0.1  # Interval, in s, at which a stop request is checked


@dataclass(frozen=True)
class Address:
    """The address at which a server listens. ``certificates``: the folder of the https certificate; None: http."""

    host: str
    port: int
    token: str
    certificates: Path | None = None

    @property
    def is_open(self) -> bool:
        """Return whether other machines on the network can reach the server."""
        return self.host not in LOOPBACK

    @property
    def scheme(self) -> str:
        """Return the scheme of the server's links: 'https' or 'http'."""
        return "https" if self.certificates else "http"

    def names(self) -> list[str]:
        """Return the host names and addresses by which the server can be reached."""
        if not self.is_open:
            return list(LOOPBACK)
        return list(dict.fromkeys([*machine_names(), *([] if self.host in ALL_INTERFACES else [self.host])]))


class WebServer:
    """A web server whose port is open from construction on.

    Raises UsageError if the port cannot be opened, OSError.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._names = address.names()
        folder = address.certificates
        self._certificate = find_certificate(folder, self._names) if folder else (None, None)
        self._socket = _open_socket(address.host, address.port)
        self.port: int = self._socket.getsockname()[1]

    def link(self, path: str = "/", *, outward: bool = False, kiosk: bool = False) -> str:
        """Return the URL of a page, with the token.

        ``outward``: for other devices on the network. ``kiosk``: the page without controls.
        """
        name = "127.0.0.1"
        if self.address.host not in (*ALL_INTERFACES, *LOOPBACK) or self.address.host == "::1":
            name = self.address.host
        elif outward and self.address.is_open:
            name = link_name(self._names)
        name = f"[{name}]" if ":" in name else name
        return f"{self.address.scheme}://{name}:{self.port}{path}?token={self.address.token}{'&kiosk' if kiosk else ''}"

    def run(self, app: ASGIApp, stop: Stop, session: AbstractAsyncContextManager[None] | None = None) -> None:
        """Serve the application ``app`` behind the access control until ``stop`` is requested.

        ``session`` is entered in the event loop before the first request, and left while connections are still open.
        """
        asyncio.run(self._serve(app, stop, session or contextlib.nullcontext()))

    async def _serve(self, app: ASGIApp, stop: Stop, session: AbstractAsyncContextManager[None]) -> None:
        """Serve ``app`` behind the access control in the event loop until ``stop`` is requested."""
        access = Access.for_server(self.address.token, self._names, self.port, self.address.scheme)
        certificate, key = self._certificate
        config = uvicorn.Config(
            Guard(app, access),
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE,
            ws_per_message_deflate=False,  # Pictures are already compressed
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            timeout_graceful_shutdown=2,
            ssl_certfile=certificate,
            ssl_keyfile=key,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # A request could claim to come from this machine
            lifespan="off",
        )
        server = _QuietServer(config)
        serving = asyncio.create_task(server.serve([self._socket]))
        try:
            async with session:
                while not stop.requested and not serving.done():
                    await asyncio.sleep(POLL_S)
        finally:  # Also after KeyboardInterrupt, if no handler captures it
            server.should_exit = True
            await serving


class _QuietServer(uvicorn.Server):
    """A uvicorn server that leaves signal handling to the command line."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the handlers of signals unchanged."""
        yield


def _open_socket(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket at a host and port. Raises UsageError if the port is not free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    # On Windows, SO_REUSEADDR would share the port with another program, so the exclusive option is used there.
    option = getattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_REUSEADDR)
    opened.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        opened.bind((host, port))
        opened.listen(64)
    except (OSError, OverflowError) as error:
        opened.close()
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{host}:{port}", str(why).lower(), "choose another --port or --host") from None
    opened.setblocking(False)
    return opened


def qr_svg(link: str) -> bytes:
    """Return the QR code of a link as the content of an SVG file."""
    import segno

    file = io.BytesIO()
    segno.make(link, error="m").save(file, kind="svg", scale=4, border=3, light="white")
    return file.getvalue()


def qr_text(link: str) -> str:
    """Return the QR code of a link as text for a terminal."""
    import segno

    text = io.StringIO()
    segno.make(link, error="l").terminal(text, compact=True)
    return text.getvalue()


def shared_files() -> Mount:
    """Return the route to the scripts that several pages share."""
    return Mount("/shared", StaticFiles(directory=Path(__file__).parent / "page"))
