"""Two CUDA devices on a machine that has none: everything is asked for and named as on GPUs, and runs on the CPU.

There is one seam: where a ``Device`` is handed to torch, it is the CPU. What a test shows here is what the code does
with names and kinds of devices, not what a GPU computes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COUNT = 2
LOG = "TWO_GPUS_LOG"  # a variable: the file to which each process adds the devices that it resolves


def environment(log: Path) -> dict[str, str]:
    """Return the variables by which processes that are started see two GPUs."""
    path = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    visible = ",".join(map(str, range(COUNT)))
    return {"PYTHONPATH": os.pathsep.join(path), "CUDA_VISIBLE_DEVICES": visible, LOG: str(log)}


def of_machine(machine: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield what to set in ``vidtrans.core.machine``: (object, attribute, value)."""
    yield machine, "_torch_build", lambda: "cuda"


def of_torch(device: Any) -> Iterator[tuple[Any, str, Any]]:
    """Yield what to set in torch and in ``vidtrans.inference.device``."""
    import torch

    yield torch.cuda, "is_available", lambda: True
    yield torch.cuda, "device_count", lambda: COUNT
    yield torch.cuda, "is_bf16_supported", lambda including_emulation=True: False
    # As in a build without CUDA: with it, optimizers ask the driver, which is absent, for the GPU's stream. The first
    # is what those of torch 2.8 ask.
    yield torch.cuda, "is_current_stream_capturing", lambda: False
    yield torch.accelerator, "current_accelerator", lambda check_available=False: None
    yield torch.backends.cudnn, "version", lambda: None  # that of torch 2.15 asks the driver
    yield torch.Tensor, "pin_memory", lambda tensor: tensor
    yield torch.cuda, "CUDAGraph", _no_graphs  # where a GPU is there, it would record nothing of what the CPU does
    yield device.Device, "torch", property(_placed)


def _no_graphs() -> Any:
    raise RuntimeError("no CUDA graphs here")


def _placed(device: Any) -> Any:
    import torch

    if (log := os.environ.get(LOG)) is not None:
        with Path(log).open("a") as file:
            file.write(f"{device.name}\n")
    return torch.device("cpu")
