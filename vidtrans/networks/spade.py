"""The SPADE generator: Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization" (CVPR 2019).

The paper's label maps have a channel for each class; here the areas' flat colours do as well. What the picture is
made of comes from the map alone (the paper's variant without an encoder of styles), so it is the same every time.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.networks.layers import checkpointing_setting, norm_setting, run_stages, spectral
from vidtrans.networks.residual import multiple_of
from vidtrans.settings import setting


@dataclass(frozen=True)
class SpadeSettings:
    """The paper's values, for 256 pixels, are the defaults."""

    channels: int = setting(64, "channels at full size; up to 16 times as many further in", low=4, high=128)
    upsamplings: int = setting(5, "how often the size doubles: 5 for 256 pixels, 6 for 512", low=3, high=7)
    hidden: int = setting(128, "channels in which each layer looks at the areas", low=8, high=256)
    norm: str = norm_setting("batch")
    spectral: bool = setting(True, "spectral norm: the weights cannot run away")
    grad_checkpointing: bool = checkpointing_setting()

    unrecorded: ClassVar[tuple[str, ...]] = ("grad_checkpointing",)


class _Spade(nn.Module):
    """A norm without weights of its own, scaled and shifted at every place by what the map holds there."""

    def __init__(self, channels: int, map_channels: int, settings: SpadeSettings) -> None:
        super().__init__()
        norms = {"batch": nn.BatchNorm2d(channels, affine=False), "instance": nn.InstanceNorm2d(channels)}
        self.norm = norms.get(settings.norm, nn.Identity())
        self.look = nn.Sequential(nn.Conv2d(map_channels, settings.hidden, 3, 1, 1), nn.ReLU())
        self.scale = nn.Conv2d(settings.hidden, channels, 3, 1, 1)
        self.shift = nn.Conv2d(settings.hidden, channels, 3, 1, 1)

    def forward(self, x: Tensor, areas: Tensor) -> Tensor:
        """(N, channels, h, w), the map at any size (N, map_channels, H, W) → as ``x``."""
        seen = self.look(F.interpolate(areas, x.shape[-2:], mode="nearest"))
        modulated: Tensor = self.norm(x) * (1 + self.scale(seen)) + self.shift(seen)
        return modulated


class _SpadeBlock(nn.Module):
    """Two times SPADE – LeakyReLU – 3×3 convolution, beside a shortcut, which is learnt where channels change."""

    def __init__(self, inputs: int, outputs: int, map_channels: int, settings: SpadeSettings) -> None:
        super().__init__()
        inner, bound = min(inputs, outputs), settings.spectral
        self.norms = nn.ModuleList(_Spade(c, map_channels, settings) for c in (inputs, inner))
        self.convs = nn.ModuleList(
            spectral(nn.Conv2d(a, b, 3, 1, 1), bound) for a, b in ((inputs, inner), (inner, outputs))
        )
        self.shortcut = nn.ModuleList()
        if inputs != outputs:
            self.shortcut = nn.ModuleList(
                [_Spade(inputs, map_channels, settings), spectral(nn.Conv2d(inputs, outputs, 1, bias=False), bound)]
            )

    def forward(self, x: Tensor, areas: Tensor) -> Tensor:
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.leaky_relu(norm(y, areas), 0.2))
        if self.shortcut:
            norm, conv = self.shortcut
            x = conv(norm(x, areas))
        return x + y


class SpadeGenerator(nn.Module):
    """From the map, tiny, by SPADE blocks of 1024, 1024×2, 512, 256, 128 and 64 channels, doubling between."""

    Settings = SpadeSettings

    def __init__(self, in_channels: int, out_channels: int, settings: SpadeSettings) -> None:
        super().__init__()
        doublings = settings.upsamplings
        self.multiple = multiple_of(doublings, settings.norm)
        self.smallest = 2 ** (doublings + 1)  # norms need more than one value to train on
        self.halvings, self.checkpointing = doublings, settings.grad_checkpointing
        widths = [settings.channels * min(16, 2 ** (doublings - i)) for i in range(doublings + 1)]
        self.start = nn.Conv2d(in_channels, widths[0], 3, 1, 1)
        self.first = _SpadeBlock(widths[0], widths[0], in_channels, settings)
        # One block after each doubling, and, as in the paper, two after the first.
        steps = [widths[:2], [widths[1]] * 2, *map(list, itertools.pairwise(widths[1:]))]
        self.blocks = nn.ModuleList(_SpadeBlock(a, b, in_channels, settings) for a, b in steps)
        self.head = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(widths[-1], out_channels, 3, 1, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        height, width = (side >> self.halvings for side in x.shape[-2:])
        y = self.start(F.interpolate(x, (height, width), mode="nearest"))
        y = run_stages((self.first,), y, x, checkpointing=self.checkpointing)
        for i, block in enumerate(self.blocks):
            y = y if i == 1 else F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = run_stages((block,), y, x, checkpointing=self.checkpointing)
        picture: Tensor = self.head(y)
        return picture
