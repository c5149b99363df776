"""An exponential moving average of the generator's weights: what a render shows, while training goes on unsteadily."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class WeightAverage:
    """``network`` is a copy of the generator with averaged weights.

    Early on the decay is (1 + n) / (10 + n) after n updates, so that the first weights are soon forgotten. What is no
    weight (BatchNorm's running statistics) is copied as it is: averaged weights have statistics of their own, which
    are estimated anew before the model is written.
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.network = copy.deepcopy(generator).requires_grad_(False)

    @torch.no_grad()
    def update(self, generator: nn.Module) -> None:
        """After a step of ``generator``."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(list(self.network.parameters()), list(generator.parameters()), 1 - decay)
        for mine, its in zip(self.network.buffers(), generator.buffers(), strict=True):
            mine.copy_(its)

    def state(self) -> dict[str, Any]:
        """Return the averaged weights and the number of updates."""
        return {"weights": self.network.state_dict(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned."""
        self.network.load_state_dict(state["weights"])
        self.updates = int(state["updates"])
