"""Replay a training step as one CUDA graph: launching kernels one by one takes longer than a small network needs.

The first steps run as usual. Then one step is run, recorded, undone and replayed. If the replay gives the same losses,
weights and optimizer state to the last bit, all further steps are replays; otherwise the graph is dropped. So a run has
the same result with and without graphs. See "CUDA Graphs" in torch's notes on CUDA semantics.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial

import torch
from torch import Tensor

from vidtrans.inference.cuda_graphs import record

WARM_UP = 3  # steps before one is recorded: libraries choose algorithms and allocate in them
Body = Callable[..., tuple[Tensor, ...]]


class CapturedStep:
    """Runs training steps, as replays of a CUDA graph if possible. ``refusal``: why they are not replayed, or ''.

    ``state``: returns the tensors that a step changes in place, always the same tensors in the same order.
    """

    def __init__(self, state: Callable[[], Sequence[Tensor]], device: torch.device) -> None:
        self._state, self._device = state, device
        self.refusal = ""
        self.forget()

    @property
    def is_replaying(self) -> bool:
        """Return whether a graph is recorded, which the next steps of the same kind replay."""
        return self._replay is not None

    def forget(self) -> None:
        """Drop the graph. Call it whenever the state's tensors were replaced by others."""
        self._kind: Hashable = None
        self._num_taken = 0
        self._replay: Callable[[], None] | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: tuple[Tensor, ...] = ()

    def __call__(self, kind: Hashable, body: Body, inputs: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
        """Run a step and return the output of ``body`` for ``inputs``; a later call may overwrite these tensors.

        Args:
            kind: A label of the step: steps with equal labels and input shapes launch the same kernels.
            body: Reads its arguments and the state; does not wait for the device, and seeds nothing.
            inputs: Tensors on the device.
            seed: Seed of the random numbers that ``body`` draws.
        """
        kind = (kind, tuple((t.shape, t.stride()) for t in inputs))
        if kind != self._kind:
            self.forget()
            self._kind = kind
        if self._replay is not None:
            for own, given in zip(self._inputs, inputs, strict=True):
                own.copy_(given)
            torch.manual_seed(seed)
            self._replay()
            return self._outputs
        self._num_taken += 1
        if self.refusal or self._num_taken <= WARM_UP:
            torch.manual_seed(seed)
            return body(*inputs)
        return self._take_and_record(body, inputs, seed)

    def _take_and_record(self, body: Body, inputs: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
        before = _copied(self._state())
        torch.manual_seed(seed)
        wanted = body(*inputs)
        after = _copied(self._state())
        try:
            own = tuple(_copied(inputs))
            replay, outputs = record(partial(body, *own), self._device)
            _restore(self._state(), before)
            torch.manual_seed(seed)
            replay()
            if not _equal((*outputs, *self._state()), (*wanted, *after)):
                raise RuntimeError("a replay gives other numbers")
        except RuntimeError as error:
            self.refusal = str(error).partition("\n")[0]
            _restore(self._state(), after)
        else:
            self._replay, self._inputs, self._outputs = replay, own, outputs
        return wanted


@torch.no_grad()
def _copied(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [t.detach().clone() for t in tensors]


@torch.no_grad()
def _restore(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


def _equal(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))
