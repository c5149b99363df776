"""Requests that a server for this machine's own pages must not accept, each as (name, method, path, headers, body)."""

from __future__ import annotations

import base64
import http.client
import os
from collections.abc import Iterator
from typing import NamedTuple

from vidtrans.live.protocol import MAX_MESSAGE

JPEG = {"content-type": "image/jpeg"}


class Forged(NamedTuple):
    """A request. ``upgrade``: to a WebSocket."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    upgrade: bool = False


def forged_requests(port: int, token: str) -> Iterator[Forged]:
    """Yield the requests, for a server at a port of 127.0.0.1."""
    good, asked = f"127.0.0.1:{port}", f"?token={token}"
    hosts = [
        f"evil.example:{port}",
        "evil.example",
        f"127.0.0.1.nip.io:{port}",
        f"localhost.evil.example:{port}",
        f"127.0.0.1:{port}.evil.example",
        f"evil.example@127.0.0.1:{port}",
        f"127.0.0.1:{port + 1}",
        "127.0.0.1",
        f"0.0.0.0:{port}",
        f"[::ffff:127.0.0.1]:{port}",
        f"2130706433:{port}",
        "",
    ]
    origins = [
        "null",
        "http://evil.example",
        f"http://evil.example:{port}",
        f"https://127.0.0.1:{port}",
        f"http://127.0.0.1:{port + 1}",
        "http://127.0.0.1",
        f"http://127.0.0.1:{port}.evil.example",
        f"http://127.0.0.1:{port}@evil.example",
        f"http://localhost:{port}",
        "file://",
        "chrome-extension://abcdefgh",
        "",
    ]
    tokens = [
        "",
        "?token=",
        f"?token={token[:-1]}",
        f"?token={token}x",
        f"?token={token.upper()}",
        f"?token={token}&token={token}",
    ]
    for host in hosts:  # DNS rebinding, and addresses written in other ways
        yield Forged(f"GET / of {host or 'no host'}", "GET", "/" + asked, {"host": host})
        yield Forged(f"ws of {host or 'no host'}", "GET", "/ws" + asked, {"host": host}, upgrade=True)
    for origin in origins:  # pages of other sites
        yield Forged(
            f"ws from {origin or 'an empty origin'}",
            "GET",
            "/ws" + asked,
            {"host": good, "origin": origin},
            upgrade=True,
        )
        yield Forged(
            f"frame from {origin or 'an empty origin'}",
            "POST",
            "/frame" + asked,
            {"host": good, "origin": origin, **JPEG},
            b"x",
        )
    for query in tokens:
        yield Forged(f"GET / with {query or 'no token'}", "GET", "/" + query, {"host": good})
        yield Forged(f"ws with {query or 'no token'}", "GET", "/ws" + query, {"host": good}, upgrade=True)
    yield Forged("bearer of another token", "GET", "/", {"host": good, "authorization": "Bearer x"})
    yield Forged("basic authorization", "GET", "/", {"host": good, "authorization": f"Basic {token}"})
    yield Forged("two hosts", "GET", "/" + asked, {"host": good, "Host": "evil.example"})
    yield Forged("cross-site navigation", "GET", "/" + asked, {"host": good, "sec-fetch-site": "cross-site"})
    yield Forged("same-site subdomain", "GET", "/" + asked, {"host": good, "sec-fetch-site": "same-site"})
    paths = [
        "/page/../hub.py",
        "/page/%2e%2e/hub.py",
        "/page/..%2fhub.py",
        "/page/%2e%2e%2f%2e%2e%2fapi.py",
        "/page//etc/passwd",
    ]
    paths += [
        "/page/..\\hub.py",
        "/../../etc/passwd",
        "/page/%00",
        "/page/",
        "/page",
        "/hub.py",
        "/page/.%2e/__init__.py",
    ]
    for path in paths:
        yield Forged(path, "GET", path + asked, {"host": good})
    yield Forged(
        "a form", "POST", "/frame" + asked, {"host": good, "content-type": "application/x-www-form-urlencoded"}, b"a=b"
    )
    yield Forged("plain text", "POST", "/frame" + asked, {"host": good, "content-type": "text/plain"}, b"x")
    yield Forged(
        "multipart",
        "POST",
        "/frame" + asked,
        {"host": good, "content-type": "multipart/form-data; boundary=x"},
        b"--x--",
    )
    yield Forged("svg", "POST", "/frame" + asked, {"host": good, "content-type": "image/svg+xml"}, b"<svg/>")
    yield Forged("no type", "POST", "/frame" + asked, {"host": good}, b"x")
    yield Forged("too large", "POST", "/frame" + asked, {"host": good, **JPEG, "content-length": str(MAX_MESSAGE + 1)})
    yield Forged("larger than any number", "POST", "/frame" + asked, {"host": good, **JPEG, "content-length": "9" * 30})
    yield Forged(
        "a picture that is none", "POST", "/frame" + asked, {"host": good, **JPEG}, b"\xff\xd8\xff\xe0 not a picture"
    )
    yield Forged("an unknown kind", "POST", f"/frame{asked}&kind=model", {"host": good, **JPEG}, b"x")
    for method in ("PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
        yield Forged(f"{method} frame", method, "/frame" + asked, {"host": good, **JPEG})


def send(forged: Forged, port: int) -> int:
    """Send a request to 127.0.0.1, and return the status of the answer; 101 is an open WebSocket, 0 is none at all."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.putrequest(forged.method, forged.path, skip_host=True, skip_accept_encoding=True)
        own = dict(forged.headers)
        if forged.upgrade:
            key = base64.b64encode(os.urandom(16)).decode()
            own |= {
                "connection": "Upgrade",
                "upgrade": "websocket",
                "sec-websocket-version": "13",
                "sec-websocket-key": key,
            }
        if forged.body:
            own.setdefault("content-length", str(len(forged.body)))
        for name, value in own.items():
            connection.putheader(name, value)
        connection.endheaders(forged.body or None)
        return connection.getresponse().status
    except (ConnectionError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def is_accepted(status: int) -> bool:
    """Return whether a request was carried out."""
    return status == 101 or 200 <= status < 300
