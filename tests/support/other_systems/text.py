"""Text files: without an encoding they are in that of the system, and lines end as they do there."""

from __future__ import annotations

import builtins
import errno
import io
import os
from typing import Any

from other_systems import files, names
from other_systems.callers import BrokenRule, caller, is_of_package, is_ours

ENCODING = "cp1252"  # of Western Windows
_BEHIND_MODE = ("buffering", "encoding", "errors", "newline", "closefd", "opener")  # parameters of ``open``


def install(system: str) -> None:
    """Wrap ``open``."""
    real, is_windows = io.open, system == "windows"

    def open_(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if isinstance(file, str | bytes | os.PathLike):
            if files.hides(file):
                raise files.absent(file)
            if is_windows:
                _check(file, mode, has_opener=bool(options.get("opener")))
            file = names.actual(file)
        if is_windows and "b" not in mode:
            arguments, options = _with_system_text(mode, arguments, options)
        try:
            opened = real(file, mode, *arguments, **options)
        except NotADirectoryError:
            if is_windows:
                raise files.absent(file) from None
            raise
        if is_windows:
            files.use_binary(opened.fileno())
        return opened

    io.open = builtins.open = open_  # type: ignore[assignment]


def _check(file: Any, mode: str, *, has_opener: bool) -> None:
    names.check_length(file)
    found = names.actual(file)
    if os.path.isdir(found) and not has_opener:  # ``tempfile`` opens folders on Linux alone
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
    if set(mode) & set("wax") and not os.path.lexists(found):
        names.check_name(file)


def _with_system_text(mode: str, given: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
    """Return the arguments of ``open`` behind the mode, with what the system puts in for those that are left out."""
    frame = caller()
    if not is_ours(frame):
        return given, options
    named = dict(zip(_BEHIND_MODE, given, strict=False)) | options
    if named.get("encoding") in (None, "locale"):
        if is_of_package(frame):
            raise BrokenRule("text is opened without an encoding: on Windows it would not be UTF-8")
        named["encoding"] = ENCODING
    if named.get("newline") is None and set(mode) & set("wax+"):
        named["newline"] = "\r\n"
    return (), named
