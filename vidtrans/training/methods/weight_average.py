"""Averages for the final model: weights over steps, and BatchNorm statistics over pictures."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of a generator's weights, in the copy ``network``.

    Early on the decay is (1 + n) / (10 + n) after n updates, so that the first weights are soon forgotten. Buffers are
    copied: BatchNorm statistics are re-estimated before the model is written, see ``reestimate``.
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.network = copy.deepcopy(generator).requires_grad_(False)
        # Listed once: to walk through the layers of a small network in each step takes a twentieth of it.
        self._own: list[Tensor] = list(self.network.parameters())
        self._latest: list[Tensor] = list(generator.parameters())
        self._buffers = list(zip(self.network.buffers(), generator.buffers(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Update the average after a step of the generator."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._own, self._latest, 1 - decay)
        for own, new in self._buffers:
            own.copy_(new)

    def state(self) -> dict[str, Any]:
        """Return the averaged weights and the number of updates."""
        return {"weights": self.network.state_dict(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state returned by ``state``."""
        self.network.load_state_dict(state["weights"])
        self.updates = int(state["updates"])


@torch.no_grad()
def reestimate(generator: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Replace BatchNorm's running statistics by plain averages over ``inputs``, batches (N, C, H, W) in [−1, 1].

    The running averages of training lag behind the weights and stem from crops. Per-frame statistics, as in the
    paper's own test mode, would make the brightness of a video pump.
    """
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [n.momentum for n in norms]
    generator.eval()  # no dropout; only the norms are in train mode
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in inputs:
        generator(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.eval()
