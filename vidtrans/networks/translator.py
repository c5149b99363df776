"""A small generator for looks without pairs: it changes textures and colours, and keeps where things are.

CycleGAN's residual network (Zhu et al., ICCV 2017), narrow, at half of the size inside (space to depth), with one skip
around the blocks. It may start from a map of colours, and then learns what such a map cannot do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.settings import setting
from vidtrans.networks.layers import ResidualBlock, convolution, norm_setting, upsampling

HEAD_CHANNELS = 16  # at full size
LIMIT = 0.98  # of colours whose logits are taken: black and white have none


@dataclass(frozen=True)
class TranslatorSettings:
    """How wide and deep the network is, and what it begins with."""

    channels: int = setting(32, "channels at half of the size; twice as many at a quarter", low=4, high=256)
    blocks: int = setting(4, "residual blocks at a quarter of the size", low=1, high=18)
    deep_blocks: int = setting(
        0,
        "residual blocks at an eighth: they see twice as far, so that lines tell what is what",
        low=0,
        high=18,
    )
    norm: str = norm_setting("instance")
    head: str = setting(
        "resize",
        "resize: the full size comes back without a grid; pixel-shuffle: a fifth faster, with a faint stipple",
        choices=("resize", "pixel-shuffle"),
    )
    colour_start: bool = setting(
        False, "the output begins as the input in the colours of the target: for footage of like things"
    )


class Translator(nn.Module):
    """Space to depth, c3-32, d64, R64×4, u32 beside the skip, c3-32, and the full size.

    With deep blocks d64, R64×…, u64 is added before R64: twice as wide they would be slower, and no better in minutes.

    ``colours`` (3, 4), of a network that begins with a map of colours: output = matrix · input + shift, in [−1, 1].
    """

    Settings = TranslatorSettings
    colours: Tensor

    def __init__(self, in_channels: int, out_channels: int, settings: TranslatorSettings) -> None:
        super().__init__()
        width, norm = settings.channels, settings.norm
        self.starts_with_colours = settings.colour_start
        if self.starts_with_colours:
            self.register_buffer("colours", torch.eye(out_channels, 4))
        self.entrance = nn.Sequential(*convolution(4 * in_channels, width, norm=norm, mirror=True))
        self.down = nn.Sequential(*convolution(width, 2 * width, norm=norm, stride=2))
        self.multiple = 16 if settings.deep_blocks else 8  # an instance norm over a single value would give zero
        self.smallest = 2 * self.multiple
        self.deep: nn.Sequential | None = None
        if settings.deep_blocks:
            self.deep = nn.Sequential(
                *convolution(2 * width, 2 * width, norm=norm, stride=2),
                *(ResidualBlock(2 * width, norm=norm) for _ in range(settings.deep_blocks)),
                nn.Upsample(scale_factor=2.0),
                *convolution(2 * width, 2 * width, norm=norm, mirror=True),
            )
        self.blocks = nn.ModuleList(ResidualBlock(2 * width, norm=norm) for _ in range(settings.blocks))
        self.up = nn.Sequential(nn.Upsample(scale_factor=2.0), *convolution(2 * width, width, norm=norm, mirror=True))
        self.fuse = nn.Sequential(*convolution(2 * width, width, norm=norm, mirror=True))
        if settings.head == "pixel-shuffle":
            self.head = nn.Sequential(*upsampling(width, out_channels, "pixel-shuffle"))
        else:
            self.head = nn.Sequential(
                nn.Upsample(scale_factor=2.0),
                *convolution(width, HEAD_CHANNELS, norm=norm, mirror=True),
                nn.Conv2d(HEAD_CHANNELS, out_channels, 3, 1, 1),
            )

    def set_colours(self, colours: Tensor) -> None:
        """Begin with a map of colours, (3, 4): a matrix, and beside it what is added."""
        self.colours.copy_(colours)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        return self.forward_with_taps(x)[0]

    def forward_with_taps(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the output, and ``taps`` of the input."""
        skip, *inner = taps = self.taps(x)
        y = self.head(self.fuse(torch.cat([self.up(inner[-1]), skip], 1)))
        if self.starts_with_colours:
            y = y + torch.atanh(self._recoloured(x))
        return torch.tanh(y), taps

    def taps(self, x: Tensor) -> list[Tensor]:
        """Return the features that a contrastive loss compares, (N, C, h, w) each, from the outermost inwards."""
        y = self.entrance(F.pixel_unshuffle(x, 2))
        z = self.down(y)
        taps = [y, z if self.deep is None else z + self.deep(z)]
        for block in self.blocks:
            taps.append(block(taps[-1]))
        return taps

    def _recoloured(self, x: Tensor) -> Tensor:
        """Return the input's picture in other colours, (N, 3, H, W), in the open interval (−1, 1)."""
        colours, picture = self.colours.float()[..., None, None], x[:, :3].float()
        # Products one by one: of matrices an autocast would round them.
        mapped = sum((colours[:, c] * picture[:, c : c + 1] for c in range(3)), colours[:, 3])
        return mapped.clamp(-LIMIT, LIMIT)
