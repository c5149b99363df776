"""The SPADE generator: Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization" (CVPR 2019).

The paper's label maps have a channel for each class; pictures of flat colours work as well. The output depends on the
map alone (the paper's variant without a style encoder), so it is deterministic.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.networks.layers import checkpointing_setting, norm_setting, run_stages, spectral
from vidtrans.networks.residual import multiple_of


@dataclass(frozen=True)
class SpadeSettings:
    """Settings of ``SpadeGenerator``. The defaults are the paper's values for 256 pixels."""

    channels: int = option(64, "channels at full size; inner layers have up to 16 times as many", bounds=(1, 128))
    upsamplings: int = option(5, "number of doublings of the size: 5 for 256 pixels, 6 for 512", bounds=(3, 7))
    middle_doubling: bool = option(
        False, "upsample once between the middle blocks, as in the authors' networks for 512 pixels"
    )
    widest: int = option(16, "largest number of inner channels, as a multiple of channels", bounds=(2, 64))
    hidden: int = option(128, "hidden channels of each layer that reads the label map", bounds=(1, 256))
    kernel: int = option(3, "kernel size of the layers that read the label map, an odd number", bounds=(1, 7))
    norm: str = norm_setting("batch")
    spectral: bool = option(True, "spectral norm: limits the weights")
    latent: int = option(
        0, "length of the style code, for the authors' networks with an encoder; 0: no code", bounds=(0, 4096)
    )
    start_size: tuple[int, ...] = option(
        (),
        "[height, width] of the first features, which are made from the style code and resized to fit",
        bounds=(1, None),
    )
    grad_checkpointing: bool = checkpointing_setting()

    unrecorded: ClassVar[tuple[str, ...]] = ("grad_checkpointing",)

    def __post_init__(self) -> None:
        if self.kernel % 2 == 0:
            raise ValueError(f"generator.kernel is {self.kernel}: it must be odd")
        if len(self.start_size) != (2 if self.latent else 0) or any(side > 256 for side in self.start_size):
            raise ValueError("generator.start_size needs generator.latent above 0: [height, width], at most 256 each")


class _Spade(nn.Module):
    """A SPADE norm: a norm without weights, whose scale and shift at each pixel are computed from the label map."""

    def __init__(self, channels: int, map_channels: int, settings: SpadeSettings) -> None:
        """Create a norm of ``channels`` features; ``map_channels``: number of channels of the label map."""
        super().__init__()
        norms = {"batch": nn.BatchNorm2d(channels, affine=False), "none": nn.Identity()}
        self.norm = norms.get(settings.norm, nn.InstanceNorm2d(channels))
        window = settings.kernel, 1, settings.kernel // 2
        self.look = nn.Sequential(nn.Conv2d(map_channels, settings.hidden, *window), nn.ReLU())
        self.scale = nn.Conv2d(settings.hidden, channels, *window)
        self.shift = nn.Conv2d(settings.hidden, channels, *window)

    def forward(self, x: Tensor, label_map: Tensor) -> Tensor:
        """Features (N, channels, h, w), label map (N, map_channels, H, W) of any size → (N, channels, h, w)."""
        features = self.look(F.interpolate(label_map, x.shape[-2:], mode="nearest"))
        modulated: Tensor = self.norm(x) * (1 + self.scale(features)) + self.shift(features)
        return modulated


class _SpadeBlock(nn.Module):
    """A residual block of two times SPADE, LeakyReLU, 3×3 convolution; a learnt shortcut if the channels change."""

    def __init__(self, inputs: int, outputs: int, map_channels: int, settings: SpadeSettings) -> None:
        """Create a block; ``map_channels``: number of channels of the label map."""
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

    def forward(self, x: Tensor, label_map: Tensor) -> Tensor:
        """Features (N, inputs, h, w), label map (N, map_channels, H, W) → (N, outputs, h, w)."""
        y = x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            y = conv(F.leaky_relu(norm(y, label_map), 0.2))
        if self.shortcut:
            norm, conv = self.shortcut
            x = conv(norm(x, label_map))
        return x + y


class CodeStart(nn.Linear):
    """The first features, computed from a style code that is always 0, the mean of the training distribution.

    ``code``: length of the style code; ``size``: (height, width) of the features before they are enlarged.
    """

    def __init__(self, code: int, channels: int, size: tuple[int, ...]) -> None:
        """Create the layer; ``code``: length of the style code, ``size``: (height, width) of the features."""
        super().__init__(code, channels * math.prod(size))
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the features (N, channels, h, w) at the size of ``x``, of which only the shape is used."""
        start = super().forward(x.new_zeros(len(x), self.in_features))
        return F.interpolate(start.unflatten(1, (-1, *self.size)), x.shape[-2:], mode="nearest")


class SpadeGenerator(nn.Module):
    """The generator: a tiny label map, then upsampling and SPADE blocks of 1024, 1024×2, 512, 256, 128, 64 channels."""

    Settings = SpadeSettings

    def __init__(self, in_channels: int, out_channels: int, settings: SpadeSettings) -> None:
        super().__init__()
        doublings, early = settings.upsamplings, settings.middle_doubling
        self.multiple, self.stride = multiple_of(doublings, settings.norm), 2**doublings
        self.smallest = 2 ** (doublings + 1)  # Norms need more than one value in training
        self.halvings, self.checkpointing = doublings, settings.grad_checkpointing
        self.same_size = () if early else (1,)  # Indices of blocks without an upsampling before them
        outward = range(doublings - early, -1, -1)
        widths = [settings.channels * min(settings.widest, 2**i) for i in outward]
        if settings.latent:
            self.start: nn.Module = CodeStart(settings.latent, widths[0], settings.start_size)
        else:
            self.start = nn.Conv2d(in_channels, widths[0], 3, 1, 1)
        self.first = _SpadeBlock(widths[0], widths[0], in_channels, settings)
        # As in the paper, there are two blocks after the first doubling and one after each other doubling.
        steps = [widths[:2], [widths[1]] * 2, *map(list, itertools.pairwise(widths[1:]))]
        self.blocks = nn.ModuleList(_SpadeBlock(a, b, in_channels, settings) for a, b in steps)
        self.head = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(widths[-1], out_channels, 3, 1, 1), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        height, width = (side >> self.halvings for side in x.shape[-2:])
        y = self.start(F.interpolate(x, (height, width), mode="nearest"))
        y = run_stages((self.first,), y, x, checkpointing=self.checkpointing)
        for i, block in enumerate(self.blocks):
            y = y if i in self.same_size else F.interpolate(y, scale_factor=2.0, mode="nearest")
            y = run_stages((block,), y, x, checkpointing=self.checkpointing)
        picture: Tensor = self.head(y)
        return picture
