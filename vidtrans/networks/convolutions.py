"""Convolutions that are faster than torch's: composed with neighbouring layers, tiled, or as matrix products.

A composed convolution has the weights and the output of the layers that it replaces, and takes a half to a sixth of
their time on a CPU: a blur before a convolution, or an upsampling by 2, is folded into its kernel, and no larger
picture is written.

Over a few positions a convolution is a matrix product. The inner layers of a U-Net move megabytes of weights for a few
pixels. In bf16 on a CPU torch's convolution is slower for them: forward and backward of 512 → 512 channels, 4×4, stride
2, from 8×8 pixels take 17 ms on one core, and 8 ms as products; transposed, 1024 → 512 from 8×8, 50 and 23 ms. In fp32
the times hardly differ, and above ``MAX_POSITIONS`` the convolution is faster. The results are equal except for the
rounding of bf16.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Largest number of output channels of a ``TiledConv``; from 16 on, channels fill a processor's vectors without tiles
MAX_TILED_CHANNELS = 8
TILE = 2  # Side of the square of output pixels that ``TiledConv`` computes as channels of one position
BINOMIAL = (0.25, 0.5, 0.25)  # Weights of the binomial blur filter along each axis
# Weights of three input rows in the upsampled picture, by upsampling mode: first for even, then for odd output rows,
# and for each of the three rows of the convolution's kernel.
DOUBLING_WEIGHTS = {
    "nearest": (((1.0, 0, 0), (0, 1.0, 0), (0, 1.0, 0)), ((0, 1.0, 0), (0, 1.0, 0), (0, 0, 1.0))),
    "bilinear": (
        ((0.75, 0.25, 0), (0.25, 0.75, 0), (0, 0.75, 0.25)),
        ((0.25, 0.75, 0), (0, 0.75, 0.25), (0, 0.25, 0.75)),
    ),
}
# Largest number of positions (batch · h · w, of the smaller one of input and output) for a matrix product
MAX_POSITIONS = 256


class TiledConv(nn.Conv2d):
    """``nn.Conv2d`` with a large kernel, stride 1 and few outputs, computed in tiles to fill a processor's vectors.

    ``TILE``² neighbouring output pixels are channels of one position, with a kernel that contains the original kernel
    once per output pixel, shifted.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, kernel, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H − kernel + 1, W − kernel + 1)."""
        kernel = self.kernel_size[0]
        is_uneven = any((side - kernel + 1) % TILE for side in x.shape[2:])
        if not x.is_cpu or self.out_channels > MAX_TILED_CHANNELS or is_uneven:
            return super().forward(x)
        weight = _shifted_kernels(self.weight).contiguous(memory_format=_memory_format(x))
        bias = None if self.bias is None else self.bias.repeat_interleave(TILE**2)
        return F.pixel_shuffle(F.conv2d(x, weight, bias, TILE), TILE)


class BlurredConv(nn.Conv2d):
    """A 3×3 binomial filter and ``nn.Conv2d(inputs, outputs, 3, 2)`` in one layer: downsampling without aliasing."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, 2)

    def composed_kernel(self) -> Tensor:
        """Return the kernel of filter and convolution together, (outputs, inputs, 5, 5)."""
        row = torch.tensor(BINOMIAL, device=self.weight.device)
        with torch.autocast(self.weight.device.type, enabled=False):  # Round the kernel only once
            return _convolve_kernels(self.weight.float(), row[:, None] * row).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H + 4, W + 4) → (N, outputs, H/2, W/2); the caller pads for both filter and convolution."""
        return F.conv2d(x, self.composed_kernel().contiguous(memory_format=_memory_format(x)), self.bias, 2)


class DoublingConv(nn.Conv2d):
    """Upsampling by 2 and ``nn.Conv2d(inputs, outputs, 3)`` in one layer; the border pixels are repeated.

    ``mode``: 'nearest' or 'bilinear' upsampling. Each output of the upsampled picture depends on 3×3 input pixels (a
    polyphase filter).
    """

    def __init__(self, inputs: int, outputs: int, mode: str, *, bias: bool = True) -> None:
        """Create the layer; ``mode``: the upsampling, 'nearest' or 'bilinear'."""
        super().__init__(inputs, outputs, 3, bias=bias)
        self.mode = mode

    def composed_kernel(self) -> Tensor:
        """Return the kernel of upsampling and convolution together, (4·outputs, inputs, 3, 3).

        Its output channels are in the order of ``nn.PixelShuffle``.
        """
        reads = torch.tensor(DOUBLING_WEIGHTS[self.mode], device=self.weight.device)
        with torch.autocast(self.weight.device.type, enabled=False):
            kernel = torch.einsum("oiyx,pya,qxb->opqiab", self.weight.float(), reads, reads)
        return kernel.flatten(0, 2).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, 2H, 2W)."""
        weight = self.composed_kernel().contiguous(memory_format=_memory_format(x))
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return F.pixel_shuffle(F.conv2d(_pad_border(x), weight, bias), 2)


def _pad_border(x: Tensor) -> Tensor:
    """Pad (N, C, H, W) by repeating its border: (N, C, H + 2, W + 2)."""
    if not x.is_cpu and torch.are_deterministic_algorithms_enabled():
        return repeat_border(x)
    return F.pad(x, (1,) * 4, mode="replicate")


