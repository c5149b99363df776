"""Device check: report the device's name, memory, driver and library versions, and hardware precisions."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import torch

from vidtrans.core.settings import Table
from vidtrans.doctor import Checks, Verdict
from vidtrans.doctor.subject import Subject
from vidtrans.inference.device import Device, resolve_precision
from vidtrans.rendering.benchmark import machine


def device_checks(subject: Subject) -> Checks:
    """Return the single check function, by its name."""
    return {"hardware": lambda: _check(subject.device)}


def _check(device: Device) -> Verdict:
    figures: Table = machine(device) if device.torch.type == device.kind else {"device": device.name}
    figures["precision"] = resolve_precision("auto", device)
    if device.torch.type != "cuda":
        return Verdict("ok", f"{device.name}, {figures['precision']}, {torch.get_num_threads()} threads", figures)
    figures |= cuda_figures(device.torch)
    gib = int(figures["memory_bytes"]) / 2**30
    card = f"{figures['gpu']}, {gib:.0f} GiB, compute capability {figures['compute_capability']}"
    driver = f", driver for CUDA {figures['cuda_driver']}" if figures["cuda_driver"] else ""
    versions = f"CUDA {figures['cuda_runtime']}{driver}, cuDNN {figures['cudnn']}"
    bf16 = "bf16 in hardware" if figures["bf16_in_hardware"] else "no bf16 in hardware"
    tf32 = f"TF32 {'on' if figures['tf32'] else 'off'}"
    return Verdict("ok", f"{card}; {versions}; {bf16}; {tf32}", figures)


def cuda_figures(device: torch.device) -> Table:
    """Return torch's figures of a CUDA device and the versions of CUDA, driver and cuDNN."""
    card = torch.cuda.get_device_properties(device)
    driver = driver_version()
    return {
        "memory_bytes": card.total_memory,
        "compute_capability": f"{card.major}.{card.minor}",
        "cuda_runtime": torch.version.cuda,
        "cuda_driver": f"{driver // 1000}.{driver % 1000 // 10}" if driver else None,
        "cudnn": torch.backends.cudnn.version(),
        "bf16_in_hardware": torch.cuda.is_bf16_supported(including_emulation=False),
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
    }


def driver_version() -> int:
    """Return the newest CUDA that NVIDIA's driver knows, as 12040 for 12.4; 0 without that driver.

    Torch has no function for it.
    """
    version = ctypes.c_int()
    with suppress(OSError):
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1").cuDriverGetVersion(
            ctypes.byref(version)
        )
    return version.value
