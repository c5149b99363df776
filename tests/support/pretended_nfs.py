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
    """Let files whose names match a pattern lie on such a server. What this process makes or renames it sees.

    Skips the test on Windows, where locks are deleted when they are released and clients of NFS are others.
    """
    if os.name == "nt":
        pytest.skip("it is a client of NFS on Linux that is pretended")
    client = _Client(names)
    for module, name in ((os, "stat"), (os, "open"), (io, "open"), (builtins, "open")):
        monkeypatch.setattr(module, name, client.looking_up(getattr(module, name)))
    for name, number in (("replace", 1), ("mkdir", 0)):
        monkeypatch.setattr(os, name, client.making(getattr(os, name), number))
    monkeypatch.setattr(os, "scandir", client.opening(os.scandir))


class _Client:
    """Wraps functions of the system, and remembers what was absent."""

    def __init__(self, names: str) -> None:
        self._names, self._absent = names, set[Path]()

    def looking_up(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            place = _place(path)
            if _creates(arguments[0] if arguments else options.get("mode", 0)):
                self._absent.discard(place)
            if place in self._absent:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            try:
                return function(path, *arguments, **options)
            except FileNotFoundError:
                if fnmatch(place.name, self._names):
                    self._absent.add(place)
                raise

        return call

    def making(self, function: Callable[..., Any], number: int) -> Callable[..., Any]:
        """``number``: that of the argument whose name is there then."""

        def call(*arguments: Any, **options: Any) -> None:
            function(*arguments, **options)
            self._absent.discard(_place(arguments[number]))

        return call

    def opening(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(folder: Any = ".") -> Any:
            opened = function(folder)
            self._absent = {place for place in self._absent if place.parent != _place(folder)}
            return opened

        return call


def _place(path: Any) -> Path:
    return Path() if isinstance(path, int) else Path(os.fsdecode(path)).absolute()


def _creates(mode: Any) -> bool:
    return bool(mode & os.O_CREAT if isinstance(mode, int) else set(mode) & set("wxa"))
