"""Counts of what tensor operations cost a GPU: kernels, bytes read and written, memory held."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

ALLOCATIONS = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided"}
ONE_KERNEL = {"upsample_bilinear2d"}  # torch can take them apart, and does not when it runs them


def tensors(value: Any) -> list[torch.Tensor]:
    return [t for t in tree_flatten(value)[0] if isinstance(t, torch.Tensor)]


def size_of(tensor: torch.Tensor) -> int:
    """In bytes; what is repeated along an axis counts once."""
    sides = [n for n, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
    return int(torch.Size(sides).numel()) * tensor.element_size()


class LaunchCounter(TorchDispatchMode):
    """While active: operations that are no views, the bytes of their inputs and outputs, the most bytes held."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels: Counter[str] = Counter()
        self.moved: Counter[str] = Counter()  # bytes
        self.held = self.peak = 0
        self._storages: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = dict(kwargs or {})
        name = func._schema.name.partition("::")[2]
        if name not in ONE_KERNEL:
            with self:
                result = func.decompose(*args, **given)
            if result is not NotImplemented:
                return result
        result = func(*args, **given)
        before, after = tensors((args, given)), tensors(result)
        for tensor in after:
            self._hold(tensor)
        mutates = func._schema.is_mutable
        known = {t.untyped_storage()._cdata for t in before}
        is_view = not mutates and all(t.untyped_storage()._cdata in known for t in after)
        if name not in ALLOCATIONS and not is_view:
            once = {(t.data_ptr(), t.shape, t.stride()): size_of(t) for t in before + after}
            reads_own = mutates and "out" not in given and name not in ("copy_", "fill_", "zero_")
            self.kernels[name] += 1
            self.moved[name] += sum(once.values()) + (size_of(before[0]) if reads_own else 0)
        return result

    def _hold(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._storages:
            self._storages[key] = storage.nbytes()
            self.held += storage.nbytes()
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._let_go, key)

    def _let_go(self, key: int) -> None:
        self.held -= self._storages.pop(key)
