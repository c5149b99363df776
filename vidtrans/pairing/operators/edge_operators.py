"""The lines of the pairing 'edges' as operators: each step of Canny (1986) in whole numbers, as in OpenCV."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.pairing.base import Pairing
from vidtrans.pairing.edges import DEVIATION, EVEN, FLAT, SOBEL_GAIN, tone_kernel
from vidtrans.pairing.operators.base import PairingOperators, scripted
from vidtrans.pairing.operators.sampling_operators import blur_levels, filtered, fixed_point_kernel, integer_luma, sobel

LARGEST_BITS = 21  # of the squared slope: 2 · (4 · 255)² at most
TAN, ONE = 13573.0, 32768.0  # tan 22.5° in 2⁻¹⁵, as OpenCV's Canny rounds it
STRONGEST = 0.98  # quantile of slopes that is white in the channel of gradients


class EdgeOperators(PairingOperators):
    """The lines of ``Edges.input``, bit for bit, except for rounding of the soft channels."""

    smallest = 2

    def __init__(self, pairing: Pairing, conditions: tuple[float, ...] = ()) -> None:
        super().__init__(pairing, conditions)
        self.kernel = fixed_point_kernel(self.settings.sigma) if self.settings.sigma > 0 else []
        self.tone_kernel = [float(one) for one in tone_kernel(self.settings.tone_sigma)]

    def forward(self, frame: Tensor) -> Tensor:
        """Return lines of 255 on 0, and the soft channels: (N, 3, H, W) → (N, 1 to 3, H, W) levels."""
        settings = self.settings
        grey = integer_luma(torch.round(frame))
        soft = [self._tone(grey)] if settings.tone_channel else []
        if self.kernel:
            grey = blur_levels(grey, self.kernel)
        dx, dy = sobel(grey)
        squared = dx * dx + dy * dy
        floor = (SOBEL_GAIN * settings.min_gradient) ** 2
        # In float64, as Python computes them: on these thresholds whole lines hang.
        high = torch.sqrt(quantile(squared, 1 - settings.density).to(torch.float64).clamp(min=floor))
        low = settings.hysteresis * high
        starts, goes_on = (torch.floor(slope * slope).to(torch.float32) for slope in (high, low))
        peaks = is_peak(dx, dy, squared)
        weak, strong = peaks * (squared > goes_on), peaks * (squared > starts)
        lines = grow(strong, weak) * 255.0
        if not settings.gradient_channel:
            return torch.cat([lines, *soft], 1)
        ceiling = quantile(squared, STRONGEST).clamp(min=max(floor, 1e-6))
        strength = torch.sqrt(torch.sqrt((squared / ceiling).clamp(max=1.0))) * 255.0
        return torch.cat([lines, torch.round(strength), *soft], 1)

    def _tone(self, grey: Tensor) -> Tensor:
        """Return the light and dark of areas, (N, 1, H, W) levels both."""
        blurred = filtered(filtered(grey, self.tone_kernel, 3), self.tone_kernel, 2)
        centred = blurred - blurred.mean((2, 3), keepdim=True)
        deviation = torch.sqrt((centred * centred).mean((2, 3), keepdim=True)).clamp(min=float(FLAT))
        return torch.round((float(EVEN) + centred * (float(DEVIATION) / deviation)).clamp(0.0, 255.0))


def quantile(values: Tensor, share: float) -> Tensor:
    """Return the quantile ``share`` of each picture's whole numbers, (N, 1, 1, 1), as in ``edges``.

    By bisection, one bit at a time: (N, 1, H, W) values below 2²¹ are compared 21 times, and never sorted.
    """
    size = torch.ones_like(values[:1]).to(torch.int64).sum()
    rank = torch.minimum((size.to(torch.float64) * share).to(torch.int64), size - 1)
    found = torch.zeros_like(values[:, :, :1, :1])
    for bit in range(LARGEST_BITS - 1, -1, -1):
        tried = found + float(1 << bit)
        below = (values < tried).to(torch.int64).sum(dim=(1, 2, 3), keepdim=True)
        found = torch.where(below <= rank, tried, found)
    return found


def is_peak(dx: Tensor, dy: Tensor, squared: Tensor) -> Tensor:
    """Return 1.0 at maxima of the squared slope across the edge, else 0.0, (N, 1, H, W); outside it is 0."""
    height, width = squared.shape[2], squared.shape[3]
    padded = F.pad(squared, (1, 1, 1, 1))

    def neighbour(down: int, right: int) -> Tensor:
        return padded.narrow(2, 1 + down, height).narrow(3, 1 + right, width)

    x, y = dx.abs(), dy.abs()
    across = y * ONE < x * TAN
    # |y| > x · tan 67.5°, which is x · (2 + tan 22.5°), arranged so that float32 holds both sides exactly.
    upright = (y - 2 * x) * ONE > x * TAN
    same_sign = (dx < 0) == (dy < 0)
    is_across = (squared > neighbour(0, -1)) & (squared >= neighbour(0, 1))
    is_upright = (squared > neighbour(-1, 0)) & (squared >= neighbour(1, 0))
    falling = (squared > neighbour(-1, -1)) & (squared > neighbour(1, 1))
    rising = (squared > neighbour(-1, 1)) & (squared > neighbour(1, -1))
    # Not ``where``: ONNX Runtime chooses between numbers, not between truths.
    slanted = (same_sign & falling) | (~same_sign & rising)
    steep = (upright & is_upright) | (~upright & slanted)
    return ((across & is_across) | (~across & steep)).to(squared.dtype)


@scripted
def grow(strong: Tensor, weak: Tensor) -> Tensor:
    """Return the lines, (N, 1, H, W) of 0.0 and 1.0: ``weak`` pixels connected to a ``strong`` pixel."""
    lines = strong
    before = -torch.ones_like(strong.sum())
    after = strong.sum()
    while bool(after > before):
        for _ in range(8):  # steps between two looks at whether it goes on
            lines = F.max_pool2d(lines, 3, 1, 1) * weak
        before = after
        after = lines.sum()
    return lines
