"""A small U-Net that trains in minutes: it works at half size, with residual blocks and skips.

For large pictures its outermost layers can run on strips of rows, in sequence. These layers work at half and full size,
and have the largest tensors between them: 0.7 GB in bf16 for a 4K picture, of which strips need a tenth. Memory of that
size is also newly allocated by the system for every picture, which takes longer than computing the overlapping rows of
the strips twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.core.options import option
from vidtrans.networks.layers import convolution

# Largest size, in bytes, of the upsampled features of a picture that is computed without strips. See
# ``machine.set_up_heap``.
WHOLE_BYTES = 32 << 20
STRIP_BYTES = 24 << 20  # Largest size, in bytes, of the upsampled features of a strip.
# Number of rows, at half size, beyond each edge of a strip that affect the strip's output, because of two 3×3
# convolutions and a head that may resize.
MARGIN_ROWS = 4


@dataclass(frozen=True)
class HalfSizeSettings:
    """Settings of width and depth for a network that works at half size."""

    channels: int = option(32, "channels at half size; inner layers have 2, 3 and 4 times as many", bounds=(8, 128))
    blocks: tuple[int, ...] = option(
        (1, 2, 2), "number of residual blocks at 1/4, 1/8 and 1/16 of the size", bounds=(0, 9)
    )

    def __post_init__(self) -> None:
        if len(self.blocks) != 3:
            raise ValueError(f"generator.blocks needs 3 numbers (got {len(self.blocks)})")


@dataclass(frozen=True)
class UNetSmallSettings(HalfSizeSettings):
    """Settings of ``UNetSmall``: width, depth, output layer and skips."""

    head: str = option(
        "pixel-shuffle",
        "last upsampling: pixel-shuffle keeps detailed still backgrounds clean; resize is smoother",
        choices=("pixel-shuffle", "resize"),
    )
    residual: bool = option(
        False, "add the output to the first three input channels, for inputs that are similar to the picture"
    )
    skip_connections: bool = option(
        True, "connect layers of equal size with skips; false: all data passes through the innermost layer"
    )


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, activate: bool = True) -> nn.Sequential:
    """Return a convolution with batch norm and, if ``activate``, ReLU."""
    return nn.Sequential(*convolution(inputs, outputs, kernel, norm="batch", stride=stride, activate=activate))


class SmallResidual(nn.Module):
    """A residual block, relu(x + second(first(x)))."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        """Create a block from the layers of its branch."""
        super().__init__()
        self.first, self.second = first, second

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        return F.relu(x + self.second(self.first(x)))


class _SmallUp(nn.Module):
    """Upsampling by 2 (nearest neighbour), convolution, and fusion with the optional skip by a 1×1 convolution."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        """Create the layer; ``skip``: number of channels of the skip, 0 without a skip."""
        super().__init__()
        self.joined = bool(skip)
        self.conv = _conv(inputs, outputs)
        self.fuse = _conv(outputs + skip, outputs, kernel=1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Features (N, inputs, h, w), skip (N, skip, 2h, 2w) → (N, outputs, 2h, 2w)."""
        x = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        if self.joined:
            x = torch.cat([x, skip], 1)
        fused: Tensor = self.fuse(x)
        return fused


