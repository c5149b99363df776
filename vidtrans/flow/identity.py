"""Identify the torch installation that computes a flow, for cache keys; torch is imported only for flow on a CPU."""

from __future__ import annotations

from vidtrans.core.machine import torch_version


def torch_identity(device: str, *parts: str) -> str:
    """Return the properties of torch that affect a flow (versions, kind of device, threads), and other ``parts``."""
    kind, threads = device.partition(":")[0], []
    if kind == "cpu":
        import torch

        # The number of threads changes the order of sums, and therefore the rounding.
        threads.append(f"{torch.get_num_threads()} threads")
    return ", ".join([f"torch {torch_version()}", *parts, kind, *threads])
