"""CUDA graphs: record a network's kernel launches once, and replay all of them with one launch.

For small pictures, launching a network's kernels one by one takes longer than running them. See "CUDA Graphs" in
torch's notes on CUDA semantics. A graph is used only if its replay gives bit-identical results, so that results do
not depend on the use of graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor

NUM_WARM_UP_RUNS = 2  # Number of runs before the recording, in which libraries choose algorithms and allocate memory


def is_recording() -> bool:
    """Return whether the current CUDA stream is being recorded as a graph."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def record(
    body: Callable[[], tuple[Tensor, ...]], device: torch.device
) -> tuple[Callable[[], None], tuple[Tensor, ...]]:
    """Record the kernels that ``body`` launches on a GPU; return the replay function and its output tensors.

    Raises RuntimeError for operations that cannot be recorded, such as a wait for the device.
    """
    graph = torch.cuda.CUDAGraph()
    # Record only this thread's launches: other threads launch uploads and filters meanwhile.
    with torch.cuda.graph(graph, stream=torch.cuda.Stream(device), capture_error_mode="thread_local"):
        outputs = body()
    return graph.replay, outputs


class RecordedNetwork:
    """A function that runs a network and replays it as a CUDA graph for the last input shape. Not thread-safe.

    ``refusal``: the reason why recording failed; '' if it did not fail. The network's weights must not change or move.
    """

    def __init__(self, run: Callable[[Tensor], Tensor], device: torch.device) -> None:
        """Create the function; ``run``: the function that runs the network on a batch, on the CUDA ``device``."""
        self._run, self._device = run, device
        self.refusal = ""
        self.forget()

    def forget(self) -> None:
        """Delete the recorded graph and its memory."""
        self._layout: Hashable = None
        self._num_runs = 0
        self._replay: Callable[[], None] | None = None
        self._input: Tensor | None = None
        self._output: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the network's output for ``x``, in memory that later calls do not overwrite."""
        layout = (x.shape, x.stride(), x.dtype)
        if layout != self._layout:
            self.forget()
            self._layout = layout
        if self._replay is not None:
            assert self._input is not None
            assert self._output is not None
            self._input.copy_(x)
            self._replay()
            return self._output.clone()
        self._num_runs += 1
        output = self._run(x)
        if not self.refusal and self._num_runs == NUM_WARM_UP_RUNS:
            self._record(x, output)
        return output

    def _record(self, x: Tensor, expected: Tensor) -> None:
        """Record the network on an input like ``x``, and check that a replay gives the output ``expected``."""
        try:
            graph_input = x.clone()
            replay, (output,) = record(lambda: (self._run(graph_input),), self._device)
            replay()
            if not torch.equal(output, expected):
                raise RuntimeError("a replay gives other numbers")
        except RuntimeError as error:
            self.refusal = str(error).partition("\n")[0]
        else:
            self._replay, self._input, self._output = replay, graph_input, output
