"""The residual generator of Johnson et al. (ECCV 2016), with the mirror padding of CycleGAN (Zhu et al., ICCV 2017).

"Perceptual Losses for Real-Time Style Transfer and Super-Resolution".
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.networks.convolutions import TiledConv
from vidtrans.networks.layers import (
    Attention,
    ReflectPad,
    ResidualBlock,
    checkpointing_setting,
    convolution,
    has_bias,
    norm_setting,
    normalise,
    run_stages,
    upsample_setting,
    upsampling,
)


class BlurDown(nn.Module):
    """Downsampling by 2 after a 3×3 blur, which avoids aliasing."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("filt", (line[:, None] * line).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, ⌈H/2⌉, ⌈W/2⌉)."""
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


class BlurUp(nn.Module):
    """Upsampling by 2 with a 4×4 blur filter."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4  # Per axis, two of the four taps contribute to an output pixel
        self.register_buffer("filt", (line[:, None] * line).repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) → (N, C, 2h, 2w)."""
        wide = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(wide, self.filt, stride=2, padding=2, groups=x.shape[1])[:, :, 1:-1, 1:-1]


DOWNSAMPLINGS = 2  # Number of layers that halve the picture size


@dataclass(frozen=True)
class BlockSettings:
    """Settings of residual blocks and of the layers around them."""

    upsample: str = upsample_setting()
    norm: str = norm_setting("batch")
    self_attention: bool = option(
        False, "self-attention between the blocks: makes distant parts of a picture consistent; slow for large pictures"
    )
    squeeze_excitation: bool = option(False, "weight the channels of blocks by features of the whole picture")
    conv_bias: bool = option(
        False, "add a bias to convolutions before a norm, as in pix2pixHD's files; it does not change the output"
    )
    dilation: int = option(
        1, "dilation of the blocks' convolutions; above 1, the receptive field is larger", bounds=(1, 8)
    )
    grad_checkpointing: bool = checkpointing_setting()

    unrecorded: ClassVar[tuple[str, ...]] = ("grad_checkpointing",)


@dataclass(frozen=True)
class ResidualSettings(BlockSettings):
    """Settings of ``Residual``. Defaults: CycleGAN's sizes, and Johnson's batch norm for steady brightness in video."""

    channels: int = option(64, "channels at full size; inner layers have 2 and 4 times as many", bounds=(1, 256))
    blocks: int = option(
        9, "number of residual blocks at a quarter of the size: 6 for 128 pixels, 9 for 256", bounds=(1, 18)
    )
    blur_down: bool = option(False, "downsample after a blur, as in CUT: steadier under motion, slower")
    blur_up: bool = option(False, "upsample with a blur and a convolution, as in CUT")


def first_layer(inputs: int, outputs: int, settings: BlockSettings) -> nn.Sequential:
    """Return the first layer (c7s1-k): a 7×7 convolution with mirror padding, norm and ReLU."""
    return nn.Sequential(*convolution(inputs, outputs, 7, norm=settings.norm, mirror=True, bias=settings.conv_bias))


def downsample_layer(inputs: int, outputs: int, settings: BlockSettings, *, blur: bool = False) -> nn.Sequential:
    """Return a 3×3 layer that halves the size (dk): by a stride, or with ``blur`` by a ``BlurDown`` after it."""
    conv = convolution(inputs, outputs, norm=settings.norm, stride=1 if blur else 2, bias=settings.conv_bias)
    return nn.Sequential(*conv, *([BlurDown(outputs)] if blur else []))


def upsample_layer(inputs: int, outputs: int, settings: BlockSettings, *, blur: bool = False) -> nn.Sequential:
    """Return a layer that doubles the size (uk); with ``blur`` by ``BlurUp`` and a convolution."""
    norm, bias = settings.norm, settings.conv_bias
    if blur:
        return nn.Sequential(BlurUp(inputs), *convolution(inputs, outputs, norm=norm, bias=bias))
    larger = upsampling(inputs, outputs, settings.upsample, bias=bias or has_bias(norm))
    return nn.Sequential(*larger, *normalise(outputs, norm), nn.ReLU())


def residual_blocks(channels: int, count: int, settings: BlockSettings) -> nn.ModuleList:
    """Return ``count`` residual blocks (Rk), with attention after the first half if ``self_attention`` is set."""
    blocks: list[nn.Module] = [
        ResidualBlock(
            channels,
            norm=settings.norm,
            dilation=settings.dilation,
            squeeze=settings.squeeze_excitation,
            bias=settings.conv_bias,
        )
        for _ in range(count)
    ]
    if settings.self_attention:
        blocks.insert((count + 1) // 2, Attention(channels))
    return nn.ModuleList(blocks)


def picture_head(channels: int, out_channels: int) -> nn.Sequential:
    """Return the output layer, which maps features at full size to a picture in [−1, 1]."""
    return nn.Sequential(ReflectPad(3), TiledConv(channels, out_channels, 7), nn.Tanh())


def multiple_of(halvings: int, norm: str) -> int:
    """Return the number of pixels of which input sides must be multiples, for a number of halvings and a ``norm``.

    With a norm of single pictures, even the innermost features need several positions, which doubles the number.
    """
    return 2 ** (halvings + (norm in ("instance", "plain-instance", "picture")))


class ResidualBody(nn.Module):
    """A residual generator without output layer: c7s1-k, d2k…, residual blocks, …uk; ``blurs``: the (d, u) layers blur.

    k is the number ``channels``.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        downsamplings: int,
        blocks: int,
        settings: BlockSettings,
        blurs: tuple[bool, bool] = (False, False),
    ) -> None:
        """Create the layers; ``blurs``: whether the layers that halve, and those that double the size blur."""
        super().__init__()
        self.checkpointing = settings.grad_checkpointing
        widths = [channels * 2**i for i in range(downsamplings + 1)]
        steps = list(itertools.pairwise(widths))
        self.entrance = first_layer(inputs, channels, settings)
        self.down = nn.ModuleList(downsample_layer(a, b, settings, blur=blurs[0]) for a, b in steps)
        self.blocks = residual_blocks(widths[-1], blocks, settings)
        self.up = nn.ModuleList(upsample_layer(b, a, settings, blur=blurs[1]) for a, b in reversed(steps))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, channels, H, W)."""
        stages = (self.entrance, *self.down, *self.blocks, *self.up)
        return run_stages(stages, x, checkpointing=self.checkpointing)


class Residual(nn.Module):
    """The generator c7s1-64, d128, d256, R256×9, u128, u64, c7s1-3 (Johnson's notation).

    It has no skips from encoder to decoder as a U-Net has, so its output may differ more from the input.
    """

    Settings = ResidualSettings

    def __init__(self, in_channels: int, out_channels: int, settings: ResidualSettings) -> None:
        super().__init__()
        self.multiple, self.stride = multiple_of(DOWNSAMPLINGS, settings.norm), 2**DOWNSAMPLINGS
        self.smallest = 2 ** (DOWNSAMPLINGS + 1)  # Norms need more than one value in training
        blurs = settings.blur_down, settings.blur_up
        self.body = ResidualBody(in_channels, settings.channels, DOWNSAMPLINGS, settings.blocks, settings, blurs)
        self.head = picture_head(settings.channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        picture: Tensor = self.head(self.body(x))
        return picture
