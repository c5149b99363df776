"""Grow pictures to sizes that a network takes."""

from __future__ import annotations

import torch
from torch import Tensor


def pad_by_mirroring(x: Tensor, multiple: int) -> Tensor:
    """Return (N, C, H, W) with its sides grown to a multiple, right and below, by mirroring."""
    height, width = x.shape[2:]
    return grow_by_mirroring(x, height + -height % multiple, width + -width % multiple)


def grow_by_mirroring(x: Tensor, height: int, width: int) -> Tensor:
    """Return (N, C, H, W) grown to a height and a width, right and below, by mirroring; never made smaller."""
    for side, wanted in ((2, height), (3, width)):
        length = x.shape[side]
        if length < wanted:
            at = torch.arange(wanted, device=x.device) % (2 * length)
            x = x.index_select(side, torch.minimum(at, 2 * length - 1 - at))
    return x
