"""Live: draw, or stand before a camera, and see the model answer, in a page of a browser.

Frames come over a WebSocket (``protocol``), from the page or from another program. One thread owns the models
(``stage_worker``) and paints the newest frame on the stage; the hub hands each picture to all that look on. Nothing
waits in a queue: a frame that is overtaken by a newer one is acknowledged as dropped.
"""

from __future__ import annotations

from importlib.util import find_spec

LOOPBACK = ("127.0.0.1", "::1", "localhost")  # the hosts that only this machine reaches
NEEDED = ("starlette", "uvicorn", "websockets", "cryptography", "segno")  # of the extra ``live``


def missing_packages() -> list[str]:
    """Return the packages of the extra ``live`` that are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]
