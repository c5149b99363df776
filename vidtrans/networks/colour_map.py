"""A colour grade as a network: a 3D LUT with trilinear interpolation, applied to each pixel alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.settings import setting


@dataclass(frozen=True)
class ColourMapSettings:
    """Settings of a ``ColourMap``: the resolution of its 3D LUT."""

    size: int = setting(33, "nodes a side of the cube of all colours", low=2, high=129)


class ColourMap(nn.Module):
    """A 3D LUT whose nodes are trainable. Initially it is the identity."""

    Settings = ColourMapSettings
    multiple = 1
    smallest = 1
    needs_fp32: ClassVar[bool] = True  # of 8 bits a channel bf16 keeps the upper 7 or 8

    def __init__(self, in_channels: int, out_channels: int, settings: ColourMapSettings) -> None:
        super().__init__()
        del in_channels  # an input of several pictures maps the last one; a single channel is taken as grey
        steps = torch.linspace(0.0, 1.0, settings.size)
        blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
        self.nodes = nn.Parameter(torch.stack((red, green, blue)[:out_channels]))

    def set_nodes(self, nodes: np.ndarray) -> None:
        """Set the LUT's nodes to colours (n, n, n, 3) in [0, 1]; the first axis is blue."""
        with torch.no_grad():
            self.nodes.copy_(torch.from_numpy(np.moveaxis(nodes, -1, 0).astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W), of which the last three channels are mapped, or one grey channel → (N, 3, H, W)."""
        # As grid_sample counts, the first and the last node are at −1 and 1: red, green, blue are x, y, z.
        colours = x[:, -3:] if x.shape[1] >= 3 else x[:, :1].expand(-1, 3, -1, -1)
        places = colours.permute(0, 2, 3, 1)[:, None].to(self.nodes.dtype)
        nodes = self.nodes[None].expand(len(x), -1, -1, -1, -1)
        mapped = F.grid_sample(nodes, places, padding_mode="border", align_corners=True)
        return mapped[:, :, 0] * 2 - 1
