"""Devices and precisions for the computation of networks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch

from vidtrans.core.costs import count
from vidtrans.core.errors import DeviceError, UsageError
from vidtrans.core.machine import check_device_name, processor

Precision = Literal["fp32", "tf32", "bf16", "fp16"]  # Number format of the network's computation
CUDA_ONLY = ("tf32", "fp16")  # Precisions that only CUDA devices support


@dataclass(frozen=True)
class Device:
    """A device by torch's name, such as 'cuda:0'; only its ``kind`` ('cpu', 'cuda', 'mps') affects results."""

    name: str
    kind: str

    @property
    def torch(self) -> torch.device:
        """Return the device as a ``torch.device``."""
        return torch.device(self.name)

    @property
    def card(self) -> str:
        """Return the product name of a CUDA device; '' for other devices."""
        return str(torch.cuda.get_device_name(self.torch)) if self.torch.type == "cuda" else ""


CPU = Device("cpu", "cpu")  # The device of all computations without a GPU


def resolve_device(name: str) -> Device:
    """Return the device for a value of ``--device``. Raises UsageError, or DeviceError if it does not exist."""
    check_device_name(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind = name.partition(":")[0]
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device '{name}'", "no CUDA device here", "use --device cpu")
    if kind == "cuda" and ":" in name and int(name.partition(":")[2]) >= torch.cuda.device_count():
        raise DeviceError(
            f"device '{name}'", f"{count(torch.cuda.device_count(), 'CUDA device')} here", "choose another"
        )
    if kind == "cuda":
        # Use the same kernels and rounding in every run, and no TF32 in "fp32".
        # cuBLAS reads the variable when it starts: workspaces of fixed size fix the order of summation on a stream.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("device 'mps'", "no Apple GPU here", "use --device cpu")
    return Device(name, kind)


def resolve_precision(precision: str, device: Device, setting: str = "precision") -> Precision:
    """Return the precision to use on a device; ``auto`` is bf16 where the hardware is fast in it, otherwise fp32.

    Raises UsageError for fp16 and tf32 without CUDA. ``setting``: the name of the user's setting, for this error.
    """
    if precision in CUDA_ONLY and device.kind != "cuda":
        raise UsageError(
            f"{setting} = '{precision}'", f"needs CUDA, the device is {device.kind}", "choose auto or bf16"
        )
    if precision != "auto":
        return cast(Precision, precision)
    if device.kind == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device.kind == "cpu":
        # Intel's processors with bf16 but without AMX, and virtual machines that hide it, take twice as long as in fp32
        fast = torch.cpu._is_amx_tile_supported() or (
            torch.cpu._is_avx512_bf16_supported() and "intel" not in processor().lower()
        )
        # The variable ONEDNN_MAX_CPU_ISA may limit oneDNN to some of the processor's instructions.
        return "bf16" if fast and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "fp32"
    return "fp32"


def to_device(tensor: torch.Tensor, device: Device) -> torch.Tensor:
    """Copy a tensor to the device, through pinned memory so that the copy overlaps with a GPU's computations."""
    tensor = tensor.pin_memory() if device.kind == "cuda" and tensor.device.type == "cpu" else tensor
    return tensor.to(device.torch, non_blocking=True)


def torch_dtype(precision: Precision) -> torch.dtype:
    """Return the torch dtype of weights and inputs for a precision; tf32 uses float32."""
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


@contextmanager
def tensor_float32(precision: Precision) -> Iterator[None]:
    """Enable TF32 for matrix products and convolutions on CUDA within this context if the precision is 'tf32'.

    The setting is process-wide: no other thread may compute in full fp32 at the same time.
    """
    if precision != "tf32":
        yield
        return
    backends: Any = (torch.backends.cuda.matmul, torch.backends.cudnn)
    previous = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = True
    try:
        yield
    finally:
        for backend, allowed in zip(backends, previous, strict=True):
            backend.allow_tf32 = allowed
