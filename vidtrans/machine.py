"""What this machine has."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from pathlib import Path

from vidtrans.errors import UsageError


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, as the system tells it."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def check_device_name(name: str) -> None:
    """Refuse what can be no device, whatever there is on this machine. Raises UsageError."""
    if not _DEVICES.fullmatch(name):
        raise UsageError(f"device '{name}'", "no such device", "choose auto, cuda, cuda:N, mps or cpu")


_DEVICES = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,4})?")
