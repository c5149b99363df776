"""Convolutions over a handful of positions as matrix products.

The inner layers of a U-Net move megabytes of weights for a few pixels. In bf16 on a CPU torch's convolution is slower
for them: forward and backward of 512 → 512 channels, 4×4, stride 2, from 8×8 pixels take 17 ms on one core, and 8 ms
as products; transposed, 1024 → 512 from 8×8, 50 and 23 ms. In fp32 they hardly differ, and above ``MOST_POSITIONS``
the convolution is faster. Both give the same numbers except for the rounding of bf16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_POSITIONS = 256  # pixels of a whole batch, at the smaller of input and output size


def is_faster(x: Tensor, positions: int) -> bool:
    """Return whether the matrix product is faster in training on ``x`` with this number of positions (pixels)."""
    return (
        x.device.type == "cpu"
        and positions <= MOST_POSITIONS
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


class MatmulConv(nn.Conv2d):
    """``nn.Conv2d(…, 4, 2, 1)`` that is computed as a matrix product if that is faster."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H/2, W/2)."""
        height, width = x.shape[2] // 2, x.shape[3] // 2
        if not self.training or not is_faster(x, len(x) * height * width):
            return super().forward(x)
        columns = F.unfold(x, 4, padding=1, stride=2).transpose(1, 2)
        product = F.linear(columns, self.weight.flatten(1), self.bias)
        return product.transpose(1, 2).unflatten(2, (height, width))


class MatmulConvTranspose(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d(…, 4, 2, 1)`` that is computed as a matrix product if that is faster."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, h, w) → (N, outputs, 2h, 2w)."""
        height, width = x.shape[2:]
        if not self.training or output_size is not None or not is_faster(x, len(x) * height * width):
            return super().forward(x, output_size)
        columns = torch.matmul(x.flatten(2).transpose(1, 2), self.weight.flatten(1))
        product = F.fold(columns.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return product if self.bias is None else product + self.bias[:, None, None]
