"""Whose code calls: vidtrans's, the tests', or that of a library."""

from __future__ import annotations

import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

_HERE = Path(__file__).resolve()
_EMULATION = str(_HERE.parent) + "/"
_TESTS = str(_HERE.parents[2]) + "/"
_STANDARD = (sysconfig.get_path("stdlib") + "/", "<frozen ")
_THIRD = ("site-packages/", "dist-packages/")


class BrokenRule(AssertionError):
    """Code did what would do harm, or something else than it means, on the emulated system."""


def _package() -> str:
    spec = find_spec("vidtrans")
    return str(Path(spec.origin).resolve().parent) + "/" if spec and spec.origin else _TESTS


_PACKAGE = _package()


def is_of_package(frame: FrameType | None) -> bool:
    """Return whether a frame runs code of vidtrans."""
    return frame is not None and frame.f_code.co_filename.startswith(_PACKAGE)


def is_ours(frame: FrameType | None) -> bool:
    """Return whether a frame runs code of vidtrans or of the tests, or a program given with ``python -c``."""
    if frame is None:
        return False
    file = frame.f_code.co_filename
    if file == "<string>":
        return frame.f_globals.get("__name__") == "__main__"
    return file.startswith((_PACKAGE, _TESTS)) and not file.startswith(_EMULATION)


def caller() -> FrameType | None:
    """Return the innermost frame that runs neither the standard library's code nor the emulation's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_passed_over(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _is_passed_over(file: str) -> bool:
    if file.startswith(_EMULATION):
        return True
    return file.startswith(_STANDARD) and not any(part in file for part in _THIRD)
