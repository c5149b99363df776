"""Who may speak to the server: every request's Host, Origin and token are checked before anything else is done.

A page of another site can make a browser send requests here. It cannot know the token; its Origin is its own; and where
it has its name point at this machine (DNS rebinding), the Host is that name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidtrans.live.protocol import MAX_MESSAGE

PUBLIC = "/page/"  # scripts and styles, in which nothing is secret
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), display-capture=(self), fullscreen=(self), midi=(self), microphone=(), "
    "geolocation=()",
    "cache-control": "no-store",
}


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Access:
    """``hosts``: the names that the server goes by, as in a Host header, with the port. ``scheme``: http or https."""

    token: str
    hosts: frozenset[str]
    scheme: str

    @classmethod
    def of(cls, token: str, names: Iterable[str], port: int, scheme: str) -> Access:
        """Return the access of a server with these names and addresses, at a port."""
        usual = {"http": 80, "https": 443}[scheme] == port
        bracketed = [f"[{name}]" if ":" in name else name.lower() for name in names]
        hosts = {f"{name}:{port}" for name in bracketed} | (set(bracketed) if usual else set())
        return cls(token, frozenset(hosts), scheme)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the reason with which a request is refused; None where it may go on."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return 421, "this server does not go by that name; open the link that was printed"
        if origins and origins != [f"{self.scheme}://{hosts[0].lower()}"]:
            return 403, "another site may not speak to this server"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "another site may not speak to this server"
        if scope["path"].startswith(PUBLIC) and scope["type"] == "http":
            return None
        return None if self._knows_token(scope, headers) else (403, "the link lacks its token; open the one printed")

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20).get("token", [])
        if (authorization := headers.get("authorization", "")).startswith("Bearer "):
            given = [authorization.removeprefix("Bearer ")]
        return len(given) == 1 and secrets.compare_digest(given[0].encode(), self.token.encode())


class Guard:
    """Asks ``access`` before the ``app``, limits the size of bodies, and adds the headers that browsers go by."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            refusal = self._access.refusal(scope)
        except ValueError:  # a query that is none
            refusal = 400, "the address cannot be read"
        if refusal is None and scope["type"] == "http" and _is_too_long(Headers(scope=scope)):
            refusal = 413, f"a frame has at most {MAX_MESSAGE} bytes"
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            response = PlainTextResponse(refusal[1] + "\n", refusal[0])
            await response(scope, receive, _with_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: an answer of 403


def _is_too_long(headers: Headers) -> bool:
    length = headers.get("content-length", "0")
    return not length.isascii() or not length.isdigit() or len(length) > 12 or int(length) > MAX_MESSAGE


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return sending
