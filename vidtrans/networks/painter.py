"""Paints in the manner of pictures: the network of Johnson et al. (ECCV 2016), narrow, with a norm for each look.

"Perceptual Losses for Real-Time Style Transfer and Super-Resolution"; of many looks only the scales and shifts of norms
differ: Dumoulin et al., "A Learned Representation for Artistic Style", ICLR 2017. Their mixtures are mixed looks. The
size of strokes goes the same way, as a straight line from each scale and shift.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.settings import setting
from vidtrans.networks.layers import ReflectPad

KERNEL = 9  # of the first and the last layer: a stroke is wider than 3 pixels
FLAT = 0.08  # σ of a frame, where colours are from −1 to 1, at which half of it is painted


@dataclass(frozen=True)
class PainterSettings:
    """How large the network is, and how many looks it has."""

    channels: int = setting(16, "channels at full size; 2 and 4 times as many further in", low=4, high=128)
    blocks: int = setting(3, "residual blocks at a quarter of the size", low=1, high=18)
    looks: int = setting(
        0,
        "looks that it has; above 0 its input ends with their shares, where there are several, and the strokes' size",
        low=0,
        high=32,
    )


def condition_channels(looks: int) -> int:
    """Return the channels at the end of a painter's input that are conditions, each the same all over the picture."""
    return 0 if looks == 0 else 1 if looks == 1 else looks + 1


def read_conditions(planes: Tensor, looks: int) -> tuple[Tensor, Tensor]:
    """Return the shares of looks, (N, looks), and the size of strokes, (N, 1) in [−1, 1], of an input's last planes."""
    one = planes.new_ones(len(planes), 1)
    if looks == 0:
        return one, 0 * one
    given = planes[:, :, 0, 0]
    if looks == 1:
        return one, given
    shares = (given[:, :-1] + 1) / 2
    total = shares.sum(1, keepdim=True)
    even = torch.full_like(shares, 1 / looks)
    return torch.where(total > 0.01, shares / total.clamp_min(0.01), even), given[:, -1:]


class PlainNorm(nn.Module):
    """Instance norm with a scale and a shift of its own, whatever the conditions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        normed: Tensor = self.norm(x)
        return normed


class ConditionalNorm(nn.Module):
    """Instance norm, scaled and shifted as a mixture of looks has it, for a size of strokes."""

    def __init__(self, channels: int, looks: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.scale = nn.Parameter(torch.ones(looks, channels))
        self.shift = nn.Parameter(torch.zeros(looks, channels))
        self.stroke_scale = nn.Parameter(torch.zeros(looks, channels))
        self.stroke_shift = nn.Parameter(torch.zeros(looks, channels))

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape. ``shares`` (N, looks) add up to 1; ``stroke`` (N, 1) is in [−1, 1]."""
        scale = shares @ self.scale + stroke * (shares @ self.stroke_scale)
        shift = shares @ self.shift + stroke * (shares @ self.stroke_shift)
        normed: Tensor = self.norm(x)
        return normed * scale[..., None, None] + shift[..., None, None]


class Layer(nn.Module):
    """Convolution, padded by mirroring – conditional norm – ReLU; ``larger``: of the doubled picture."""

    def __init__(
        self, inputs: int, outputs: int, looks: int, kernel: int = 3, *, stride: int = 1, larger: bool = False
    ) -> None:
        super().__init__()
        self.pad = ReflectPad(kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=False)
        self.norm = ConditionalNorm(outputs, looks) if looks else PlainNorm(outputs)
        self.larger = larger

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor, *, activate: bool = True) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H', W')."""
        if self.larger:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        y: Tensor = self.norm(self.conv(self.pad(x)), shares, stroke)
        return F.relu(y) if activate else y


class Block(nn.Module):
    """x + second(first(x))."""

    def __init__(self, channels: int, looks: int) -> None:
        super().__init__()
        self.first, self.second = Layer(channels, channels, looks), Layer(channels, channels, looks)

    def forward(self, x: Tensor, shares: Tensor, stroke: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        y: Tensor = self.second(self.first(x, shares, stroke), shares, stroke, activate=False)
        return x + y


class Painter(nn.Module):
    """c9s1-16, d32, d64, R64×3, u32, u16, c9s1-3, the conditions beside."""

    Settings = PainterSettings
    multiple = 8  # an instance norm over a single value would give zero
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
        self.up = nn.ModuleList(Layer(b, a, looks, larger=True) for a, b in reversed(steps))
        self.head = nn.Sequential(ReflectPad(KERNEL // 2), nn.Conv2d(widths[0], out_channels, KERNEL), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W).

        Instance norms bring every frame to the same contrast, so that one that fades to black would stay as it was,
        and noise would be painted. A painter of looks leaves a frame the more as it is the less there is to be seen.
        """
        planes = x.shape[1] - self.conditions
        shares, stroke = read_conditions(x[:, planes:], self.looks)
        frame = y = x[:, :planes]
        for layer in (self.entrance, *self.down, *self.blocks, *self.up):
            y = layer(y, shares, stroke)
        picture: Tensor = self.head(y)
        if self.looks == 0:
            return picture
        contrast = (frame.float().var((1, 2, 3), correction=0, keepdim=True) / FLAT**2).square()
        seen = (contrast / (1 + contrast)).to(picture.dtype)
        mixed: Tensor = seen * picture + (1 - seen) * frame
        return mixed
