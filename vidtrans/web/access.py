"""Access control of the web server: every request's Host, Origin and token are checked before it is served.

A page of another site can make a browser send requests here. But such a page does not have the token, it sends its own
Origin, and if its name resolves to this machine (DNS rebinding), the Host header contains that name.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vidtrans.web import MAX_MESSAGE

# Paths of scripts and styles, served without a token; the studio serves those of the live page below /live
PUBLIC_PATHS = ("/page/", "/shared/", "/live/page/", "/live/shared/")
# HTTP headers of every response: no content from other sites, no caching, only the needed device permissions
SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), display-capture=(self), fullscreen=(self), midi=(self), "
    "microphone=(self), geolocation=()",
    "cache-control": "no-store",
}


def new_token() -> str:
    """Return a random token of 24 bytes as URL-safe text."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Access:
    """The rules that decide which requests a server accepts.

    ``token``: the secret in the server's links. ``hosts``: accepted Host headers, as NAME:PORT. ``scheme``: 'http' or
    'https'.
    """

    token: str
    hosts: frozenset[str]
    scheme: str

    @classmethod
    def for_server(cls, token: str, names: Iterable[str], port: int, scheme: str) -> Access:
        """Return the access rules of a server with these host names and addresses, at ``port``."""
        is_default_port = {"http": 80, "https": 443}[scheme] == port
        bracketed = [f"[{name}]" if ":" in name else name.lower() for name in names]
        hosts = {f"{name}:{port}" for name in bracketed} | (set(bracketed) if is_default_port else set())
        return cls(token, frozenset(hosts), scheme)

    def refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Return the HTTP status and the reason for refusing a request (ASGI ``scope``); None if it is allowed."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or hosts[0].lower() not in self.hosts:
            return 421, "the host name in the address is not one of this server's; open the printed link"
        if origins and origins != [f"{self.scheme}://{hosts[0].lower()}"]:
            return 403, "requests from other sites are refused"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "requests from other sites are refused"
        if scope["path"].startswith(PUBLIC_PATHS) and scope["type"] == "http":
            return None
        return None if self._has_token(scope, headers) else (403, "no valid token; open the link that was printed")

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        """Return whether a request has the token, in its query or in its Authorization header."""
        tokens = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=20).get("token", [])
        if (authorization := headers.get("authorization", "")).startswith("Bearer "):
            tokens = [authorization.removeprefix("Bearer ")]
        return len(tokens) == 1 and secrets.compare_digest(tokens[0].encode(), self.token.encode())


class Guard:
    """ASGI middleware that checks requests by ``access``, limits the size of bodies and adds security headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse a request, or pass it to the application (ASGI)."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        try:
            refusal = self._access.refusal(scope)
        except ValueError:  # A malformed query
            refusal = 400, "the address is malformed"
        if refusal is None and scope["type"] == "http" and _is_body_too_long(Headers(scope=scope)):
            refusal = 413, f"a request has at most {MAX_MESSAGE} bytes"
        if refusal is None:
            await self._app(scope, receive, _add_security_headers(send))
        elif scope["type"] == "http":
            response = PlainTextResponse(refusal[1] + "\n", refusal[0])
            await response(scope, receive, _add_security_headers(send))
        else:
            await send({"type": "websocket.close", "code": 1008})  # Closed before it is accepted: status 403


def _is_body_too_long(headers: Headers) -> bool:
    """Return whether the Content-Length header of a request is invalid or above ``MAX_MESSAGE``."""
    length = headers.get("content-length", "0")
    return not length.isascii() or not length.isdigit() or len(length) > 12 or int(length) > MAX_MESSAGE


def _add_security_headers(send: Send) -> Send:
    """Return a ``send`` function (ASGI) that adds ``SECURITY_HEADERS`` to each response."""

    async def send_with_headers(message: Message) -> None:
        """Send an ASGI message; the start of a response gets the security headers."""
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
            message["headers"] = [*message.get("headers", []), *own]
        await send(message)

    return send_with_headers
