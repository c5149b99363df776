"""The versions of libraries that affect results, for cache keys."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

from vidtrans.core.settings import Table


def libraries(*names: str) -> Table:
    """Return the installed versions of libraries that affect a stage's result, without importing them."""
    return {name: _version(name) for name in names}


_version = cache(version)  # to parse a package's record each time would be a tenth of the time of a tiny clip


def media_libraries() -> Table:
    """Return the versions of the libraries that read, process and write frames."""
    return libraries("av", "opencv-python-headless")
