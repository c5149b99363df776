"""A small network without norms, trained on a few painted frames and applied to all frames of a clip.

It works at half the size and below, and is trained on small patches in minutes, like the larger network of few-shot
patch-based training (Texler et al., SIGGRAPH 2020).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option

SLOPE = 0.1  # Negative slope of LeakyReLU.
RESIDUAL_GAIN = 0.1  # Factor on the initial weights of the residual layers, whose output is added to their input.


@dataclass(frozen=True)
class FewShotSettings:
    """Settings of ``FewShot``: its width and depth."""

    channels: int = option(32, "channels at half size; inner layers have 2 and 3 times as many", bounds=(8, 128))
    blocks: int = option(2, "number of residual blocks at 1/8 of the size", bounds=(1, 9))


class _Block(nn.Module):
    """A residual block, x + second(leaky_relu(first(leaky_relu(x)))), which initially changes x little."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _conv(channels, channels), _conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        y = F.leaky_relu(self.first(F.leaky_relu(x, SLOPE)), SLOPE)
        out: Tensor = x + self.second(y)
        return out


class FewShot(nn.Module):
    """A small U-Net without norms, (N, in, H, W) → (N, out, H, W), both in [−1, 1]."""

    Settings = FewShotSettings
    multiple: ClassVar[int] = 8
    smallest: ClassVar[int] = 16

    def __init__(self, in_channels: int, out_channels: int, settings: FewShotSettings) -> None:
        super().__init__()
        half = settings.channels
        widths = (half, 2 * half, 3 * half)
        self.begin = _conv(4 * in_channels, half)
        self.levels = nn.ModuleList(
            nn.Sequential(*(_Block(width) for _ in range(settings.blocks if n == 2 else 1)))
            for n, width in enumerate(widths)
        )
        self.down = nn.ModuleList(_conv(a, b, stride=2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in itertools.pairwise(widths))
        self.after = nn.ModuleList(_Block(width) for width in widths[:-1])
        self.end = _conv(half, 4 * out_channels)

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw weights after He et al. (ICCV 2015); blocks start near zero because no norm corrects their scale."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, SLOPE, generator=generator)
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, _Block):
                module.second.weight.data *= RESIDUAL_GAIN
        self.end.weight.data *= RESIDUAL_GAIN

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) in [−1, 1] → (N, out, H, W), clamped to [−1, 1] in eval mode only."""
        features = [self.levels[0](self.begin(F.pixel_unshuffle(x, 2)))]
        for down, level in zip(self.down, list(self.levels)[1:], strict=True):
            features.append(level(F.leaky_relu(down(features[-1]), SLOPE)))
        y = features.pop()
        for up, after in zip(reversed(self.up), reversed(self.after), strict=True):
            skip = features.pop()
            y = after(skip + F.interpolate(up(y), size=skip.shape[2:], mode="bilinear", align_corners=False))
        picture = F.pixel_shuffle(self.end(F.leaky_relu(y, SLOPE)), 2)
        # Do not clamp in training: outside of [−1, 1] a clamp has no gradient.
        return picture if self.training else picture.clamp(-1, 1)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """Return a 3×3 convolution whose input is padded by repeating the border."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1, padding_mode="replicate")
