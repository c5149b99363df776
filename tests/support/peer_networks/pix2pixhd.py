"""Networks of pix2pixHD (Wang et al. 2018). Inputs are (N, C, H, W): pictures in [-1, 1], or labels of 0 and 1."""

from __future__ import annotations

from torch import Tensor, nn

from peer_networks.layers import Residual, norm_layer


def _first(inputs: int, width: int, norm: str) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7), norm_layer(norm, width), nn.ReLU()]


def _down(channels: int, norm: str) -> list[nn.Module]:
    return [nn.Conv2d(channels, 2 * channels, 3, 2, 1), norm_layer(norm, 2 * channels), nn.ReLU()]


def _up(channels: int, norm: str) -> list[nn.Module]:
    return [nn.ConvTranspose2d(2 * channels, channels, 3, 2, 1, 1), norm_layer(norm, channels), nn.ReLU()]


def _last(width: int, outputs: int) -> list[nn.Module]:
    return [nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh()]


def _global_features(inputs: int, width: int, downs: int, blocks: int, norm: str) -> list[nn.Module]:
    """The layers of the global generator up to its last upsampling: (N, inputs, H, W) to (N, width, H, W)."""
    layers = _first(inputs, width, norm)
    for level in range(downs):
        layers += _down(width << level, norm)
    layers += [Residual(width << downs, norm, bias=True) for _ in range(blocks)]
    for level in reversed(range(downs)):
        layers += _up(width << level, norm)
    return layers


class GlobalGenerator(nn.Module):
    """The coarse generator; sides are multiples of 2^downs."""

    def __init__(self, inputs: int, outputs: int, width: int, downs: int, blocks: int, norm: str) -> None:
        super().__init__()
        self.model = nn.Sequential(*_global_features(inputs, width, downs, blocks, norm), *_last(width, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class LocalEnhancer(nn.Module):
    """The coarse generator on the input halved ``enhancers`` times, refined level by level.

    ``width`` is that of the finest level. Sides are multiples of 2^(downs + enhancers).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        downs: int,
        blocks: int,
        enhancers: int,
        enhancer_blocks: int,
        norm: str,
    ) -> None:
        super().__init__()
        self.enhancers = enhancers
        self.model = nn.Sequential(*_global_features(inputs, width << enhancers, downs, blocks, norm))
        for number in range(1, enhancers + 1):
            channels = width << (enhancers - number)
            branch = [Residual(2 * channels, norm, bias=True) for _ in range(enhancer_blocks)] + _up(channels, norm)
            branch += _last(width, outputs) if number == enhancers else []
            self.add_module(f"model{number}_1", nn.Sequential(*_first(inputs, channels, norm), *_down(channels, norm)))
            self.add_module(f"model{number}_2", nn.Sequential(*branch))
        self.downsample = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        pyramid = [x]
        for _ in range(self.enhancers):
            pyramid.append(self.downsample(pyramid[-1]))
        features = self.model(pyramid[-1])
        for number in range(1, self.enhancers + 1):
            finer = getattr(self, f"model{number}_1")(pyramid[self.enhancers - number])
            features = getattr(self, f"model{number}_2")(finer + features)
        return features


class FeatureEncoder(nn.Module):
    """The encoder of instance features (its ``net_E``), which is no generator: its keys are a global generator's."""

    def __init__(self, inputs: int, outputs: int, width: int, downs: int, norm: str) -> None:
        super().__init__()
        self.model = nn.Sequential(*_global_features(inputs, width, downs, 0, norm), *_last(width, outputs))
