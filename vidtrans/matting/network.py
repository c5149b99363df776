"""The network of a matte: frozen features of ImageNet's pictures, and a small decoder that learns one thing.

The features are EfficientNet-Lite0's. At each of their levels the decoder also gets a *guide*, the matte that the
motion carried to this frame, and, at the two coarse ones, how much each place looks like the thing and like what was
around it in the painted frames (after Voigtlaender et al., "FEELVOS", CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.perception.efficientnet_lite import EfficientNetTrunk, find_weights

TAPS, CHANNELS = (0, 2, 4, 10), (16, 24, 40, 112)  # blocks, at 1/2, 1/4, 1/8 and 1/16 of the size, and their features
WIDTHS = (24, 32, 48, 64)  # of the decoder at these levels
COARSE = (2, 3)  # levels at which places are compared with the painted frames
COMPARED = 3  # channels that tell the comparison
SLOPE = 0.1  # of the activation where it is negative
LEAST = 4  # places of the thing, or around it, of the painted frames, without which nothing is compared
CONTRAST = 2.0  # by which cosine similarities are multiplied, so that their range is that of the other inputs
TINY = 1e-4


class Known(NamedTuple):
    """The features of the painted frames at a level, (N, C), of length 1, and which of them are the thing's, (N,)."""

    features: Tensor
    inside: Tensor


