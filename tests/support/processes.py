"""Processes that tests start, kill and look for, and a limit on the time of a test."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from vidtrans.batch.summary import Outcome

HANG_S = 300  # far above what anything takes here on a busy machine: it only ends what waits or loops for ever
# A process that has imported what takes longest, and done nothing else: those that tests start are its forks.
_BEGUN = multiprocessing.get_context("forkserver")
_BEGUN.set_forkserver_preload(["torch", "torch._dynamo", "cv2", "av", "skimage.metrics"])


class Started:
    """``python`` with these words, ``-m MODULE …`` or ``-c CODE …``, in a process of its own that starts at once.

    For what is killed, or is several processes. What is tested of the start itself takes ``subprocess``.
    """

    def __init__(self, *words: object, folder: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        self._said = [os.memfd_create(name) for name in ("out", "err")]
        for handle in self._said:
            weakref.finalize(self, os.close, handle)
        names = [f"/proc/{os.getpid()}/fd/{handle}" for handle in self._said]
        place = str((folder or Path()).resolve())
        given = [*map(str, words)], place, {**os.environ, **(env or {})}, names
        self.process = _BEGUN.Process(target=_become, args=given, daemon=True)  # it ends where a test fails before it
        self.process.start()

    @classmethod
    def vidtrans(cls, *arguments: object, **options: Any) -> Started:
        return cls("-m", "vidtrans", *arguments, **options)

    def poll(self) -> int | None:
        """The exit status, of what was killed minus the signal's number; None while it runs."""
        return self.process.exitcode

    def wait(self, seconds: float = HANG_S) -> int | None:
        """The exit status, or None where it still runs after so long."""
        self.process.join(seconds)
        return self.process.exitcode

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and return the exit status."""
        self.send_signal(number)
        status = self.wait()
        assert status is not None, f"signal {number} did not end it"
        return status

    def send_signal(self, number: int) -> None:
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def said(self) -> tuple[str, str]:
        """What is on standard output and standard error."""
        out, err = (os.pread(handle, os.fstat(handle).st_size, 0).decode() for handle in self._said)
        return out, err


def ranks(count: int, *words: object) -> list[Started]:
    """As many processes as PyTorch's launcher starts."""
    return [Started(*words, env=variables) for variables in rank_variables(count)]


def rank_variables(count: int) -> list[dict[str, str]]:
    """The variables that PyTorch's launcher gives to each of its processes."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [common | {"RANK": str(i), "LOCAL_RANK": str(i)} for i in range(count)]


def _become(words: Sequence[str], folder: str, env: Mapping[str, str], names: Sequence[str]) -> None:
    """Be that process, from its working folder and variables to its standard output and standard error."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    for number, name in enumerate(names, start=1):
        os.dup2(os.open(name, os.O_WRONLY | os.O_APPEND), number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    kind, what, *arguments = words
    sys.argv = [what, *arguments]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        sys.argv[0] = kind
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def until(condition: Callable[[], Any], seconds: float = HANG_S) -> Any:
    """Wait until something is true, and return it."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"it hung for {seconds} s")
        time.sleep(0.01)
    return found


@contextmanager
def at_most(seconds: int = HANG_S) -> Iterator[None]:
    """Fail a test that hangs, and do not hang with it: the alarm interrupts what waits."""

    def ring(number: int, frame: Any) -> None:
        raise AssertionError(f"it hung for {seconds} s")

    held = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, held)


def workers() -> list[int]:
    """The processes of batches that are alive."""
    told = subprocess.run(["pgrep", "-f", "executors.worker import main"], capture_output=True, text=True).stdout
    found = []
    for pid in map(int, told.split()):
        with suppress(OSError):
            if Path(f"/proc/{pid}/cwd").readlink() == Path.cwd():
                found.append(pid)
    return found


def run_and_kill(arguments: list[str], folder: Path, delay_s: float, signal_number: int = signal.SIGKILL) -> bool:
    """Start the command and send it a signal; says whether it was still running."""
    process = Started.vidtrans(*arguments, folder=folder)
    if process.wait(delay_s) is not None:
        return False
    return process.kill(signal_number) != 0


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]
