"""Deterministic training steps, where the device has deterministic algorithms.

On a CPU every operation used here is deterministic. On CUDA some sums of gradients are not: torch has slower,
deterministic algorithms for most of them, and warns where it has none. The names of such operations go into the
model's record. See ``torch.use_deterministic_algorithms``. For MPS torch promises nothing.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils.deterministic

from vidtrans.inference.device import Device

# Warnings of torch where it has no deterministic algorithm (or, for attention, uses none).
_WARNINGS = (
    re.compile(r"^(\S+) does not have a deterministic implementation"),
    re.compile(r"^(.+? [Aa]ttention) defaults to a non-deterministic algorithm"),
    re.compile(r"not deterministic because it uses (CuBLAS)"),
)


def nondeterministic_operation(message: str) -> str | None:
    """Return the operation that a torch warning reports as not deterministic; None for any other warning."""
    return next((found[1] for pattern in _WARNINGS if (found := pattern.search(message))), None)


@contextmanager
def deterministic(device: Device, operations: set[str]) -> Iterator[None]:
    """Use deterministic algorithms on CUDA, and add the operations that have none to ``operations``.

    Not used for rendering, which does not need it: some of the algorithms are slower.
    """
    if device.kind != "cuda":
        yield
        return
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fills, always = memory.fill_uninitialized_memory, torch.is_warn_always_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # nothing is read before it is written
    torch.set_warn_always(True)  # some warnings come once in a process, and a process may train several models
    try:
        with _collecting(operations):
            yield
    finally:
        torch.set_warn_always(always)
        memory.fill_uninitialized_memory = fills
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


@contextmanager
def _collecting(operations: set[str]) -> Iterator[None]:
    """Add nondeterministic operations to ``operations`` from warnings; show all other warnings as usual."""
    with warnings.catch_warnings():
        show: Callable[..., Any] = warnings.showwarning
        for pattern in _WARNINGS:
            warnings.filterwarnings("always", message=f".*{pattern.pattern.lstrip('^')}")

        def collect(message: Warning | str, *further: object, **more: object) -> None:
            if operation := nondeterministic_operation(str(message)):
                operations.add(operation)
            else:
                show(message, *further, **more)

        warnings.showwarning = collect
        yield


def seed_random(seed: int, device: Device) -> None:
    """Seed torch's random numbers (dropout) on ``device``.

    ``torch.manual_seed`` also keeps the seed, with a stack trace, for each kind of accelerator that is not in use: on
    a CPU that takes 1.5 ms in every step.
    """
    if device.kind == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)
