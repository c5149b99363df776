"""The machine: its processor, device kinds and this process's rank, found without importing torch; memory settings."""

from __future__ import annotations

import importlib
import os
import platform
import re
import subprocess
import sys
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidtrans.core.errors import UsageError

ROOT = Path("/")  # Root of the file system, below which the kernel lists its devices
ARENA_MAX, MMAP_THRESHOLD, TRIM_THRESHOLD = -8, -3, -1  # Parameters of the C function mallopt, as glibc numbers them
# Minimum size of freed memory blocks that ``return_large_blocks`` returns to the system, in bytes
LARGE_BLOCK_BYTES = 4_000_000
# Number of rendered pixels between two releases of freed memory: one 4K picture, or four of 1080p
RELEASE_PIXELS = 8_000_000


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def import_onnx_runtime() -> Any:  # noqa: ANN401  (a module without types)
    """Import ONNX Runtime without its telemetry, and return the module. Raises ImportError if it is not installed.

    Version 1.32 writes a telemetry session file to the folder for temporary files when it is imported.
    """
    if not sys.modules.get("onnxruntime"):
        before = os.environ.get("TMPDIR")
        with TemporaryDirectory() as folder:
            os.environ["TMPDIR"] = folder
            try:
                importlib.import_module("onnxruntime")
            finally:
                os.environ.pop("TMPDIR")
                if before is not None:
                    os.environ["TMPDIR"] = before
    runtime = sys.modules["onnxruntime"]
    with suppress(AttributeError):
        runtime.disable_telemetry_events()
    return runtime


def start_onnx_session(file: bytes, threads: int) -> Any:  # noqa: ANN401  (of a module without types)
    """Return a session of ONNX Runtime on the CPU that logs nothing. Raises whatever ONNX Runtime raises."""
    runtime = import_onnx_runtime()
    runtime.set_default_logger_severity(4)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # Waiting threads use no CPU time
    return runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def set_up_heap() -> None:
    """Make glibc share one heap among all threads, and keep freed memory in it; without glibc, do nothing.

    Call it before threads start. By default each thread has a heap, which keeps freed memory: with one heap, a 720p
    render with the window filter takes a sixth less memory, in the same time. Memory that one frame frees, in blocks
    of up to 32 MB, is reused by the next frame: returning it to the system and getting it back page by page took 2 % of
    that render's time.
    """
    if sys.platform == "linux":
        for option, value in ((ARENA_MAX, 1), (MMAP_THRESHOLD, 32 << 20), (TRIM_THRESHOLD, 256 << 20)):
            _set_heap(option, value)


def _set_heap(option: int, value: int) -> None:
    """Set a parameter of glibc's memory allocator (mallopt), if the system has it."""
    import ctypes  # The import takes milliseconds.

    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(option, value)


def return_large_blocks(kind: str, width: int, height: int) -> None:
    """Make glibc return each freed block of 4 MB or more to the system, if a picture is that large.

    Does nothing for a device ``kind`` other than cpu. The window filter at 1080p leaves holes of 150 to 700 MB between
    the blocks that it keeps. Returning them costs 1 % of its time; with blocks of 1 MB it would be 14 %.
    """
    if sys.platform == "linux" and kind == "cpu" and 3 * width * height >= LARGE_BLOCK_BYTES:
        _set_heap(MMAP_THRESHOLD, LARGE_BLOCK_BYTES)


