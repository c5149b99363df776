"""The style encoder of BicycleGAN: maps a picture of any size to a style code of a few numbers.

Zhu et al., "Toward Multimodal Image-to-Image Translation", NeurIPS 2017. In addition to convolution features, averaged
over the picture, the encoder uses statistics of the colours: brightness, contrast and colour cast make up most of a
style, and a generator ignores a code without them. The encoder has no norms, which would remove these statistics.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.networks.code_planes import CODE_RANGE

SLOPE = 0.2  # Negative slope of LeakyReLU.
THRESHOLDS = (-0.6, -0.2, 0.2, 0.6)  # Colour values in [−1, 1] above which ``colour_statistics`` averages the excess.
# A generator that once ignores codes never uses them again, so codes must differ clearly and have little noise.
# Initial factor on the means of the codes, and initial log variance of the codes.
FIRST_GAIN, FIRST_LOG_VARIANCE = 4.0, -2.0
LOG_VARIANCES = (-8.0, 2.0)  # Lower and upper limit of a code's log variance.


@dataclass(frozen=True)
class CodeDistribution:
    """Normal distributions of the style codes of N pictures: ``mean`` and ``log_variance``, (N, size) float32 each."""

    mean: Tensor
    log_variance: Tensor

    def draw(self, noise: Tensor) -> Tensor:
        """Return random codes (N, size) in [−4, 4] from standard normal ``noise`` (N, size)."""
        return (self.mean + noise * (self.log_variance / 2).exp()).clamp(-CODE_RANGE, CODE_RANGE)

    def divergence(self) -> Tensor:
        """Return the mean Kullback–Leibler divergence of the N distributions from a standard normal one, a scalar."""
        each = self.mean.square() + self.log_variance.exp() - 1 - self.log_variance
        return each.sum(1).mean() / 2


class PictureEncoder(nn.Module):
    """The encoder from pictures (N, 3, H, W) in [−1, 1], with sides of at least 16 pixels, to style codes (N, size)."""

    def __init__(self, size: int, channels: int = 16) -> None:
        """Create an encoder; ``size``: length of a style code, ``channels``: width of the first layer."""
        super().__init__()
        self.size = size
        widths = [3, channels, 2 * channels, 4 * channels, 4 * channels]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
        num_features = sum(widths[1:]) + len(colour_statistics(torch.zeros(1, 3, 2, 2))[0])
        self.hidden = nn.Linear(num_features, 64)
        self.head = nn.Linear(64, 2 * size)

    def draw_weights(self, generator: torch.Generator) -> None:
        """Draw weights after He et al. (ICCV 2015), because no norm corrects the scale of activations."""
        for layer in (*self.layers, self.hidden):
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            nn.init.kaiming_normal_(layer.weight, SLOPE, generator=generator)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.normal_(self.head.weight, 0.0, FIRST_GAIN * self.head.in_features**-0.5, generator=generator)
        nn.init.zeros_(self.head.bias)
        nn.init.constant_(self.head.bias[self.size :], FIRST_LOG_VARIANCE)

    def distribution(self, pictures: Tensor) -> CodeDistribution:
        """Return the code distributions of pictures (N, 3, H, W) in [−1, 1]."""
        features, x = [colour_statistics(pictures)], pictures
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x.mean((2, 3)))
        hidden = F.leaky_relu(self.hidden(torch.cat([f.to(x.dtype) for f in features], 1)), SLOPE)
        mean, log_variance = self.head(hidden).float().chunk(2, 1)
        return CodeDistribution(CODE_RANGE * torch.tanh(mean / CODE_RANGE), log_variance.clamp(*LOG_VARIANCES))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the codes of pictures, (N, size): the means of the code distributions."""
        return self.distribution(pictures).mean


def colour_statistics(pictures: Tensor) -> Tensor:
    """Return 21 statistics of the colours of pictures (N, 3, H, W), (N, 21) float32.

    They are means and deviations of channels, covariances of channel pairs (times 4), and the channels' mean excess
    above ``THRESHOLDS``.
    """
    flat = pictures.float().flatten(2)
    mean = flat.mean(2, keepdim=True)
    centred = flat - mean
    deviation = (centred.square().mean(2) + 1e-4).sqrt()
    covariances = torch.stack([(centred[:, a] * centred[:, b]).mean(1) for a, b in ((0, 1), (0, 2), (1, 2))], 1)
    excess = [F.relu(flat - threshold).mean(2) for threshold in THRESHOLDS]
    return torch.cat([mean[..., 0], deviation, 4 * covariances, *excess], 1)


def code_planes(codes: Tensor, height: int, width: int) -> Tensor:
    """Return codes (N, size) as constant planes, (N, size, height, width) in [−1, 1]."""
    return (codes / CODE_RANGE)[..., None, None].expand(-1, -1, height, width)
