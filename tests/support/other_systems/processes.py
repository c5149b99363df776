"""Processes and signals, as Windows has them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

from other_systems.callers import BrokenRule, is_of_package, is_ours
from other_systems.text import ENCODING

_NEW_GROUP = 0x200
_SIGNALS = {signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGINT, signal.SIGSEGV, signal.SIGTERM}
_SIGBREAK = 21


def install(system: str) -> None:
    """Wrap what starts, ends and interrupts processes."""
    import multiprocessing

    multiprocessing.set_start_method("spawn", force=True)
    if system == "windows":
        _wrap_kill()
        _wrap_signal()
        _wrap_popen()
        _delete_locks()


def _wrap_kill() -> None:
    real, end = os.kill, signal.SIGKILL

    def kill(pid: int, number: int) -> None:
        if not is_ours(sys._getframe(1)):
            return real(pid, number)
        if number in (0, 1):
            raise BrokenRule(f"os.kill(pid, {number}) sends Ctrl-C or Ctrl-Break on Windows: it asks nothing")
        return real(pid, end)  # TerminateProcess, whatever the number

    os.kill = kill


def _wrap_signal() -> None:
    real = signal.signal

    def set_handler(number: int, handler: Any) -> Any:
        if is_ours(sys._getframe(1)):
            if number == _SIGBREAK:
                return signal.SIG_DFL
            if number not in _SIGNALS:
                raise ValueError("invalid signal value")
        return real(number, handler)

    signal.signal = set_handler


def _wrap_popen() -> None:
    """End processes as Windows does, with status 1, and read their pipes in its encoding."""
    real = subprocess.Popen
    real_init, real_send, real_exit = real.__init__, real.send_signal, real._handle_exitstatus

    def init(self: Any, *arguments: Any, **options: Any) -> None:
        frame = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename == subprocess.__file__:  # run, check_output
            frame = frame.f_back
        self._is_ours = is_ours(frame)
        if self._is_ours:
            _take_options(options, in_package=is_of_package(frame))
        real_init(self, *arguments, **options)

    def send(self: Any, number: int) -> None:
        if self._is_ours and number not in (signal.SIGTERM, signal.SIGKILL):
            raise ValueError(f"Unsupported signal: {number}")
        real_send(self, signal.SIGKILL if self._is_ours else number)

    def exit_status(self: Any, *arguments: Any, **options: Any) -> Any:
        made = real_exit(self, *arguments, **options)
        if self._is_ours and self.returncode is not None and self.returncode < 0:
            self.returncode = 1  # as TerminateProcess leaves it
        return made

    real.__init__, real.send_signal, real._handle_exitstatus = init, send, exit_status
    real.kill = lambda self: send(self, signal.SIGKILL)


def _take_options(options: dict[str, Any], *, in_package: bool) -> None:
    """Change options of a Popen to what Windows makes of them."""
    if options.get("preexec_fn") or options.get("pass_fds"):
        raise ValueError("preexec_fn and pass_fds are not supported on Windows platforms")
    options["start_new_session"] = bool(options.pop("creationflags", 0) & _NEW_GROUP)
    is_text = options.get("text") or options.get("universal_newlines") or options.get("errors")
    if is_text and options.get("encoding") is None:
        if in_package:
            raise BrokenRule("a pipe is read as text without an encoding: on Windows it would not be UTF-8")
        options["encoding"] = ENCODING


def _delete_locks() -> None:
    """Let filelock delete a lock's file when it is released, as its implementation for Windows does."""
    try:
        from filelock import UnixFileLock
    except ImportError:
        return
    real = UnixFileLock._release

    def release(self: Any) -> None:
        real(self)
        with suppress(OSError):
            os.unlink(self.lock_file)

    UnixFileLock._release = release
