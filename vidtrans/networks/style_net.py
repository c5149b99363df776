"""Fast neural style networks of other tools, after Johnson et al. (ECCV 2016).

"Perceptual Losses for Real-Time Style Transfer and Super-Resolution". Two kinds of files share the layers and differ in
padding, upsampling and last layer: files of the PyTorch examples, and files of the TensorFlow implementation whose raw
floats run in web pages. With zero padding, convolutions of stride 2 are padded at the right and bottom only, as in
TensorFlow for even sides.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option
from vidtrans.networks.convolutions import TiledConv
from vidtrans.networks.layers import ReflectPad

KERNEL = 9  # Side of the kernels in the first and the last layer, in pixels.


@dataclass(frozen=True)
class StyleNetSettings:
    """Settings of ``StyleNet``. The default is the network of the PyTorch examples."""

    channels: int = option(32, "channels at full size; inner layers have 2 and 4 times as many", bounds=(1, 256))
    blocks: int = option(5, "number of residual blocks at a quarter of the size", bounds=(1, 32))
    padding: str = option("mirror", "padding of convolutions", choices=("mirror", "zero"))
    upsampling: str = option(
        "nearest",
        "upsampling: repeat pixels and convolve, or transposed convolution",
        choices=("nearest", "transposed"),
    )
    norm_eps: float = option(1e-5, "epsilon that norms add to a variance", bounds=(1e-12, 0.1))
    head: str = option(
        "linear", "the last layer: a convolution, or a convolution with norm and tanh", choices=("linear", "tanh")
    )
    conv_bias: bool = option(True, "add a bias to convolutions before a norm; it does not change the output")


class ZeroPad(nn.Module):
    """Zero padding with which a convolution of stride 2 exactly halves even sides (TensorFlow's 'SAME')."""

    def __init__(self, kernel: int, stride: int) -> None:
        """Create the padding for a convolution with this kernel side and stride."""
        super().__init__()
        total = kernel - stride
        self.before, self.after = total // 2, total - total // 2

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C, H + kernel − stride, W + kernel − stride)."""
        return F.pad(x, (self.before, self.after) * 2)


class DoublingConvTranspose(nn.ConvTranspose2d):
    """A transposed 3×3 convolution of stride 2 that crops at the right and bottom, as TensorFlow's 'SAME' does."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__(inputs, outputs, 3, 2, bias=bias)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, inputs, h, w) → (N, outputs, 2h, 2w)."""
        return super().forward(x, output_size)[:, :, :-1, :-1]


def style_layer(
    inputs: int,
    outputs: int,
    settings: StyleNetSettings,
    *,
    kernel: int = 3,
    stride: int = 1,
    larger: bool = False,
    norm: bool = True,
    activate: bool = True,
) -> nn.Sequential:
    """Return padding, convolution, instance norm and ReLU as one module. ``larger``: the layer doubles the size."""
    bias = settings.conv_bias or not norm
    layers: dict[str, nn.Module] = {}
    if larger and settings.upsampling == "transposed":
        layers["conv"] = DoublingConvTranspose(inputs, outputs, bias=bias)
    else:
        if larger:
            layers["repeat"] = nn.Upsample(scale_factor=2.0)
        layers["pad"] = ReflectPad(kernel // 2) if settings.padding == "mirror" else ZeroPad(kernel, stride)
        is_wide = kernel == KERNEL
        layers["conv"] = (
            TiledConv(inputs, outputs, kernel, bias=bias)
            if is_wide
            else nn.Conv2d(inputs, outputs, kernel, stride, bias=bias)
        )
    if norm:
        layers["norm"] = nn.InstanceNorm2d(outputs, settings.norm_eps, affine=True)
    if activate:
        layers["relu"] = nn.ReLU()
    return nn.Sequential(OrderedDict(layers))


class StyleBlock(nn.Module):
    """A residual block, x + second(first(x)), without a ReLU after the sum."""

    def __init__(self, channels: int, settings: StyleNetSettings) -> None:
        super().__init__()
        self.first = style_layer(channels, channels, settings)
        self.second = style_layer(channels, channels, settings, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) → the same shape."""
        y: Tensor = self.second(self.first(x))
        return x + y


class StyleNet(nn.Module):
    """The generator c9s1-32, d64, d128, R128×5, u64, u32, c9s1-3, in the value range of another tool's network."""

    Settings = StyleNetSettings
    multiple = 4
    smallest = 8  # An instance norm over a single value would give zero

    def __init__(self, in_channels: int, out_channels: int, settings: StyleNetSettings) -> None:
        super().__init__()
        a, b, c = (settings.channels * 2**n for n in range(3))
        self.entrance = style_layer(in_channels, a, settings, kernel=KERNEL)
        self.down = nn.ModuleList(style_layer(*pair, settings, stride=2) for pair in ((a, b), (b, c)))
        self.blocks = nn.ModuleList(StyleBlock(c, settings) for _ in range(settings.blocks))
        self.up = nn.ModuleList(style_layer(*pair, settings, larger=True) for pair in ((c, b), (b, a)))
        is_bounded = settings.head == "tanh"
        self.head = style_layer(a, out_channels, settings, kernel=KERNEL, norm=is_bounded, activate=False)
        if is_bounded:
            self.head.append(nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) → (N, out, H, W); with a linear head the output is not limited to a range."""
        for layer in (self.entrance, *self.down, *self.blocks, *self.up):
            x = layer(x)
        picture: Tensor = self.head(x)
        return picture
