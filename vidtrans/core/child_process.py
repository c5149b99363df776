"""Processes: how this process starts and ends others, and how a process limits itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO

from vidtrans.core.system import WINDOWS


def module_command(module: str) -> list[str]:
    """Return the command line of a Python process that calls ``main`` of a module.

    It does not use ``-m``, with which a file in the working folder could replace a module of Python.
    """
    return [sys.executable, "-P", "-c", f"from {module} import main; main()"]


VIDTRANS = module_command("vidtrans.cli.main")  # Command line of the vidtrans command, without its arguments


def start_detached(words: Sequence[str], folder: Path, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start a program in ``folder`` that outlives this process. ``output``: for its standard output and error."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=not WINDOWS,
        creationflags=0x00000208 if WINDOWS else 0,  # A new group, no console
    )
    # An ended process stays a zombie until its parent waits for it, so a thread waits.
    threading.Thread(target=process.wait, daemon=True, name=f"process {process.pid}").start()
    return process


def end_process(process: subprocess.Popen[bytes], timeout_s: float = 0.0) -> None:
    """Close the input of a process, at whose end it may end by itself, and kill it after ``timeout_s`` seconds."""
    if process.stdin is not None:
        with suppress(OSError):
            process.stdin.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def take_output() -> BinaryIO:
    """Return the standard output of this process for its messages; what libraries print goes to standard error."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return output


def limit_resources(memory_bytes: int, cpu_s: int | None = None, *, writes: bool = True) -> None:
    """Limit the memory and the CPU time of this process, and disable core files; ``writes``: it may write files."""
    with suppress(ImportError, ValueError, OSError):  # Windows has no such limits, and the parent has a timeout.
        import resource

        limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CORE: 0}
        limits |= {resource.RLIMIT_CPU: cpu_s} if cpu_s is not None else {}
        limits |= {} if writes else {resource.RLIMIT_FSIZE: 0}
        for limit, value in limits.items():
            resource.setrlimit(limit, (value, value))
