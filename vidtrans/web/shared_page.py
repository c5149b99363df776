"""The scripts that several pages share, in ``page``; an application mounts them beside its own."""

from __future__ import annotations

from pathlib import Path

from starlette.routing import Mount
from starlette.staticfiles import StaticFiles


def shared_files() -> Mount:
    """Return the route of the shared scripts."""
    return Mount("/shared", StaticFiles(directory=Path(__file__).parent / "page"))
