"""Calls on files, with the rules of another system: what is open cannot be moved or deleted, and more."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import wraps
from types import CodeType
from typing import Any

from other_systems import names
from other_systems.callers import caller, is_ours
from other_systems.holders import held_in, is_held

_TEXT_MODE: set[int] = set()  # handles of os.open without O_BINARY, in which \n becomes \r\n
_BINARY = 0x8000
_DELETERS = ("/site-packages/filelock/", "/site-packages/_pytest/pathlib.py", "/site-packages/_pytest/tmpdir.py")
_WRITES = os.O_WRONLY | os.O_RDWR
_real: dict[str, Callable[..., Any]] = {}


def install(system: str) -> None:
    """Wrap the functions of ``os``; those of ``io`` are wrapped in ``text``."""
    shutil._use_fd_functions = False  # Windows has none, and with them the rules would not see whole paths
    shutil.rmtree.avoids_symlink_attacks = False
    paths = ("stat", "lstat", "access", "listdir", "scandir", "readlink", "chmod", "utime", "mkdir", "rmdir", "open")
    for name in (*paths, "unlink", "remove", "rename", "replace", "link", "symlink", "truncate", "fsync", "write"):
        _real[name] = getattr(os, name)
    for name in paths:
        _put(name, _looking_up(name))
    _put("rename", _with_two_paths("rename"))
    _put("replace", _with_two_paths("replace"))
    if system == "windows":
        for name, rule in _WINDOWS.items():
            _put(name, rule(_real[name] if name not in paths else getattr(os, name)))
    else:
        for name in ("unlink", "remove"):
            _put(name, _looking_up(name))


def _put(name: str, function: Callable[..., Any]) -> None:
    real = _real[name]
    function.__module__, function.__qualname__ = "os", name  # pickle finds it so
    setattr(os, name, function)
    for supported in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if real in supported:
            supported.add(function)


def hides(path: Any) -> bool:
    """Return whether a path is one of Linux's own files, which vidtrans and the tests do not find on other systems."""
    if isinstance(path, int):
        return False
    try:
        text = os.fsdecode(path)
    except TypeError:
        return False
    return (text == "/proc" or text.startswith("/proc/")) and is_ours(caller())


def absent(path: Any) -> FileNotFoundError:
    """Return the error of a file that is not there."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def denied(path: Any) -> PermissionError:
    """Return the error of a file that another handle holds: on Windows 'being used by another process'."""
    error = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    error.winerror = 32  # type: ignore[attr-defined]
    return error


def _looking_up(name: str) -> Callable[..., Any]:
    """Find a file whose name differs in case; no file of /proc."""
    real = _real[name]

    @wraps(real)
    def call(path: Any = ".", *arguments: Any, **options: Any) -> Any:
        if hides(path):
            raise absent(path)
        try:
            return real(names.actual(path), *arguments, **options)
        except NotADirectoryError as error:
            if names._is_windows and name in ("stat", "lstat", "open", "mkdir"):
                raise absent(error.filename) from None
            raise

    return call


def _with_two_paths(name: str) -> Callable[..., Any]:
    """Find what is moved by a name of another case. The new name keeps its case, and takes that of the old file."""
    real = _real[name]

    @wraps(real)
    def call(source: Any, target: Any, **options: Any) -> Any:
        given, found = names.actual(source), names.actual(target)
        if found != target and not os.path.samestat(_real["lstat"](given), _real["lstat"](found)):
            target = found  # the file keeps the name that it has
        return real(given, target, **options)

    return call


def fsync_rule(real: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse handles that are not open for writing, as Windows does."""

    def fsync(handle: Any) -> None:
        import fcntl

        number = handle if isinstance(handle, int) else handle.fileno()
        if not fcntl.fcntl(number, fcntl.F_GETFL) & _WRITES:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real(handle)

    return fsync


