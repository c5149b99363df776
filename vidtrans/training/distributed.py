"""Training in several processes, started by PyTorch's launcher; each process computes a share of every batch.

    torchrun --nproc-per-node 4 -m vidtrans train clip.dataset

All processes start with the same weights and take the same steps, with averaged gradients; rank 0 writes. BatchNorm
uses only the examples of its own process, as in DistributedDataParallel (Li et al., VLDB 2020); the running statistics
of rank 0 are used.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from vidtrans.core.costs import count
from vidtrans.core.errors import DeviceError, UsageError
from vidtrans.core.machine import is_distributed
from vidtrans.core.settings import Table


@dataclass(frozen=True)
class DistContext:
    """The position of this process in a distributed run: its number ``rank``, from 0, among ``size`` processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Return whether this is rank 0, which writes files and reports progress."""
        return self.rank == 0

    def share(self, batch: int) -> range:
        """Return this process's indices into a batch of ``batch`` pairs.

        Raises UsageError on a remainder of the division.
        """
        if batch % self.size:
            size = -(-batch // self.size) * self.size
            remedy = f"use --set training.batch_size={size}, or another number of processes"
            raise UsageError(f"{self.size} processes", f"a batch of {batch} cannot be divided evenly", remedy)
        each = batch // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def device(self, name: str) -> str:
        """Return the name of this process's device: its own GPU if there is one and ``name`` is 'auto' or 'cuda'.

        Raises DeviceError, in all processes of this machine, if the machine has fewer GPUs than processes.
        """
        if self.size == 1 or name not in ("auto", "cuda") or not torch.cuda.is_available():
            return name
        num_processes, num_gpus = int(os.environ.get("LOCAL_WORLD_SIZE", 0)), torch.cuda.device_count()
        if num_processes > num_gpus:
            remedy = f"start {num_gpus}, or use --device cpu"
            why = f"it has {count(num_gpus, 'CUDA device')}"
            raise DeviceError(f"{num_processes} processes on this machine", why, remedy)
        return f"cuda:{os.environ.get('LOCAL_RANK', self.rank)}"

    def average_gradients(self, network: nn.Module) -> None:
        """Replace each gradient of a network by its mean over the processes, in place; a missing gradient is 0."""
        if self.size == 1:
            return
        trained = [p for p in network.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        self._average(gradients)
        for parameter, gradient in zip(trained, gradients, strict=True):
            parameter.grad = gradient

    def mean(self, values: Sequence[float]) -> list[float]:
        """Return the mean over the processes of each number in ``values``, such as a loss."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        self._average([tensor])
        means: list[float] = tensor.tolist()
        return means

    def any(self, flag: bool) -> bool:
        """Return whether ``flag`` is True in any process, so that all processes stop at the same step."""
        return self.mean([float(flag)])[0] > 0

    def broadcast(self, value: Table | str | None = None) -> Table | str | None:
        """Return the main process's ``value`` in all processes; blocks until the value arrives."""
        values = [value]
        if self.size > 1:
            distributed.broadcast_object_list(values, 0, device=torch.device("cpu"))
        return values[0]

    def barrier(self) -> None:
        """Wait until all processes have reached this call."""
        self.mean([0.0])

    def _average(self, tensors: Sequence[Tensor]) -> None:
        """Average each tensor over the processes, in place; all tensors are sent in one message."""
        flat = torch.cat([t.reshape(-1) for t in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        for tensor, mean in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))


SINGLE_PROCESS = DistContext()  # The context of a run in one process.


@contextmanager
def distributed_context() -> Iterator[DistContext]:
    """Yield the context that the launcher's environment variables define; without a launcher, ``SINGLE_PROCESS``.

    Raises UsageError if the variables are incomplete.
    """
    if not is_distributed():
        yield SINGLE_PROCESS
        return
    try:
        dist = DistContext(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    except (KeyError, ValueError) as error:
        why = f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but RANK is not known ({error})"
        raise UsageError("training in several processes", why, "start them with torchrun") from None
    # If the first optimizer step imports torch._dynamo, this module keeps a reference to the process group.
    # The group's threads then outlive destroy_process_group and may abort the process at its end (PyTorch 2.13).
    importlib.import_module("torch._dynamo")
    # Losses and flags are exchanged from CPU memory, so the backend gloo is needed with any device.
    backends = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    with _stdout_to_stderr():
        distributed.init_process_group(backends, rank=dist.rank, world_size=dist.size)
    try:
        yield dist
    finally:
        distributed.destroy_process_group()


@contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """Redirect native code's stdout to stderr: Gloo of PyTorch 2.8 to 2.10 prints each connection there."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
