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
    # DNS rebinding, and addresses written in other ways.
    hosts = f"""evil.example:{port} evil.example 127.0.0.1.nip.io:{port} localhost.evil.example:{port}
        {good}.evil.example evil.example@{good} 127.0.0.1:{port + 1} 127.0.0.1 0.0.0.0:{port} [::ffff:127.0.0.1]:{port}
        2130706433:{port}"""
    # Pages of other sites.
    origins = f"""null http://evil.example http://evil.example:{port} https://{good} http://127.0.0.1:{port + 1}
        http://127.0.0.1 http://{good}.evil.example http://{good}@evil.example http://localhost:{port} file://
        chrome-extension://abcdefgh"""
    tokens = f"?token= ?token={token[:-1]} ?token={token}x ?token={token.upper()} ?token={token}&token={token}"
    paths = r"""/page/../hub.py /page/%2e%2e/hub.py /page/..%2fhub.py /page/%2e%2e%2f%2e%2e%2fapi.py /page//etc/passwd
        /page/..\hub.py /../../etc/passwd /page/%00 /page/ /page /hub.py /page/.%2e/__init__.py"""
    for host in [*hosts.split(), ""]:
        yield Forged(f"GET / of {host or 'no host'}", "GET", "/" + asked, {"host": host})
        yield Forged(f"ws of {host or 'no host'}", "GET", "/ws" + asked, {"host": host}, upgrade=True)
    for origin in [*origins.split(), ""]:
        headers, name = {"host": good, "origin": origin}, origin or "an empty origin"
        yield Forged(f"ws from {name}", "GET", "/ws" + asked, headers, upgrade=True)
        for path in ("/frame", "/look"):
            yield Forged(f"{path} from {name}", "POST", path + asked, headers | JPEG, b"x")
    for query in [*tokens.split(), ""]:
        yield Forged(f"GET / with {query or 'no token'}", "GET", "/" + query, {"host": good})
        yield Forged(f"ws with {query or 'no token'}", "GET", "/ws" + query, {"host": good}, upgrade=True)
    yield Forged("bearer of another token", "GET", "/", {"host": good, "authorization": "Bearer x"})
    yield Forged("basic authorization", "GET", "/", {"host": good, "authorization": f"Basic {token}"})
    yield Forged("two hosts", "GET", "/" + asked, {"host": good, "Host": "evil.example"})
    for site in ("cross-site", "same-site"):
        yield Forged(f"navigation, {site}", "GET", "/" + asked, {"host": good, "sec-fetch-site": site})
    for path in paths.split():
        yield Forged(path, "GET", path + asked, {"host": good})
    bodies: dict[str, tuple[dict[str, str], bytes]] = {
        "a form": ({"content-type": "application/x-www-form-urlencoded"}, b"a=b"),
        "plain text": ({"content-type": "text/plain"}, b"x"),
        "multipart": ({"content-type": "multipart/form-data; boundary=x"}, b"--x--"),
        "svg": ({"content-type": "image/svg+xml"}, b"<svg/>"),
        "no type": ({}, b"x"),
        "too large": (JPEG | {"content-length": str(MAX_MESSAGE + 1)}, b""),
        "larger than any number": (JPEG | {"content-length": "9" * 30}, b""),
        "a picture that is none": (JPEG, b"\xff\xd8\xff\xe0 not a picture"),
    }
    for name, (headers, body) in bodies.items():
        for path in ("/frame", "/look"):
            yield Forged(f"{name} to {path}", "POST", path + asked, {"host": good, **headers}, body)
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
            own |= {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
            own["sec-websocket-key"] = base64.b64encode(os.urandom(16)).decode()
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