def _open(real: Callable[..., Any]) -> Callable[..., Any]:
    def open_(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        names.check_length(path)
        found = names.actual(path)
        if os.path.isdir(found) and not options:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        if flags & os.O_CREAT and not os.path.lexists(found):
            names.check_name(path)
        handle: int = real(path, flags & ~_BINARY, mode, **options)
        _TEXT_MODE.discard(handle)
        if not flags & _BINARY and is_ours(sys._getframe(1)):
            _TEXT_MODE.add(handle)
        return handle

    return open_


def use_binary(handle: int) -> None:
    """Take a handle out of text mode, as ``open`` does with those of its opener."""
    _TEXT_MODE.discard(handle)


def _write(real: Callable[..., Any]) -> Callable[..., Any]:
    def write(handle: int, data: Any) -> int:
        if handle in _TEXT_MODE and is_ours(sys._getframe(1)):
            real(handle, bytes(data).replace(b"\n", b"\r\n"))
            return len(data)
        return int(real(handle, data))

    return write


def _delete(real: Callable[..., Any]) -> Callable[..., Any]:
    def unlink(path: Any, **options: Any) -> None:
        if _is_way_of_linux(sys._getframe(1).f_code):
            return real(path, **options)
        found = names.actual(path)
        try:
            mode = _real["lstat"](found).st_mode
        except (OSError, ValueError):
            return real(found, **options)
        if stat.S_ISDIR(mode) or not mode & stat.S_IWRITE or is_held(found):
            raise denied(path)
        return real(found, **options)

    return unlink


def _is_way_of_linux(code: CodeType) -> bool:
    """Return whether a library does here what it does otherwise on Windows: temporary files (O_TEMPORARY), locks.

    Or pytest deletes the folders of earlier runs: to look for who holds each file would take minutes.
    """
    if code.co_filename == tempfile.__file__ and code.co_name in ("opener", "TemporaryFile"):
        return True
    frame = caller()
    return frame is not None and any(part in frame.f_code.co_filename for part in _DELETERS)


def _rmdir(real: Callable[..., Any]) -> Callable[..., Any]:
    def rmdir(path: Any, **options: Any) -> None:
        if not _is_way_of_linux(sys._getframe(1).f_code) and held_in(names.actual(path), cwd_only=True):
            raise denied(path)
        real(path, **options)

    return rmdir


def _mkdir(real: Callable[..., Any]) -> Callable[..., Any]:
    def mkdir(path: Any, *arguments: Any, **options: Any) -> None:
        names.check_length(path, folder=True)
        if not os.path.lexists(names.actual(path)):
            names.check_name(path)
        real(path, *arguments, **options)

    return mkdir


def _move(*, replaces: bool) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def rule(real: Callable[..., Any]) -> Callable[..., Any]:
        def move(source: Any, target: Any, **options: Any) -> None:
            given, found = names.actual(source), names.actual(target)
            is_same = found != target and given == found  # only the case changes
            if os.path.lexists(given):
                names.check_length(target, folder=os.path.isdir(given))
                if held_in(given):
                    raise denied(source)
            if os.path.lexists(found) and not is_same:
                if not replaces:
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(source), 183, str(target))
                if os.path.isdir(found) or not _real["lstat"](found).st_mode & stat.S_IWRITE or is_held(found):
                    raise denied(target)
            elif not is_same:
                names.check_name(target)
            _with_two_paths(real.__name__)(source, target, **options)

        return move

    return rule


def _symlink(real: Callable[..., Any]) -> Callable[..., Any]:
    def symlink(source: Any, target: Any, *arguments: Any, **options: Any) -> None:
        if not is_ours(caller()):
            return real(source, target, *arguments, **options)
        error = OSError(errno.EPERM, "A required privilege is not held by the client", str(source))
        error.winerror = 1314  # type: ignore[attr-defined]
        raise error

    return symlink


_WINDOWS: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "fsync": fsync_rule,
    "open": _open,
    "write": _write,
    "unlink": _delete,
    "remove": _delete,
    "rmdir": _rmdir,
    "mkdir": _mkdir,
    "rename": _move(replaces=False),
    "replace": _move(replaces=True),
    "symlink": _symlink,
}