def release_interval(width: int, height: int) -> int:
    """Return the number of pictures between two calls of ``release_freed_memory``, in a render on a CPU."""
    return max(1, -(-RELEASE_PIXELS // (width * height)))


def release_freed_memory() -> None:
    """Make glibc return the heap's freed memory to the system: see ``set_up_heap``.

    Large pictures leave holes between the used blocks, up to a fifth of a render's memory. Returning them and getting
    new memory takes 0.06 s, so it is done once every ``RELEASE_PIXELS``, for which a network on a CPU takes seconds.
    """
    if sys.platform == "linux":
        import ctypes

        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def use_huge_pages() -> None:
    """Make torch allocate CPU tensors on huge pages, if the system has them; results are unchanged.

    A training step frees and allocates hundreds of megabytes; with 4 kB pages that takes a fifth of U-Net 256's CPU
    time. Torch reads the variable when it first allocates memory; a value set by the user is kept.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def release_cached_memory(device_kind: str) -> None:
    """Return torch's unused cached memory to the device, because cuBLAS and cuDNN cannot use it."""
    import torch  # The caller has already imported it.

    if device_kind == "cuda":
        torch.cuda.empty_cache()
    elif device_kind == "mps":
        torch.mps.empty_cache()


def processor() -> str:
    """Return the CPU's model name as the system reports it."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def device_kind(name: str) -> str:
    """Return the kind of a ``--device``: 'cuda', 'mps' or 'cpu'; for ``auto``, the kind that torch would choose here.

    Digests of requests are compared before torch is imported, and contain the kind. They do not contain the device's
    number, because another GPU of the same machine gives the same result.
    """
    if name != "auto":
        return name.partition(":")[0]
    if num_cuda_devices():
        return "cuda"
    return "mps" if sys.platform == "darwin" and platform.machine() == "arm64" else "cpu"


def num_cuda_devices() -> int:
    """Return the number of NVIDIA GPUs, or AMD GPUs with ROCm, that the installed torch may use."""
    if not _torch_build():
        return 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return _installed_gpus()
    entries: list[str] = []
    for entry in map(str.strip, visible.split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-\S+", entry):
            break  # CUDA ignores this entry (such as -1) and all later ones.
        if entry in entries:
            return 0  # CUDA shows no GPU if one is listed twice.
        entries.append(entry)
    # CUDA lets a process use only one instance of a divided GPU (MIG), even if several are listed.
    return 1 if entries and entries[0].startswith("MIG-") else len(entries)


def _torch_build() -> str:
    """Return the GPU platform of the installed torch: 'cuda', 'hip' (ROCm), or ''."""
    found = re.search(r"^(cuda|hip)\b[^=\n]*=\s*['\"]", _torch_version_file(), re.MULTILINE)
    return found[1] if found else ""


def torch_version() -> str:
    """Return the version of the installed torch without its build suffix, such as '2.13.0'; '' if it is unknown."""
    found = re.search(r"^__version__\b[^=\n]*=\s*['\"]([^'\"+]+)", _torch_version_file(), re.MULTILINE)
    return found[1] if found else ""


def _torch_version_file() -> str:
    """Return the text of torch's version file, read without importing torch; '' if there is no such file."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return ""
    with suppress(OSError):
        return (Path(spec.origin).parent / "version.py").read_text("utf-8")
    return ""


@cache
def _installed_gpus() -> int:
    """Return the number of GPUs in this machine that the installed torch supports."""
    if _torch_build() == "hip":
        return _amd_gpus()
    try:
        listed = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, encoding="utf-8", errors="replace", timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return _nvidia_gpus()  # Slim containers lack the program.
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines()) if listed.returncode == 0 else 0


def _nvidia_gpus() -> int:
    """Return the number of GPUs listed in the files of NVIDIA's driver."""
    devices = [p for p in (ROOT / "dev").glob("nvidia*") if re.fullmatch(r"nvidia\d+", p.name)]
    return len(devices) or len(list((ROOT / "proc/driver/nvidia/gpus").glob("*")))


def _amd_gpus() -> int:
    """Return the number of GPUs listed in the files of AMD's driver; 1 if the driver lists none."""
    if not (ROOT / "dev/kfd").exists():
        return 0
    return max(1, len(list((ROOT / "dev/dri").glob("renderD*"))))


def check_device_name(name: str) -> None:
    """Raise UsageError if a text is not a device's name. The device need not exist on this machine."""
    if not _DEVICES.fullmatch(name):
        raise UsageError(f"device '{name}'", "no such device", "choose auto, cuda, cuda:N, mps or cpu")


_DEVICES = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,4})?")  # Valid values of --device: auto, cpu, mps, cuda, cuda:1


def is_distributed() -> bool:
    """Return whether this process is one of several processes of a distributed job (WORLD_SIZE)."""
    return os.environ.get("WORLD_SIZE", "1") != "1"


def is_secondary_rank() -> bool:
    """Return whether this process is distributed and not rank 0, which reports for all ranks."""
    return is_distributed() and os.environ.get("RANK", "0") != "0"
