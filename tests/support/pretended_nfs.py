"""A file server, pretended: a name that was absent stays absent, whatever others write, until its folder is opened.

As Linux does it for half a minute (``acdirmin`` in nfs(5)). What a test shows here is what the code does about it, not
what a server does.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest


def pretend(monkeypatch: pytest.MonkeyPatch, names: str) -> None:
    """Let files whose names match a pattern lie on such a server; this process only reads them."""
    absent: set[Path] = set()
    scandir = os.scandir

    def looked_up(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            place = Path() if isinstance(path, int) else Path(os.fsdecode(path)).absolute()
            if place in absent:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            try:
                return function(path, *arguments, **options)
            except FileNotFoundError:
                if fnmatch(place.name, names):
                    absent.add(place)
                raise

        return call

    def opened(folder: Any = ".") -> Any:
        if not isinstance(folder, int):
            absent.difference_update([place for place in absent if place.parent == Path(folder).absolute()])
        return scandir(folder)

    for module, name in ((os, "stat"), (os, "open"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(module, name, looked_up(getattr(module, name)))
    monkeypatch.setattr(os, "scandir", opened)
