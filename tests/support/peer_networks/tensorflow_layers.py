"""TensorFlow's convolutions of stride 1 and 2 with SAME padding, on (N, C, H, W) and kernels in TensorFlow's order."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def same_conv(x: Tensor, kernel: Tensor, stride: int) -> Tensor:
    """Convolve with a kernel (height, width, in, out); zeros are added, the odd one after."""
    pads: list[int] = []
    for side, size in ((x.shape[3], kernel.shape[1]), (x.shape[2], kernel.shape[0])):
        total = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), kernel.permute(3, 2, 0, 1), stride=stride)


def same_conv_transpose(x: Tensor, kernel: Tensor) -> Tensor:
    """Return the transpose of ``same_conv`` of stride 2, its sides doubled; the kernel is (height, width, out, in)."""
    whole = F.conv_transpose2d(x, kernel.permute(3, 2, 0, 1), stride=2)
    top, left = ((kernel.shape[axis] - 2) // 2 for axis in (0, 1))
    return whole[:, :, top : top + 2 * x.shape[2], left : left + 2 * x.shape[3]]


def own_statistics_norm(x: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """Normalise each channel of each picture by its own mean and variance, also of a single pixel."""
    variance, mean = torch.var_mean(x, dim=(2, 3), keepdim=True, correction=0)
    return (x - mean) / (variance + epsilon).sqrt() * scale[:, None, None] + shift[:, None, None]


def random_kernel(shape: tuple[int, ...], inputs: float, draws: torch.Generator) -> Tensor:
    """Return normal values that keep the size of activations; ``inputs`` is how many are summed."""
    return torch.randn(shape, generator=draws) * math.sqrt(2 / inputs)
