"""The generator of SPADE (Park et al. 2019): labels of 0 and 1, (N, C, H, W), to pictures in [-1, 1].

Test scripts of this family do call ``eval()``: norms use stored statistics.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peer_networks.layers import SpectralConv2d

HIDDEN = 128
DOUBLINGS = {"normal": 5, "more": 6, "most": 7}


class SpatialNorm(nn.Module):
    """Normalise (N, C, H, W) without weights, then scale and shift each pixel as the labels there say."""

    def __init__(self, channels: int, labels: int, norm: str, size: int) -> None:
        super().__init__()
        self.param_free_norm = (
            nn.InstanceNorm2d(channels) if norm == "instance" else nn.BatchNorm2d(channels, affine=False)
        )
        self.mlp_shared = nn.Sequential(nn.Conv2d(labels, HIDDEN, size, padding=size // 2), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(HIDDEN, channels, size, padding=size // 2)
        self.mlp_beta = nn.Conv2d(HIDDEN, channels, size, padding=size // 2)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        hidden = self.mlp_shared(F.interpolate(labels, size=x.shape[2:], mode="nearest"))
        return self.param_free_norm(x) * (1 + self.mlp_gamma(hidden)) + self.mlp_beta(hidden)


class SpatialBlock(nn.Module):
    """A residual block of spatial norms; a shortcut of its own where the number of channels changes."""

    def __init__(self, inputs: int, outputs: int, labels: int, norm: str, size: int, spectral: bool) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.conv_0 = _conv(inputs, middle, 3, spectral)
        self.conv_1 = _conv(middle, outputs, 3, spectral)
        if inputs != outputs:
            self.conv_s = _conv(inputs, outputs, 1, spectral, bias=False)
        self.norm_0 = SpatialNorm(inputs, labels, norm, size)
        self.norm_1 = SpatialNorm(middle, labels, norm, size)
        if inputs != outputs:
            self.norm_s = SpatialNorm(inputs, labels, norm, size)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        shortcut = self.conv_s(self.norm_s(x, labels)) if hasattr(self, "conv_s") else x
        x = self.conv_0(F.leaky_relu(self.norm_0(x, labels), 0.2))
        return shortcut + self.conv_1(F.leaky_relu(self.norm_1(x, labels), 0.2))


def _conv(inputs: int, outputs: int, size: int, spectral: bool, *, bias: bool = True) -> nn.Module:
    if spectral:
        return SpectralConv2d(inputs, outputs, size, bias=bias)
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)


class SpadeGenerator(nn.Module):
    """The generator, from labels, or from a latent vector where ``latent`` is not 0.

    Its output is ``size`` (height, width), whatever the size of the labels. ``norm`` is batch or instance, ``kernel``
    that of the spatial norms.
    """

    def __init__(
        self,
        labels: int,
        width: int,
        upsampling: str,
        size: tuple[int, int],
        norm: str = "batch",
        spectral: bool = True,
        kernel: int = 3,
        latent: int = 0,
    ) -> None:
        super().__init__()
        self.latent, self.upsampling = latent, upsampling
        self.smallest = (size[0] >> DOUBLINGS[upsampling], size[1] >> DOUBLINGS[upsampling])
        top = 16 * width

        def block(inputs: int, outputs: int) -> SpatialBlock:
            return SpatialBlock(inputs, outputs, labels, norm, kernel, spectral)

        if latent:
            self.fc = nn.Linear(latent, top * self.smallest[0] * self.smallest[1])
        else:
            self.fc = nn.Conv2d(labels, top, 3, padding=1)
        self.head_0, self.G_middle_0, self.G_middle_1 = block(top, top), block(top, top), block(top, top)
        for number in range(4):
            self.add_module(f"up_{number}", block(top >> number, top >> (number + 1)))
        if upsampling == "most":
            self.up_4 = block(width, width // 2)
        self.conv_img = nn.Conv2d(width // 2 if upsampling == "most" else width, 3, 3, padding=1)

    def forward(self, labels: Tensor, z: Tensor | None = None) -> Tensor:
        """Return the pictures of labels; ``z``, (N, latent), is 0 unless given."""
        if self.latent:
            z = torch.zeros(len(labels), self.latent) if z is None else z
            x = self.fc(z).unflatten(1, (-1, *self.smallest))
        else:
            x = self.fc(F.interpolate(labels, size=self.smallest, mode="nearest"))
        x = _double(self.head_0(x, labels))
        x = self.G_middle_0(x, labels)
        x = self.G_middle_1(x if self.upsampling == "normal" else _double(x), labels)
        for number in range(4 + (self.upsampling == "most")):
            x = getattr(self, f"up_{number}")(_double(x), labels)
        return torch.tanh(self.conv_img(F.leaky_relu(x, 0.2)))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
