"""The web server of ``vidtrans live``, ``studio`` and ``vote``: address, access control, certificate, scripts."""

from __future__ import annotations

from importlib.util import find_spec

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # host names that only this machine can reach
MAX_MESSAGE = 8 << 20  # bytes, of a request's body and of a WebSocket message
NEEDED = ("starlette", "uvicorn", "websockets", "cryptography", "segno", "pythonosc")  # modules of the extra ``live``


def missing_packages() -> list[str]:
    """Return the modules of the extra ``live`` that are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]
