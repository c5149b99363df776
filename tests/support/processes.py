"""Processes that tests start, kill and look for, and a limit on the time of a test."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vidtrans.batch.summary import Outcome


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
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
    process = subprocess.Popen(
        [sys.executable, "-m", "vidtrans", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(delay_s)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal_number)
        process.wait(60)
        return process.returncode not in (0,)


def states(outcomes: list[Outcome]) -> list[str]:
    return [outcome.state for outcome in outcomes]
