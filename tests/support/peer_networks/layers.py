"""Layers that several families share, and random weights in which every layer counts."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def norm_layer(kind: str, channels: int) -> nn.Module:
    """Return the norm that an option of these families names: ``batch``, ``instance`` (without weights) or ``none``."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels)
    if kind == "none":
        return nn.Identity()
    raise ValueError(kind)


class Residual(nn.Module):
    """Add what ``conv_block`` computes of (N, C, H, W) to it: pad, convolve, normalise, ReLU, pad, convolve, normalise.

    A dropout layer after the ReLU moves the indices of the second half by one.
    """

    def __init__(self, channels: int, norm: str, *, bias: bool, dropout: bool = False) -> None:
        super().__init__()
        first = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), norm_layer(norm, channels)]
        second = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), norm_layer(norm, channels)]
        between = [nn.ReLU(), nn.Dropout(0.5)] if dropout else [nn.ReLU()]
        self.conv_block = nn.Sequential(*first, *between, *second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class SpectralConv2d(nn.Module):
    """Convolve with a kernel divided by its stored spectral norm u·Wv (Miyato et al. 2018), W being (out, in·k·k).

    Keys: ``bias``, ``weight_orig``, ``weight_u``, ``weight_v``. Nothing is iterated: it is for evaluation.
    """

    def __init__(self, inputs: int, outputs: int, size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.padding = size // 2
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_orig = nn.Parameter(torch.zeros(outputs, inputs, size, size))
        self.register_buffer("weight_u", torch.zeros(outputs))
        self.register_buffer("weight_v", torch.zeros(inputs * size * size))

    def forward(self, x: Tensor) -> Tensor:
        norm = self.weight_u @ (self.weight_orig.flatten(1) @ self.weight_v)
        return nn.functional.conv2d(x, self.weight_orig / norm, self.bias, padding=self.padding)


def randomise(network: nn.Module, seed: int) -> nn.Module:
    """Fill weights, biases and statistics with random values that keep activations near 1, and return the network.

    Weights are He's for ReLU, and half that in residual branches, so that networks without norms neither fade nor grow.
    """
    draws = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, module in network.named_modules():
            _randomise_layer(module, _gain(name), draws)
    return network


def _gain(name: str) -> float:
    """Return the gain of a layer: less in residual branches, and for what scales and shifts activations."""
    if "mlp_gamma" in name or "mlp_beta" in name:
        return 0.3
    branch = "conv_block" in name or name.endswith(("conv_0", "conv_1", "conv_s", "conv_img"))
    return 0.7 if branch else math.sqrt(2)


def _randomise_layer(module: nn.Module, gain: float, draws: torch.Generator) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        inputs = module.weight[0].numel()
        if isinstance(module, nn.ConvTranspose2d):
            inputs = module.in_channels * math.prod(module.kernel_size) / math.prod(module.stride)
        module.weight.normal_(0, gain / math.sqrt(inputs), generator=draws)
    elif isinstance(module, SpectralConv2d):
        module.weight_orig.normal_(0, 1, generator=draws)
        _set_spectral_vectors(module, draws)
    elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
        if module.weight is not None:
            module.weight.normal_(1, 0.2, generator=draws)
        if module.running_mean is not None:
            module.running_mean.normal_(0, 0.3, generator=draws)
            module.running_var.uniform_(0.5, 1.5, generator=draws)
            module.num_batches_tracked.fill_(1234)
    bias = getattr(module, "bias", None)
    if isinstance(bias, Tensor):
        bias.normal_(0, 0.1, generator=draws)


def _set_spectral_vectors(module: SpectralConv2d, draws: torch.Generator) -> None:
    """Two steps of the power method, as training leaves them: near the norm, and not it."""
    matrix = module.weight_orig.flatten(1)
    module.weight_u.normal_(0, 1, generator=draws)
    for _ in range(2):
        module.weight_v.copy_(nn.functional.normalize(matrix.T @ module.weight_u, dim=0))
        module.weight_u.copy_(nn.functional.normalize(matrix @ module.weight_v, dim=0))


def set_test_mode(network: nn.Module, *, own_statistics: bool = True) -> nn.Module:
    """Put a network in the mode of its authors' test script, and return it.

    Args:
        network: A generator.
        own_statistics: Normalise each batch by its own statistics: the script never calls ``eval()``.
    """
    network.train(own_statistics)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
        elif isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.0  # statistics of a file stay as they are, however often the network runs
    return network
