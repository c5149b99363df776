"""Processes that tests start, kill and look for, and a limit on the time of a test."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from vidtrans.batch.jobs import Outcome

HANG_S = 300  # far above what anything takes here on a busy machine: it only ends what waits or loops for ever
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has one way to end a process, and names it SIGTERM
KILLED_STATUSES = (-KILL, KILL, 1)  # of processes that were ended so: on POSIX, on Windows by themselves or by others
HAS_SIGNALS = hasattr(signal, "SIGKILL")
needs_signals = pytest.mark.skipif(not HAS_SIGNALS, reason="this system sends no signals to a process")

# A process that has imported what takes longest, and done nothing else: those that tests start are its forks.
_BEGUN: Any = None
if sys.platform == "linux":
    _BEGUN = multiprocessing.get_context("forkserver")
    _BEGUN.set_forkserver_preload(["torch", "torch._dynamo", "cv2", "av", "skimage.metrics"])


class Started:
    """``python`` with these words, ``-m MODULE …`` or ``-c CODE …``, in a process of its own that starts at once.

    For what is killed, or is several processes. What is tested of the start itself takes ``subprocess``.
    """

    def __init__(self, *words: object, folder: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        place, variables = str((folder or Path()).resolve()), {**os.environ, **(env or {})}
        outputs = Path(tempfile.mkdtemp(prefix="started-"))
        weakref.finalize(self, shutil.rmtree, outputs, ignore_errors=True)
        self._outputs = outputs / "out", outputs / "err"
        for output in self._outputs:
            output.touch()
        self.process: Any
        if _BEGUN is None:
            command = [sys.executable, *map(str, words)]
            with self._outputs[0].open("wb") as out, self._outputs[1].open("wb") as err:
                self.process = subprocess.Popen(command, cwd=place, env=variables, stdout=out, stderr=err)
            return
        given = [*map(str, words)], place, variables, [*map(str, self._outputs)]
        self.process = _BEGUN.Process(target=_become, args=given, daemon=True)  # it ends where a test fails before it
        self.process.start()

    @classmethod
    def vidtrans(cls, *arguments: object, **options: Any) -> Started:
        return cls("-m", "vidtrans", *arguments, **options)

    def poll(self) -> int | None:
        """The exit status, of what was killed minus the signal's number; None while it runs."""
        status: int | None = self.process.poll() if _BEGUN is None else self.process.exitcode
        return status

    def wait(self, seconds: float = HANG_S) -> int | None:
        """The exit status, or None where it still runs after so long."""
        if _BEGUN is None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        else:
            self.process.join(seconds)
        return self.poll()

    def kill(self, number: int | None = None) -> int:
        """End it, at once or with a signal, and return the exit status."""
        if number is None:
            self.process.kill()
        else:
            self.send_signal(number)
        status = self.wait()
        assert status is not None, f"signal {number} did not end it"
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal; where a system can only end processes, the test is skipped."""
        if not HAS_SIGNALS:
            self.kill()
            pytest.skip("this system sends no signals to a process")
        if self.poll() is None and self.process.pid:
            os.kill(self.process.pid, number)

    def said(self) -> tuple[str, str]:
        """What is on standard output and standard error."""
        out, err = (output.read_text(errors="replace") for output in self._outputs)  # in the system's encoding
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

    if not hasattr(signal, "SIGALRM"):
        yield
        return

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
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if any("executors.local import main" in word for word in words) and Path(process.cwd()) == Path.cwd():
                found.append(process.pid)
    return found


def run_and_kill(arguments: list[str], folder: Path, delay_s: float, signal_number: int | None = None) -> bool:
    """Start the command and send it a signal; says whether it was still running."""
    process = Started.vidtrans(*arguments, folder=folder)
    if process.wait(delay_s) is not None:
        return False
    return process.kill(signal_number) != 0


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]
