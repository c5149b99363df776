"""Three frames in a row: what came right before some of a batch's pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

BEFORE = 2  # frames of a row that are there before the last
CHANNELS = 3 * (BEFORE + 1)


@dataclass(frozen=True)
class PrecedingFrames:
    """The two frames right before some of a batch: of its ``rows`` (M,), what was ``painted`` and the ``targets``.

    Both (M, 6, H, W) float32 in [−1, 1], the older frame first. ``share``: of all triples of a step.
    """

    rows: Tensor
    painted: Tensor
    targets: Tensor
    share: float = 1.0

    def placed(self, device: torch.device, layout: torch.memory_format) -> PrecedingFrames:
        """Return the same on a device."""
        painted, targets = (t.to(device, memory_format=layout) for t in (self.painted, self.targets))
        return replace(self, rows=self.rows.to(device), painted=painted, targets=targets)

    def within(self, first: int, stop: int, of: float) -> PrecedingFrames | None:
        """Those of the batch's rows ``first`` … ``stop − 1``, counted from there, as a share ``of`` so many."""
        inside = (self.rows >= first) & (self.rows < stop)
        if not (count := int(inside.sum())):
            return None
        return PrecedingFrames(self.rows[inside] - first, self.painted[inside], self.targets[inside], count / of)

    def fake(self, outputs: Tensor) -> Tensor:
        """Triples (M, 9, H, W), whose last frames are of the batch's outputs, (N, 3, H, W)."""
        return torch.cat([self.painted, outputs[self.rows]], 1)

    def real(self, targets: Tensor) -> Tensor:
        """Return the same triples of the targets."""
        return torch.cat([self.targets, targets[self.rows]], 1)
