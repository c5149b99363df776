"""A colour grade as a network: a 3D LUT with trilinear interpolation, after an optional 1D LUT per channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.options import option


@dataclass(frozen=True)
class ColourMapSettings:
    """Settings of a ``ColourMap``: the resolution of its LUTs."""

    size: int = option(33, "number of nodes on each side of the colour cube", bounds=(2, 129))
    shaper: int = option(0, "number of nodes of each channel's curve before the cube; 0: no curves", bounds=(0, 65_536))


class ColourMap(nn.Module):
    """A trainable 3D LUT, after an optional 1D LUT, the shaper. Initially it is the identity."""

    Settings = ColourMapSettings
    multiple = 1
    smallest = 1
    needs_fp32: ClassVar[bool] = True  # bf16 resolves only 7 or 8 bits per channel

    def __init__(self, in_channels: int, out_channels: int, settings: ColourMapSettings) -> None:
        super().__init__()
        del in_channels  # Any number of channels: the last three are mapped, or a single grey channel
        steps = torch.linspace(0.0, 1.0, settings.size)
        blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
        self.nodes = nn.Parameter(torch.stack((red, green, blue)[:out_channels]))
        if settings.shaper:
            self.shaper: nn.Parameter | None = nn.Parameter(torch.linspace(0.0, 1.0, settings.shaper).repeat(3, 1))
        else:
            self.register_parameter("shaper", None)

    def set_nodes(self, nodes: np.ndarray) -> None:
        """Set the nodes of the 3D LUT to colours (n, n, n, 3) in [0, 1]; the first axis is blue."""
        with torch.no_grad():
            self.nodes.copy_(torch.from_numpy(np.moveaxis(nodes, -1, 0).astype(np.float32)))

    def set_shaper(self, curves: np.ndarray) -> None:
        """Set the shaper's nodes, (n, 3): positions in the 3D LUT, from 0 (first node) to 1 (last node)."""
        assert self.shaper is not None
        with torch.no_grad():
            self.shaper.copy_(torch.from_numpy(curves.T.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W), of which the last three channels (or a single grey channel) are mapped → (N, 3, H, W)."""
        # In grid_sample's coordinates the first node is at −1 and the last at 1; x, y, z are red, green, blue.
        colours = x[:, -3:] if x.shape[1] >= 3 else x[:, :1].expand(-1, 3, -1, -1)
        if self.shaper is not None:
            colours = apply_shaper(colours, self.shaper)
        places = colours.permute(0, 2, 3, 1)[:, None].to(self.nodes.dtype)
        nodes = self.nodes[None].expand(len(x), -1, -1, -1, -1)
        mapped = F.grid_sample(nodes, places, padding_mode="border", align_corners=True)
        return mapped[:, :, 0] * 2 - 1


def apply_shaper(colours: Tensor, shaper: Tensor) -> Tensor:
    """Map colours (N, 3, H, W) in [−1, 1] by a curve per channel, nodes (3, n), to 3D LUT positions in [−1, 1]."""
    count = shaper.shape[1]
    positions = ((colours.to(shaper.dtype) + 1) / 2).clamp(0, 1) * (count - 1)
    below = positions.floor().clamp(max=count - 2)
    weight, node = positions - below, below.long()
    curves = []
    for channel in range(3):
        index = node[:, channel].reshape(-1)
        low, high = (shaper[channel].index_select(0, index + step).reshape(node[:, channel].shape) for step in (0, 1))
        curves.append(low + weight[:, channel] * (high - low))
    return torch.stack(curves, 1) * 2 - 1
