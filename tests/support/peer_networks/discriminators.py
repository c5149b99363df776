"""Discriminators of pix2pix, CycleGAN, CUT, pix2pixHD and SPADE, their keys at least: no importer takes them."""

from __future__ import annotations

from torch import nn

from peer_networks.cut import Downsample
from peer_networks.layers import SpectralConv2d, norm_layer


class PatchDiscriminator(nn.Module):
    """The PatchGAN discriminator; CUT blurs where it halves."""

    def __init__(self, inputs: int, width: int, norm: str, antialias: bool = False, layers: int = 3) -> None:
        super().__init__()
        bias, stride = norm == "instance", 1 if antialias else 2
        model: list[nn.Module] = [nn.Conv2d(inputs, width, 4, stride, 1), nn.LeakyReLU(0.2)]
        model += [Downsample(width)] if antialias else []
        for layer in range(1, layers):
            channels = width * min(2**layer, 8)
            model += [nn.Conv2d(width * min(2 ** (layer - 1), 8), channels, 4, stride, 1, bias=bias)]
            model += [norm_layer(norm, channels), nn.LeakyReLU(0.2), *([Downsample(channels)] if antialias else [])]
        inputs, channels = width * min(2 ** (layers - 1), 8), width * min(2**layers, 8)
        model += [nn.Conv2d(inputs, channels, 4, 1, 1, bias=bias), norm_layer(norm, channels), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*model, nn.Conv2d(channels, 1, 4, 1, 1))


class PixelDiscriminator(nn.Module):
    """The discriminator of single pixels; its key is ``net``."""

    def __init__(self, inputs: int, width: int, norm: str) -> None:
        super().__init__()
        bias = norm == "instance"
        layers = [nn.Conv2d(inputs, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 2 * width, 1, bias=bias)]
        layers += [norm_layer(norm, 2 * width), nn.LeakyReLU(0.2), nn.Conv2d(2 * width, 1, 1, bias=bias)]
        self.net = nn.Sequential(*layers)


class MultiscaleDiscriminator(nn.Module):
    """pix2pixHD's discriminators: ``scale0_layer0`` … with intermediate features, else ``layer0`` …"""

    def __init__(self, inputs: int, width: int, scales: int, features: bool) -> None:
        super().__init__()
        for scale in range(scales):
            parts = _halving_layers(inputs, width)
            if not features:
                self.add_module(f"layer{scale}", nn.Sequential(*(layer for part in parts for layer in part)))
            for number, part in enumerate(parts if features else []):
                self.add_module(f"scale{scale}_layer{number}", nn.Sequential(*part))


def _halving_layers(inputs: int, width: int) -> list[list[nn.Module]]:
    parts: list[list[nn.Module]] = [[nn.Conv2d(inputs, width, 4, 2, 2), nn.LeakyReLU(0.2)]]
    for stride in (2, 2, 1):
        norm = nn.InstanceNorm2d(2 * width)
        parts += [[nn.Conv2d(width, 2 * width, 4, stride, 2), norm, nn.LeakyReLU(0.2)]]
        width *= 2
    return [*parts, [nn.Conv2d(width, 1, 4, 1, 2)]]


class SpadeDiscriminator(nn.Module):
    """SPADE's discriminators: ``discriminator_0.model0.0`` …, spectral norm and instance norm between."""

    def __init__(self, inputs: int, width: int, scales: int) -> None:
        super().__init__()
        for scale in range(scales):
            single, channels = nn.Module(), width
            single.add_module("model0", nn.Sequential(nn.Conv2d(inputs, width, 4, 2, 2), nn.LeakyReLU(0.2)))
            for number in range(1, 4):
                layer = nn.Sequential(
                    SpectralConv2d(channels, 2 * channels, 4, bias=False), nn.InstanceNorm2d(2 * channels)
                )
                single.add_module(f"model{number}", nn.Sequential(layer, nn.LeakyReLU(0.2)))
                channels *= 2
            single.add_module("model4", nn.Sequential(nn.Conv2d(channels, 1, 4, 1, 2)))
            self.add_module(f"discriminator_{scale}", single)


class SpadeEncoder(nn.Module):
    """SPADE's picture encoder: ``layer1.0.weight_orig`` …, ``fc_mu`` and ``fc_var``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        for number, (inputs, outputs) in enumerate(((3, 1), (1, 2), (2, 4), (4, 8), (8, 8), (8, 8)), start=1):
            inputs = 3 if number == 1 else inputs * width
            conv = SpectralConv2d(inputs, outputs * width, 3, bias=False)
            self.add_module(f"layer{number}", nn.Sequential(conv, nn.InstanceNorm2d(outputs * width)))
        self.fc_mu = nn.Linear(8 * width * 16, 256)
        self.fc_var = nn.Linear(8 * width * 16, 256)
