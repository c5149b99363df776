"""BatchNorm statistics estimated anew after training, on whole pictures, with the final weights.

The running averages of training lag behind the weights and were taken from crops. Per-frame statistics, as in
the paper's own test mode, would make the brightness of a video pump.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


@torch.no_grad()
def reestimate(generator: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Replace the running statistics by plain averages over ``inputs``, batches (N, C, H, W) in [−1, 1]."""
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
