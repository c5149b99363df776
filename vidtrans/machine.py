"""What this machine has, found without importing torch."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
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


def device_kind(name: str) -> str:
    """Return the kind of a ``--device``: 'cuda', 'mps' or 'cpu'; of ``auto``, the kind that torch would choose here.

    It goes into the digest of a request, which is compared before torch is imported. A device's number is not in it:
    the same request on another GPU of the same machine makes the same result.
    """
    if name != "auto":
        return name.partition(":")[0]
    if cuda_devices():
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def cuda_devices() -> int:
    """Return the number of NVIDIA GPUs that the installed torch may use."""
    if not torch_has_cuda():
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return _installed_gpus()
    count = 0
    for entry in visible.split(","):
        if not re.fullmatch(r"\d+|(GPU|MIG)-\S+", entry.strip()):
            break  # CUDA ignores this entry (such as -1) and all that follow
        count += 1
    return count


def torch_has_cuda() -> bool:
    """Return whether the installed torch was built for GPUs, as its version file says."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return False
    with suppress(OSError):
        text = (Path(spec.origin).parent / "version.py").read_text()
        return re.search(r"^(cuda|hip)\b[^=\n]*=\s*['\"]", text, re.MULTILINE) is not None
    return False


@cache
def _installed_gpus() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def check_device_name(name: str) -> None:
    """Refuse what can be no device, whatever there is on this machine. Raises UsageError."""
    if not _DEVICES.fullmatch(name):
        raise UsageError(f"device '{name}'", "no such device", "choose auto, cuda, cuda:N, mps or cpu")


_DEVICES = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,4})?")
