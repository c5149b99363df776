"""What decides a flow in torch besides the pictures, for cache keys. Torch itself is not imported for a GPU's."""

from __future__ import annotations

from vidtrans.core.machine import torch_version


def torch_identity(device: str, *parts: str) -> str:
    """Return what affects a flow in torch besides the pictures: versions, other ``parts``, and the kind of device."""
    kind, threads = device.partition(":")[0], []
    if kind == "cpu":
        import torch

        # The number of threads changes the order of sums, and so the rounding.
        threads.append(f"{torch.get_num_threads()} threads")
    return ", ".join([f"torch {torch_version()}", *parts, kind, *threads])