class UNetSmall(nn.Module):
    """The U-Net: space to depth, three strided convolutions with residual blocks, upsampling with skips, a head."""

    Settings = UNetSmallSettings

    def __init__(self, in_channels: int, out_channels: int, settings: UNetSmallSettings) -> None:
        super().__init__()
        if settings.residual and in_channels < out_channels:
            raise UsageError(
                "generator.residual",
                f"{in_channels} input channel{'s hold' if in_channels > 1 else ' holds'} no colour picture to add to",
                "train with --set generator.residual=false",
            )
        self.residual = settings.residual
        width = settings.channels
        widths = [width, 2 * width, 3 * width, 4 * width]
        self.multiple = 2 ** len(widths)
        self.smallest = 2 * self.multiple  # BatchNorm needs more than one value in training
        self.stem = _conv(4 * in_channels, width)
        self.down = nn.ModuleList(
            nn.Sequential(
                _conv(a, b, stride=2), *(SmallResidual(_conv(b, b), _conv(b, b, activate=False)) for _ in range(n))
            )
            for a, b, n in zip(widths, widths[1:], settings.blocks, strict=False)
        )
        self.up = nn.ModuleList(
            _SmallUp(b, a if settings.skip_connections else 0, a) for a, b in reversed(list(itertools.pairwise(widths)))
        )
        self.head: nn.Module
        if settings.head == "pixel-shuffle":
            self.head = nn.Sequential(nn.Conv2d(width, 4 * out_channels, 3, 1, 1), nn.PixelShuffle(2))
        else:
            self.head = nn.Sequential(
                nn.Conv2d(width, 16, 3, 1, 1),
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.Conv2d(16, out_channels, 3, 1, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W)."""
        y = self.outermost(*self.inner(x))
        return (x[:, : y.shape[1]] + y).clamp(-1, 1) if self.residual else torch.tanh(y)

    def inner(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Run all but the outermost layers: (N, in, H, W) → (N, 2C, H/4, W/4), and the skip (N, C, H/2, W/2)."""
        x = self.stem(F.pixel_unshuffle(x, 2))
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up in self.up[:-1]:
            x = up(x, skips.pop())
        return x, skips.pop()

    def outermost(self, x: Tensor, skip: Tensor) -> Tensor:
        """Run the last upsampling and the head: (N, 2C, H/4, W/4), (N, C, H/2, W/2) → (N, out, H, W) before tanh."""
        y: Tensor = self.head(self.up[-1](x, skip))
        return y


def reduce_memory(network: nn.Module) -> None:
    """Make every ``UNetSmall`` in a network use less memory for large pictures, in place; outputs stay equal."""
    for module in network.modules():
        if isinstance(module, UNetSmall):
            vars(module)["outermost"] = partial(run_in_strips, module.outermost)
        elif isinstance(module, SmallResidual):
            vars(module)["forward"] = partial(_residual_in_place, module)


def _residual_in_place(block: SmallResidual, x: Tensor) -> Tensor:
    """Return ``block(x)``, written into the memory of the output of the block's last convolution."""
    y: Tensor = block.second(block.first(x))
    return y.add_(x).relu_()


def run_in_strips(run: Callable[[Tensor, Tensor], Tensor], x: Tensor, skip: Tensor) -> Tensor:
    """Return ``run(x, skip)``, where ``run`` is ``UNetSmall.outermost``, computed in strips if the picture is large.

    Args:
        run: the function of the outermost layers.
        x: (N, 2C, H/4, W/4).
        skip: (N, C, H/2, W/2), channels last.

    Returns:
        (N, out, H, W), channels last.
    """
    height, rows = skip.shape[2], strip_rows(x, skip)
    if rows >= height:
        return run(x, skip)
    result: Tensor | None = None
    reach = rows + 2 * MARGIN_ROWS  # Equal for all strips: weights are packed again for every new shape
    for top in range(0, height, rows):
        end, first = min(height, top + rows), max(0, min(top - MARGIN_ROWS, height - reach))
        output = run(x[:, :, first // 2 : (first + reach) // 2], skip[:, :, first : first + reach])
        if result is None:
            size = (*output.shape[:2], 2 * height, output.shape[3])
            result = torch.empty(size, dtype=output.dtype, memory_format=torch.channels_last)
        result[:, :, 2 * top : 2 * end] = output[:, :, 2 * (top - first) : 2 * (end - first)]
    assert result is not None
    return result


def strip_rows(x: Tensor, skip: Tensor) -> int:
    """Return the number of rows of ``skip`` (N, C, H/2, W/2) per strip: all rows, or an even number.

    The strips have about equal sizes. ``x``: the features (N, 2C, H/4, W/4) to upsample.
    """
    height = skip.shape[2]
    row_bytes = x.shape[0] * x.shape[1] * skip.shape[3] * x.element_size()
    if height * row_bytes <= WHOLE_BYTES:
        return height
    count = -(-height // max(4 * MARGIN_ROWS, STRIP_BYTES // row_bytes))
    rows = -(-height // count)
    rows += rows % 2
    return rows if rows + 2 * MARGIN_ROWS <= height else height
