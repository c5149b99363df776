"""Several processes that train one model: PyTorch's launcher starts them, each has its share of every batch.

    torchrun --nproc-per-node 4 -m vidtrans train clip.dataset

All begin with the same weights and take the same steps, for gradients are averaged before each. The first one writes.
BatchNorm sees a process's share only, as in DistributedDataParallel (Li et al., VLDB 2020); its running statistics are
the first one's.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn

from vidtrans.errors import UsageError
from vidtrans.launcher import is_distributed


@dataclass(frozen=True)
class DistContext:
    """The processes of a run, ``size`` of them; this one is number ``rank``. One alone has nothing to exchange."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this one writes and speaks."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """Which of a step's pairs are this one's. Raises UsageError where they cannot be dealt out evenly."""
        if batch % self.size:
            remedy = (
                f"use --set training.batch_size={-(-batch // self.size) * self.size}, or another number of processes"
            )
            raise UsageError(f"{self.size} processes", f"a batch of {batch} cannot be dealt out evenly", remedy)
        each = batch // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def device(self, wanted: str) -> str:
        """Each process of a machine has a GPU of its own, where any is wanted or found."""
        if self.size == 1 or wanted not in ("auto", "cuda") or not torch.cuda.is_available():
            return wanted
        return f"cuda:{os.environ.get('LOCAL_RANK', self.rank)}"

    def average_gradients(self, network: nn.Module) -> None:
        """Every parameter's gradient becomes its mean over the processes; one without counts as 0. In place."""
        if self.size == 1:
            return
        trained = [p for p in network.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        self._average(gradients)
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the means of numbers, such as losses, over the processes."""
        if self.size == 1:
            return list(values)
        held = torch.tensor(values, dtype=torch.float64)
        self._average([held])
        found: list[float] = held.tolist()
        return found

    def any(self, flag: bool) -> bool:
        """Whether it is so in any of the processes: what one must do (stop), all do at the same step."""
        return self.mean([float(flag)])[0] > 0

    def broadcast(self, value: Any = None) -> Any:
        """Return the first process's ``value`` in all processes; blocks until it arrives."""
        held = [value]
        if self.size > 1:
            distributed.broadcast_object_list(held, 0, device=torch.device("cpu"))
        return held[0]

    def barrier(self) -> None:
        """Until all have come here."""
        self.mean([0.0])

    def _average(self, tensors: Sequence[Tensor]) -> None:
        """Exchanged as one: a message for each would cost more than what it holds. In place."""
        flat = torch.cat([t.reshape(-1) for t in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))


SINGLE_PROCESS = DistContext()


@contextmanager
def distributed_context() -> Iterator[DistContext]:
    """Yield the context that the launcher's environment describes, else ``SINGLE_PROCESS``.

    Raises UsageError where the environment is not a launcher's.
    """
    if not is_distributed():
        yield SINGLE_PROCESS
        return
    try:
        dist = DistContext(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    except (KeyError, ValueError) as error:
        why = f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but RANK is not known ({error})"
        raise UsageError("training in several processes", why, "start them with torchrun") from None
    # The first step of an optimiser imports this. If that is after the group was made, it refers to the group for ever:
    # its threads then outlive destroy_process_group and may abort the process at its end (measured with PyTorch 2.13).
    importlib.import_module("torch._dynamo")
    # Tensors go by what their device has: losses and flags lie on the CPU wherever the networks are.
    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backends, rank=dist.rank, world_size=dist.size)
    try:
        yield dist
    finally:
        distributed.destroy_process_group()
