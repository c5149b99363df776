"""A small generator for unpaired training, which changes textures and colours and preserves the layout of a frame.

It is a narrow version of CycleGAN's residual network (Zhu et al., ICCV 2017), which works at half size (space to
depth), with one skip around the blocks. It may start from an affine colour map, and then learns only differences from
this map.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.networks.layers import ResidualBlock, convolution, norm_setting, upsampling

HEAD_CHANNELS = 16  # Number of channels at full size, in the output layer.
MAX_COLOUR = 0.98  # Largest magnitude of a colour before atanh, which is infinite at black and white (±1).


@dataclass(frozen=True)
class TranslatorSettings:
    """Settings of ``Translator``: width, depth, norm, output layer, and whether it starts from a colour map."""

    channels: int = option(32, "channels at half size; twice as many at a quarter of the size", bounds=(4, 256))
    blocks: int = option(4, "number of residual blocks at a quarter of the size", bounds=(1, 18))
    deep_blocks: int = option(
        0,
        "number of residual blocks at an eighth of the size; more of them distinguish objects by their lines, "
        "in a larger receptive field",
        bounds=(0, 18),
    )
    # Not an instance norm, which subtracts each crop's mean: the colours of a frame's bright areas could not be learnt.
    # Unpaired training, on whole frames and batches of one, needs an instance norm nevertheless.
    norm: str = norm_setting("batch")
    head: str = option(
        "resize",
        "upsampling to full size: resize shows no grid; pixel-shuffle is a fifth faster, but shows faint dots",
        choices=("resize", "pixel-shuffle"),
    )
    colour_start: bool = option(False, "start from the input in the target's colours, for footage with similar content")


class Translator(nn.Module):
    """The generator: space to depth, c3-32, d64, R64×4, u32 joined with the skip, c3-32, an output layer to full size.

    With deep blocks, d64, R64×…, u64 is added before R64. Deep blocks of twice the width trained more slowly, and gave
    no better results.

    ``colours`` (3, 4): the affine colour map of ``colour_start``, output = matrix · input + shift, in [−1, 1].
    """

    Settings = TranslatorSettings
    colours: Tensor

    def __init__(self, in_channels: int, out_channels: int, settings: TranslatorSettings) -> None:
        super().__init__()
        width, norm = settings.channels, settings.norm
        self.starts_with_colours = settings.colour_start
        if self.starts_with_colours:
            # torch.eye() imports torch's compiler on the device "meta"
            rows = [[float(row == column) for column in range(4)] for row in range(out_channels)]
            self.register_buffer("colours", torch.tensor(rows))
        self.entrance = nn.Sequential(*convolution(4 * in_channels, width, norm=norm, mirror=True))
        self.down = nn.Sequential(*convolution(width, 2 * width, norm=norm, stride=2))
        self.multiple = 16 if settings.deep_blocks else 8  # An instance norm over a single value would give zero
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
        """Set the initial colour map, (3, 4): a 3×3 matrix, and a last column with the shift."""
        self.colours.copy_(colours)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        return self.forward_with_taps(x)[0]

    def forward_with_taps(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the output (N, out, H, W), and the features that ``taps`` returns for the same input."""
        skip, *inner = taps = self.taps(x)
        y = self.head(self.fuse(torch.cat([self.up(inner[-1]), skip], 1)))
        if self.starts_with_colours:
            y = y + torch.atanh(self._map_colours(x))
        return torch.tanh(y), taps

    def taps(self, x: Tensor) -> list[Tensor]:
        """Return the features for a contrastive loss, (N, C, h, w) each, from the outermost layer inwards."""
        y = self.entrance(F.pixel_unshuffle(x, 2))
        z = self.down(y)
        taps = [y, z if self.deep is None else z + self.deep(z)]
        for block in self.blocks:
            taps.append(block(taps[-1]))
        return taps

    def _map_colours(self, x: Tensor) -> Tensor:
        """Apply the colour map to the first three channels of the input, (N, 3, H, W) float32 in (−1, 1)."""
        colours, picture = self.colours.float()[..., None, None], x[:, :3].float()
        # Use elementwise products, because autocast would round a matrix product.
        mapped = sum((colours[:, c] * picture[:, c : c + 1] for c in range(3)), colours[:, 3])
        return mapped.clamp(-MAX_COLOUR, MAX_COLOUR)