def repeat_border(x: Tensor) -> Tensor:
    """Return ``F.pad(x, (1, 1, 1, 1), mode="replicate")``, with deterministic gradients on CUDA."""
    for side in (-1, -2):
        x = torch.cat([x.narrow(side, 0, 1), x, x.narrow(side, x.shape[side] - 1, 1)], side)
    return x


def _memory_format(x: Tensor) -> torch.memory_format:
    """Return the memory format of a tensor (N, C, H, W): channels last or contiguous."""
    is_last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format


def _shifted_kernels(weight: Tensor) -> Tensor:
    """Return a copy of the kernel ``weight`` (outputs, inputs, K, K) for each of the ``TILE``² pixels of a tile.

    The copies are shifted and padded with zeros: (TILE²·outputs, inputs, K + TILE − 1, K + TILE − 1).
    """
    last = TILE - 1
    places = [F.pad(weight, (x, last - x, y, last - y)) for y in range(TILE) for x in range(TILE)]
    return torch.stack(places, 1).flatten(0, 1)


def _convolve_kernels(weight: Tensor, kernel: Tensor) -> Tensor:
    """Return the full convolution of each plane of ``weight``, (outputs, inputs, K, K), with a symmetric 3×3 kernel."""
    planes = weight.flatten(0, 1)[:, None]
    return F.conv2d(planes, kernel[None, None], padding=2)[:, 0].unflatten(0, weight.shape[:2])


class _FixedTiledConv(nn.Module):
    """A ``TiledConv`` with a constant kernel, as a strided convolution and a pixel shuffle."""

    def __init__(self, layer: TiledConv) -> None:
        super().__init__()
        bias = None if layer.bias is None else layer.bias.repeat_interleave(TILE**2)
        self.conv: nn.Module = _conv(_shifted_kernels(layer.weight), bias, TILE)
        self.beyond = layer.kernel_size[0] - 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H − kernel + 1, W − kernel + 1)."""
        height, width = (side - self.beyond for side in x.shape[2:])
        if height % TILE or width % TILE:
            x = F.pad(x, (0, -width % TILE, 0, -height % TILE))
        return F.pixel_shuffle(self.conv(x), TILE)[:, :, :height, :width]


def to_standard_layers(layer: TiledConv | BlurredConv | DoublingConv) -> nn.Module:
    """Return layers of torch with the same output, which exporters support."""
    if isinstance(layer, TiledConv):
        return _conv(layer.weight, layer.bias, 1)
    if isinstance(layer, BlurredConv):
        return _conv(layer.composed_kernel(), layer.bias, 2)
    bias = None if layer.bias is None else layer.bias.repeat_interleave(4)
    return nn.Sequential(nn.ReplicationPad2d(1), _conv(layer.composed_kernel(), bias, 1), nn.PixelShuffle(2))


def fix_kernels(network: nn.Module, *, tiled: bool) -> None:
    """Replace ``BlurredConv``, ``DoublingConv`` and, if ``tiled``, ``TiledConv`` by layers with constant kernels.

    The layers are replaced in place, for rendering. A ``TiledConv`` is faster only on a CPU.
    """
    for module in list(network.modules()):
        for name, child in module.named_children():
            if tiled and isinstance(child, TiledConv) and child.out_channels <= MAX_TILED_CHANNELS:
                setattr(module, name, _FixedTiledConv(child))
            elif isinstance(child, BlurredConv | DoublingConv):
                setattr(module, name, to_standard_layers(child))


def _conv(weight: Tensor, bias: Tensor | None, stride: int) -> nn.Conv2d:
    """Return a frozen convolution with this weight (outputs, inputs, K, K) and bias."""
    outputs, inputs, kernel = weight.shape[:3]
    conv = nn.Conv2d(inputs, outputs, kernel, stride, bias=bias is not None)
    conv.weight = nn.Parameter(weight.detach(), requires_grad=False)
    if bias is not None:
        conv.bias = nn.Parameter(bias.detach(), requires_grad=False)
    return conv


def is_matmul_faster(x: Tensor, positions: int) -> bool:
    """Return whether a matrix product is faster in training on ``x``; ``positions``: N · h · w of input or output.

    ``x``: (N, C, H, W); h and w are the size of the smaller one of input and output.
    """
    return (
        x.device.type == "cpu"
        and positions <= MAX_POSITIONS
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


class MatmulConv(nn.Conv2d):
    """``nn.Conv2d(…, 4, 2, 1)``, computed as a matrix product if that is faster."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) → (N, outputs, H/2, W/2)."""
        height, width = x.shape[2] // 2, x.shape[3] // 2
        if not self.training or not is_matmul_faster(x, len(x) * height * width):
            return super().forward(x)
        columns = F.unfold(x, 4, padding=1, stride=2).transpose(1, 2)
        product = F.linear(columns, self.weight.flatten(1), self.bias)
        return product.transpose(1, 2).unflatten(2, (height, width))


class MatmulConvTranspose(nn.ConvTranspose2d):
    """``nn.ConvTranspose2d(…, 4, 2, 1)``, computed as a matrix product if that is faster."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, 4, 2, 1, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, h, w) → (N, outputs, 2h, 2w)."""
        height, width = x.shape[2:]
        if not self.training or output_size is not None or not is_matmul_faster(x, len(x) * height * width):
            return super().forward(x, output_size)
        columns = torch.matmul(x.flatten(2).transpose(1, 2), self.weight.flatten(1))
        product = F.fold(columns.transpose(1, 2), (2 * height, 2 * width), 4, padding=1, stride=2)
        return product if self.bias is None else product + self.bias[:, None, None]
