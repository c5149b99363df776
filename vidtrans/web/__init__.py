"""The web server of ``vidtrans live``, ``studio`` and ``vote``: address, access control, certificate, scripts."""

from __future__ import annotations

from importlib.util import find_spec

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # Host names that only this machine can reach
MAX_MESSAGE = 8 << 20  # Largest request body and WebSocket message, in bytes
LIVE_PACKAGES = ("starlette", "uvicorn", "websockets", "cryptography", "segno", "pythonosc")  # Of the extra ``live``


def missing_packages() -> list[str]:
    """Return the modules of the extra ``live`` that are not installed."""
    return [name for name in LIVE_PACKAGES if find_spec(name) is None]