class _Block(nn.Module):
    """Two convolutions, the second on top of the first."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(n, outputs, 3, padding=1) for n in (inputs, outputs))
        nn.init.kaiming_normal_(self.first.weight, SLOPE)
        for bias in (self.first.bias, self.second.bias):
            assert bias is not None
            nn.init.zeros_(bias)
        with torch.no_grad():
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.first(x), SLOPE)
        return x + F.leaky_relu(self.second(x), SLOPE)


class MatteDecoder(nn.Module):
    """Features, guide and comparison → matte."""

    def __init__(self) -> None:
        super().__init__()
        below = (*WIDTHS[1:], 0)
        told = [2 + (COMPARED if level in COARSE else 0) for level in range(len(WIDTHS))]
        parts = zip(below, CHANNELS, told, WIDTHS, strict=True)
        self.blocks = nn.ModuleList(_Block(under + own + more, width) for under, own, more, width in parts)
        self.head = nn.Conv2d(WIDTHS[0], 4, 3, padding=1)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.weight.mul_(0.3)

    def forward(
        self, features: Sequence[Tensor], guide: Tensor, guided: Tensor, compared: Sequence[Sequence[Tensor]]
    ) -> Tensor:
        """Return logits, (N, 1, H, W) float32.

        Args:
            features: Of each level, (N, C, h, w).
            guide: The carried matte, (N, 1, H, W), from 0 to 1.
            guided: (N, 1, 1, 1), 1 where there is a guide, else 0.
            compared: At each level of ``COARSE``, the channels of the comparison, (N, 1, h, w) each.
        """
        x: Tensor | None = None
        for level in reversed(range(len(WIDTHS))):
            own = features[level]
            size = own.shape[-2:]
            given = [own, F.interpolate(guide, size=size, mode="area") * guided, guided.expand(-1, -1, *size)]
            if level in COARSE:
                given += compared[COARSE.index(level)]
            if x is not None:
                given.append(F.interpolate(x, size=size, mode="bilinear", align_corners=False))
            x = self.blocks[level](torch.cat(given, 1))
        assert x is not None
        height, width = guide.shape[-2:]
        return F.pixel_shuffle(self.head(x).float(), 2)[..., :height, :width]


class Seen(NamedTuple):
    """What the network sees in a window: the matte, and how much more it looks like the thing than what was around it.

    Both (H, W) float32: ``matte`` from 0 to 1, ``likeness`` from -1 to 1.
    """

    matte: np.ndarray
    likeness: np.ndarray


Network = TypeVar("Network", bound=nn.Module)


def _channels_last(network: Network) -> Network:
    """Return a network whose weights have the layout with which a CPU is faster."""
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class MatteNetwork(nn.Module):
    """Frozen features, what is known of them in the painted frames, and the decoder.

    ``painted``: windows of painted frames, (H, W, 3) uint8, with their mattes, (H, W) float32. ``bf16``: compute in
    bfloat16 where the processor is faster with it.
    """

    def __init__(self, painted: Sequence[tuple[np.ndarray, np.ndarray]], *, bf16: bool) -> None:
        super().__init__()
        self.bf16 = bf16
        trunk = EfficientNetTrunk(find_weights(0), TAPS[-1])
        self.trunk = _channels_last(trunk.eval().requires_grad_(requires_grad=False))
        self.decoder = _channels_last(MatteDecoder())
        found = [self.raw_features(to_tensor([picture])) for picture, _ in painted]
        self.means, self.deviations = [], []
        for level in range(len(TAPS)):
            values = torch.cat([features[level].float().flatten(2) for features in found], 2)
            self.means.append(values.mean((0, 2))[None, :, None, None])
            self.deviations.append(values.std((0, 2))[None, :, None, None] + TINY)
        self.known = [self._known(found, [matte for _, matte in painted], level) for level in COARSE]

    def _known(self, found: Sequence[Sequence[Tensor]], mattes: Sequence[np.ndarray], level: int) -> Known:
        parts, inside = [], []
        for features, matte in zip(found, mattes, strict=True):
            unit = self._unit(features[level], level)
            small = F.interpolate(torch.from_numpy(matte)[None, None], size=unit.shape[-2:], mode="area")
            parts.append(unit[0].flatten(1).T.contiguous())
            inside.append(small.flatten() >= 0.5)
        return Known(torch.cat(parts), torch.cat(inside))

    def raw_features(self, pictures: Tensor) -> list[Tensor]:
        """Return the features at each level of pictures (N, 3, H, W), from -1 to 1."""
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            found: list[Tensor] = self.trunk(pictures.contiguous(memory_format=torch.channels_last), TAPS)
            return found

    def _unit(self, features: Tensor, level: int) -> Tensor:
        return F.normalize((features.float() - self.means[level]) / self.deviations[level], dim=1)

    def compare(self, features: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return, at each level of ``COARSE``, how much more places look like the thing than like what was around it.

        The channels are the difference, and the likeness to the thing and to its surroundings, (N, 1, h, w) each.
        """
        compared = []
        for level, known in zip(COARSE, self.known, strict=True):
            unit = self._unit(features[level], level)
            count, channels, height, width = unit.shape
            likeness = unit.permute(0, 2, 3, 1).reshape(-1, channels) @ known.features.T
            best = []
            for chosen in (known.inside, ~known.inside):
                if int(chosen.sum()) < LEAST:
                    best.append(torch.zeros(count, 1, height, width))
                else:
                    best.append(likeness[:, chosen].amax(1).reshape(count, 1, height, width))
            thing, around = best
            compared.append([CONTRAST * (thing - around), CONTRAST * thing, CONTRAST * around])
        return compared

    def forward(
        self, pictures: Tensor, guide: Tensor, guided: Tensor, kept: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (N, 1, H, W), and the difference in likeness at the coarsest level, (N, 1, h, w).

        ``kept``: (N, 1, 1, 1), 0 where the comparison is hidden, in training.
        """
        features = self.raw_features(pictures)
        with torch.no_grad():
            compared = self.compare(features)
            likeness = compared[-1][0] / CONTRAST
            if kept is not None:
                compared = [[kept * channel for channel in channels] for channels in compared]
        normal = zip(features, self.means, self.deviations, strict=True)
        given = [(values.float() - mean) / deviation for values, mean, deviation in normal]
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.decoder(given, guide, guided, compared), likeness

    def see(self, picture: np.ndarray, guide: np.ndarray | None) -> Seen:
        """Return what is seen in a window, (H, W, 3) uint8, with its guide, (H, W) float32, if there is one."""
        there = guide is not None
        given = torch.zeros(1, 1, *picture.shape[:2]) if guide is None else torch.from_numpy(guide)[None, None]
        with torch.no_grad():
            logits, likeness = self(to_tensor([picture]), given, torch.full((1, 1, 1, 1), float(there)))
            shown = F.interpolate(likeness, size=picture.shape[:2], mode="bilinear", align_corners=False)
        return Seen(logits.sigmoid()[0, 0].numpy(), shown[0, 0].numpy())


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Return pictures (H, W, 3), uint8 or float32 from 0 to 1, as (N, 3, H, W) from -1 to 1."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
    return stacked / (127.5 if pictures[0].dtype == np.uint8 else 0.5) - 1
