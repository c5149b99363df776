"""CUDA graphs: what is launched again and again is recorded once and replayed, which takes one launch.

Launching a network's kernels one by one takes longer than they run where pictures are small. See "CUDA Graphs" in
torch's notes on CUDA semantics. A replay is used only where it gives the same numbers to the last bit, so that results
do not depend on whether there is a graph.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial

import torch
from torch import Tensor

WARM_UP = 2  # runs before one is recorded: libraries choose algorithms and allocate in them


def is_recording() -> bool:
    """Return whether what is computed now is recorded, not run."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def record(
    body: Callable[[], tuple[Tensor, ...]], device: torch.device
) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """Record what ``body`` launches on a GPU; return what replays it, and the tensors that a replay fills.

    Raises RuntimeError where something cannot be recorded, such as a wait for the device.
    """
    graph = torch.cuda.CUDAGraph()
    # Other threads upload meanwhile, or filter.
    with torch.cuda.graph(graph, stream=torch.cuda.Stream(device), capture_error_mode="thread_local"):
        outputs = body()
    return graph.replay, outputs


class RecordedNetwork:
    """Runs a network, and replays it for the shape that it saw last. Not for two threads at once.

    ``refusal`` says why there is no graph, '' so far. The network's weights stay as they are, and where they are.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], device: torch.device) -> None:
        self._run, self._device = run, device
        self.refusal = ""
        self.forget()

    def forget(self) -> None:
        """Drop the graph, and the memory that it holds."""
        self._kind: Hashable = None
        self._num_runs = 0
        self._replay: Callable[[], None] | None = None
        self._input: Tensor | None = None
        self._output: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the network makes of a tensor; it is the caller's."""
        kind = (x.shape, x.stride(), x.dtype)
        if kind != self._kind:
            self.forget()
            self._kind = kind
        if self._replay is not None:
            assert self._input is not None
            assert self._output is not None
            self._input.copy_(x)
            self._replay()
            return self._output.clone()
        self._num_runs += 1
        made = self._run(x)
        if not self.refusal and self._num_runs == WARM_UP:
            self._record(x, made)
        return made

    def _record(self, x: Tensor, wanted: Tensor) -> None:
        """Record the network, and check the replay against what it made of ``x``."""
        try:
            own = x.clone()
            replay, (output,) = record(partial(_as_tuple, self._run, own), self._device)
            replay()
            if not torch.equal(output, wanted):
                raise RuntimeError("a replay gives other numbers")
        except RuntimeError as error:
            self.refusal = str(error).partition("\n")[0]
        else:
            self._replay, self._input, self._output = replay, own, output


def _as_tuple(run: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, ...]:
    return (run(x),)
