"""The PyTorch example's network of fast neural style (Johnson et al. 2016): (N, 3, H, W) of 0 to 255, both ways."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PaddedConv(nn.Module):
    """Convolve (N, C, H, W) with reflected edges, doubled by repetition first where ``doubled``."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, doubled: bool = False) -> None:
        super().__init__()
        self.doubled = doubled
        self.reflection_pad = nn.ReflectionPad2d(size // 2)
        self.conv2d = nn.Conv2d(inputs, outputs, size, stride)

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="nearest") if self.doubled else x
        return self.conv2d(self.reflection_pad(x))


class StyleBlock(nn.Module):
    """Two convolutions with norms, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.in1 = PaddedConv(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True)
        self.conv2, self.in2 = PaddedConv(channels, channels, 3), nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))


class TransformerNet(nn.Module):
    """The network; its output is not clamped. Sides are multiples of 4."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.in1 = PaddedConv(3, width, 9), nn.InstanceNorm2d(width, affine=True)
        self.conv2, self.in2 = PaddedConv(width, 2 * width, 3, 2), nn.InstanceNorm2d(2 * width, affine=True)
        self.conv3, self.in3 = PaddedConv(2 * width, 4 * width, 3, 2), nn.InstanceNorm2d(4 * width, affine=True)
        for number in range(1, 6):
            self.add_module(f"res{number}", StyleBlock(4 * width))
        self.deconv1 = PaddedConv(4 * width, 2 * width, 3, doubled=True)
        self.in4 = nn.InstanceNorm2d(2 * width, affine=True)
        self.deconv2 = PaddedConv(2 * width, width, 3, doubled=True)
        self.in5 = nn.InstanceNorm2d(width, affine=True)
        self.deconv3 = PaddedConv(width, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.in1(self.conv1(x)))
        x = F.relu(self.in2(self.conv2(x)))
        x = F.relu(self.in3(self.conv3(x)))
        for number in range(1, 6):
            x = getattr(self, f"res{number}")(x)
        x = F.relu(self.in4(self.deconv1(x)))
        x = F.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)
