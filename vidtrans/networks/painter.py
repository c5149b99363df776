"""Fast neural style with several styles: a narrow network of Johnson et al. (ECCV 2016) with a norm per style.

"Perceptual Losses for Real-Time Style Transfer and Super-Resolution". The styles differ only in the scales and shifts
of the norms (Dumoulin et al., "A Learned Representation for Artistic Style", ICLR 2017), and mixtures of scales and
shifts give mixed styles. The stroke size changes each scale and shift linearly.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.networks.convolutions import DoublingConv, TiledConv
from vidtrans.networks.layers import ReflectPad, norm_each_picture

KERNEL = 9  # Side of the square kernels in the first and the last layer, in pixels, as strokes are wider than 3 pixels.
FLAT_DEVIATION = 0.08  # Standard deviation of a frame in [−1, 1] at which network output and frame get equal weights.


@dataclass(frozen=True)
class PainterSettings:
    """Settings of ``Painter``: width, depth and number of styles."""

    channels: int = option(16, "channels at full size; inner layers have 2 and 4 times as many", bounds=(4, 128))
    blocks: int = option(3, "number of residual blocks at a quarter of the size", bounds=(1, 18))
    looks: int = option(
        0,
        "number of looks; above 0, extra input channels contain the stroke size and, with several looks, their weights",
        bounds=(0, 32),
    )


def condition_channels(looks: int) -> int:
    """Return the number of condition channels (constant planes) at the end of the input for a number of styles."""
    return 0 if looks == 0 else 1 if looks == 1 else looks + 1


def read_conditions(planes: Tensor, looks: int) -> tuple[Tensor, Tensor]:
    """Return style weights, (N, looks), and the stroke size, (N, 1) in [−1, 1], from condition planes."""
    one = planes.new_ones(len(planes), 1)
    if looks == 0:
        return one, 0 * one
    values = planes[:, :, 0, 0]
    if looks == 1:
        return one, values
    return look_weights(values[:, :-1]), values[:, -1:]


def look_weights(values: Tensor) -> Tensor:
    """Return style weights, (N, looks), which add up to 1, from plane values in [−1, 1]."""
    shares = (values + 1) / 2
    total = shares.sum(1, keepdim=True)
    even = torch.full_like(shares, 1 / shares.shape[1])
    return torch.where(total > 0.01, shares / total.clamp_min(0.01), even)


def fade_flat_frames(frame: Tensor, picture: Tensor) -> Tensor:
    """Return the network's picture, mixed with the frame if its contrast is low; all (N, 3, H, W) in [−1, 1].

    Instance norms give every frame the same contrast, so a fade to black would not become dark, and noise would be
    amplified.
    """
    contrast = (frame.float().var((1, 2, 3), correction=0, keepdim=True) / FLAT_DEVIATION**2).square()
    weight = (contrast / (1 + contrast)).to(picture.dtype)
    mixed: Tensor = weight * picture + (1 - weight) * frame
    return mixed


class PlainNorm(nn.Module):
    """An instance norm with its own scale and shift, which ignores styles and stroke size."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        normed: Tensor = self.norm(x)
        return normed


class ConditionalNorm(nn.Module):
    """An instance norm whose scale and shift depend on the weights of the styles and on the stroke size."""

    def __init__(self, channels: int, looks: int) -> None:
        """Create the norm; ``looks``: number of styles, each with its own scale and shift."""
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.scale = nn.Parameter(torch.ones(looks, channels))
        self.shift = nn.Parameter(torch.zeros(looks, channels))
        self.stroke_scale = nn.Parameter(torch.zeros(looks, channels))
        self.stroke_shift = nn.Parameter(torch.zeros(looks, channels))

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape. ``shares`` (N, looks) add up to 1; ``stroke`` (N, 1) is in [−1, 1]."""
        scale, shift = affine(self, shares, stroke)
        return norm_each_picture(x, zip(scale, shift, strict=True), self.norm.eps)


def affine(norm: Any, shares: Tensor, stroke: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401  (the norm has these tensors)
    """Return scale and shift, (N, C) each, of a ``ConditionalNorm`` for style weights and a stroke size.

    ``shares``: the style weights, (N, looks), which add up to 1; ``stroke``: the stroke size, (N, 1) in [−1, 1].
    """
    scale = shares @ norm.scale + stroke * (shares @ norm.stroke_scale)
    shift = shares @ norm.shift + stroke * (shares @ norm.stroke_shift)
    return scale, shift


class Layer(nn.Module):
    """Convolution, norm by style and ReLU; ``larger``: the upsampling mode that doubles the size first, or ''.

    Without upsampling, the padding is by mirroring. The mode is 'nearest' or 'bilinear'.
    """

    def __init__(
        self, inputs: int, outputs: int, looks: int, kernel: int = 3, *, stride: int = 1, larger: str = ""
    ) -> None:
        """Create a layer; ``looks``: number of styles, ``larger``: the upsampling before the convolution, or ''."""
        super().__init__()
        self.pad = nn.Identity() if larger else ReflectPad(kernel // 2)
        self.conv: nn.Conv2d
        if larger:
            self.conv = DoublingConv(inputs, outputs, larger, bias=False)
        elif kernel == KERNEL:
            self.conv = TiledConv(inputs, outputs, kernel, bias=False)
        else:
            self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
        self.norm = ConditionalNorm(outputs, looks) if looks else PlainNorm(outputs)

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor, *, activate: bool = True) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H', W')."""
        y: Tensor = self.norm(self.conv(self.pad(x)), shares, stroke)
        return F.relu(y, inplace=True) if activate else y


class Block(nn.Module):
    """A residual block, x + second(first(x))."""

    def __init__(self, channels: int, looks: int) -> None:
        """Create a block; ``looks``: number of styles."""
        super().__init__()
        self.first, self.second = Layer(channels, channels, looks), Layer(channels, channels, looks)

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        y: Tensor = self.second(self.first(x, shares, stroke), shares, stroke, activate=False)
        return x + y


class Painter(nn.Module):
    """The generator c9s1-16, d32, d64, R64×3, u32, u16, c9s1-3 (Johnson's notation), for several styles.

    Its norms depend on the conditions: the weights of the styles and the stroke size.
    """

    Settings = PainterSettings
    multiple = 8  # An instance norm over a single value would give zero
    smallest = 16

    def __init__(self, in_channels: int, out_channels: int, settings: PainterSettings) -> None:
        super().__init__()
        self.looks, self.conditions = settings.looks, condition_channels(settings.looks)
        widths = [settings.channels * 2**n for n in range(3)]
        steps = list(itertools.pairwise(widths))
        looks = settings.looks
        self.entrance = Layer(in_channels - self.conditions, widths[0], looks, KERNEL)
        self.down = nn.ModuleList(Layer(a, b, looks, stride=2) for a, b in steps)
        self.blocks = nn.ModuleList(Block(widths[-1], looks) for _ in range(settings.blocks))
        self.up = nn.ModuleList(Layer(b, a, looks, larger="nearest") for a, b in reversed(steps))
        self.head = nn.Sequential(ReflectPad(KERNEL // 2), TiledConv(widths[0], out_channels, KERNEL), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W). With styles, low-contrast frames stay visible, see ``fade_flat_frames``."""
        planes = x.shape[1] - self.conditions
        shares, stroke = read_conditions(x[:, planes:], self.looks)
        frame = y = x[:, :planes]
        for layer in (self.entrance, *self.down, *self.blocks, *self.up):
            y = layer(y, shares, stroke)
        picture: Tensor = self.head(y)
        if self.looks == 0:
            return picture
        return fade_flat_frames(frame, picture)
