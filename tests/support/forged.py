"""Requests that a server for this machine's own pages must not accept, each as (name, method, path, headers, body)."""

from __future__ import annotations

import base64
import http.client
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from vidtrans.web import MAX_MESSAGE

JPEG = {"content-type": "image/jpeg"}


class Forged(NamedTuple):
    """A request. ``upgrade``: to a WebSocket."""

    name: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    upgrade: bool = False


def foreign_requests(
    port: int,
    token: str,
    gets: Sequence[str],
    sockets: Sequence[str],
    posts: Mapping[str, tuple[dict[str, str], bytes]],
) -> Iterator[Forged]:
    """Yield requests of other sites, under other names, and without the token, to each path of a server.

    ``posts``: headers and a body that the path accepts.
    """
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
    reading = [Forged(path, "GET", path, {}) for path in gets]
    reading += [Forged(path, "GET", path, {}, upgrade=True) for path in sockets]
    sending = [one for one in reading if one.upgrade]
    sending += [Forged(path, "POST", path, own, body) for path, (own, body) in posts.items()]

    def changed(one: Forged, name: str, query: str, **headers: str) -> Forged:
        return one._replace(name=f"{one.name} {name}", path=one.path + query, headers=headers | one.headers)

    for host in [*hosts.split(), ""]:
        posted = (one for one in sending if not one.upgrade)
        yield from (changed(one, f"of {host or 'no host'}", asked, host=host) for one in [*reading, *posted])
    for origin in [*origins.split(), ""]:
        yield from (changed(one, f"from {origin or 'nowhere'}", asked, host=good, origin=origin) for one in sending)
    for query in [*tokens.split(), ""]:
        yield from (changed(one, f"with {query or 'no token'}", query, host=good) for one in [*reading, *sending])
    yield Forged("bearer of another token", "GET", "/", {"host": good, "authorization": "Bearer x"})
    yield Forged("basic authorization", "GET", "/", {"host": good, "authorization": f"Basic {token}"})
    yield Forged("two hosts", "GET", "/" + asked, {"host": good, "Host": "evil.example"})
    for site in ("cross-site", "same-site"):
        for path in gets:
            yield Forged(f"{path}, {site}", "GET", path + asked, {"host": good, "sec-fetch-site": site})


def forged_requests(port: int, token: str) -> Iterator[Forged]:
    """Yield the requests that the server of ``vidtrans live`` must not accept, at a port of 127.0.0.1."""
    good, asked = f"127.0.0.1:{port}", f"?token={token}"
    yield from foreign_requests(port, token, ["/"], ["/ws"], {"/frame": (JPEG, b"x"), "/look": (JPEG, b"x")})
    paths = r"""/page/../hub.py /page/%2e%2e/hub.py /page/..%2fhub.py /page/%2e%2e%2f%2e%2e%2fapi.py /page//etc/passwd
        /page/..\hub.py /../../etc/passwd /page/%00 /page/ /page /hub.py /page/.%2e/__init__.py"""
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
