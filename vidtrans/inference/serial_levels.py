"""From a network's numbers in [−1, 1] to levels of pictures and back, by numpy, in this thread alone.

torch's threads, which wait for work by spinning, slow down those of a library that runs a network.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def to_levels_serially(output: Tensor, *, deep: bool) -> Tensor:
    """Return the same as ``torch_engine.to_levels``, of numbers on the CPU."""
    top = 65535 if deep else 255
    levels = output.numpy() + np.float32(1)
    levels *= np.float32(top / 2)
    np.rint(levels, out=levels).clip(0, top, out=levels)
    pictures = levels.astype(np.uint16).view(np.int16) if deep else levels.astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)))


def from_levels_serially(levels: Tensor, middle: float) -> Tensor:
    """Return (N, C, H, W) levels on the CPU as float32 in [−1, 1]; ``middle`` is that of the levels."""
    values = np.ascontiguousarray(levels.numpy()).astype(np.float32)
    values /= np.float32(middle)
    values -= np.float32(1)
    return torch.from_numpy(values)
