"""The U-Net of Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (CVPR 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidtrans.core.options import option
from vidtrans.networks.convolutions import MatmulConv
from vidtrans.networks.layers import (
    checkpointing_setting,
    has_bias,
    norm_setting,
    normalise,
    run_stages,
    upsample_setting,
    upsampling,
)


def _downsamplings(default: int) -> Any:  # noqa: ANN401  (a dataclass field)
    """Return the field for a setting ``downsamplings``: the number of layers that halve the picture size."""
    return option(default, "number of downsamplings, each to half the size", bounds=(3, 9))


@dataclass(frozen=True)
class UNetSettings:
    """Settings of ``UNet``. The defaults are the paper's values."""

    channels: int = option(64, "channels after the first layer", bounds=(1, 256))
    downsamplings: int = _downsamplings(8)
    dropout: float = option(0.5, "dropout in the three innermost decoder layers, in training", bounds=(0.0, 0.9))
    skip_connections: bool = option(True, "connect layers of equal size with skips; false: the paper's encoder-decoder")
    upsample: str = upsample_setting()
    norm: str = norm_setting("batch")
    inner_norm: bool = option(
        False,
        "use a norm in the innermost encoder layer, too, as in pix2pix-tensorflow's files; for a single pixel "
        "it adds only its shift",
    )
    conv_bias: bool = option(False, "add a bias to convolutions with any norm, as in pix2pix-tensorflow's files")
    grad_checkpointing: bool = checkpointing_setting()
    unrecorded: ClassVar[tuple[str, ...]] = ("grad_checkpointing",)


class _UNetDown(nn.Sequential):
    """LeakyReLU, 4×4 convolution of stride 2, norm (Ck of the paper's encoder)."""

    def __init__(self, inputs: int, outputs: int, *, activate: bool, norm: str, bias: bool) -> None:
        super().__init__(
            *([nn.LeakyReLU(0.2)] if activate else []),
            MatmulConv(inputs, outputs, bias=bias),
            *normalise(outputs, norm),
        )


class _UNetUp(nn.Sequential):
    """ReLU, 4×4 transposed convolution of stride 2, norm, dropout (Ck and CDk of the paper's decoder)."""

    def __init__(self, inputs: int, outputs: int, settings: UNetSettings, *, dropout: bool) -> None:
        """Create the layers; ``dropout``: with the dropout of ``settings`` while training."""
        super().__init__(
            nn.ReLU(),
            *upsampling(
                inputs, outputs, settings.upsample, kernel=4, bias=settings.conv_bias or has_bias(settings.norm)
            ),
            *normalise(outputs, settings.norm),
            *([nn.Dropout(settings.dropout)] if dropout and settings.dropout else []),
        )


def _may_end_in_one_pixel(settings: UNetSettings) -> bool:
    """Return whether the innermost layer may be a single pixel although it has a norm.

    A ``PictureNorm`` discards that pixel, but skips still transmit the picture, as in pix2pix-tensorflow at 256 pixels.
    """
    return settings.norm == "none" or (settings.norm == "picture" and settings.skip_connections)


class UNet(nn.Module):
    """The U-Net: C64-C128-C256-C512… down, CD512×3-C512…-C256-C128-C64 up, skips between layers of equal size.

    The first layer has no norm, and neither has the innermost, where the norm of a single value is zero. With batch
    norm, both layers have no bias either, as in the authors' files. For files of other tools, ``inner_norm`` adds the
    norm of the innermost layer, and ``conv_bias`` adds biases.
    """

    Settings: type[UNetSettings] = UNetSettings

    def __init__(self, in_channels: int, out_channels: int, settings: UNetSettings) -> None:
        super().__init__()
        self.skips, self.checkpointing = settings.skip_connections, settings.grad_checkpointing
        depth = settings.downsamplings
        self.multiple = self.smallest = 2**depth
        if settings.inner_norm and not _may_end_in_one_pixel(settings):
            self.smallest = 2 ** (depth + 1)
            self.multiple = self.multiple if settings.norm == "batch" else self.smallest
        widths = [settings.channels * min(2**i, 8) for i in range(depth)]
        norms = ["none", *[settings.norm] * (depth - 2), settings.norm if settings.inner_norm else "none"]
        biased = settings.conv_bias or has_bias(settings.norm)
        by_batch = settings.norm in ("batch", "picture")
        self.down = nn.ModuleList(
            _UNetDown(a, b, activate=i > 0, norm=norms[i], bias=biased or (norms[i] == "none" and not by_batch))
            for i, (a, b) in enumerate(zip([in_channels, *widths[:-1]], widths, strict=True))
        )
        # Up layer i doubles the size; all but the innermost also take the skip, so their input has twice the channels.
        joined = 2 if settings.skip_connections else 1
        self.up = nn.ModuleList(
            _UNetUp(
                widths[i] * (1 if i == depth - 1 else joined),
                widths[i - 1],
                settings,
                dropout=depth - 4 <= i - 1 < depth - 1,
            )
            for i in range(depth - 1, 0, -1)
        )
        head = upsampling(joined * widths[0], out_channels, settings.upsample, kernel=4)
        self.head = nn.Sequential(nn.ReLU(), *head, nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        skips = []
        for down in self.down:
            x = run_stages((down,), x, checkpointing=self.checkpointing)
            skips.append(x)
        skips.pop()
        for up in self.up:
            x, skip = run_stages((up,), x, checkpointing=self.checkpointing), skips.pop()
            x = torch.cat([x, skip], 1) if self.skips else x
        picture: Tensor = self.head(x)
        return picture


class UNet64(UNet):
    """The U-Net for pictures of at least 64 pixels: 6 downsamplings."""

    @dataclass(frozen=True)
    class Settings(UNetSettings):
        """Settings of ``UNet64``."""

        downsamplings: int = _downsamplings(6)


class UNet128(UNet):
    """The U-Net for pictures of at least 128 pixels: 7 downsamplings."""

    @dataclass(frozen=True)
    class Settings(UNetSettings):
        """Settings of ``UNet128``."""

        downsamplings: int = _downsamplings(7)


class UNet256(UNet):
    """The U-Net of the paper, for pictures of at least 256 pixels: C64-C128-C256-C512×5, 8 downsamplings."""


class UNet512(UNet):
    """The U-Net for pictures of at least 512 pixels: 9 downsamplings."""

    @dataclass(frozen=True)
    class Settings(UNetSettings):
        """Settings of ``UNet512``."""

        downsamplings: int = _downsamplings(9)
