"""The ``.pict`` files of pix2pix-tensorflow's server and of its clients.

A file is three parts, each after its length as a big-endian 32-bit number: JSON, a list of {"name", "shape"}; a
codebook of 256 little-endian float32; one byte for each weight, an index into the codebook. Names are sorted.
"""

from __future__ import annotations

import json
import struct
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor

from peer_networks.layers import Weights

LEVELS, MU = 8, 255


class PictGenerator(Weights):
    """The U-Net of pix2pix-tensorflow, kernels (4, 4, in, out); every weight is one of ``codebook``'s 256 values."""

    def __init__(self, inputs: int, outputs: int, width: int, seed: int = 0) -> None:
        super().__init__(seed)
        widths = [inputs, *(width * min(2**level, 8) for level in range(LEVELS))]
        for level in range(1, LEVELS + 1):
            above, below = widths[level - 1 : level + 1]
            self._layer_of(f"encoder_{level}", "conv2d", (4, 4, above, below), below, 16 * above)
            joined, out = below if level == LEVELS else 2 * below, above if level > 1 else outputs
            self._layer_of(f"decoder_{level}", "conv2d_transpose", (4, 4, out, joined), out, 4 * joined)
        self.codebook = codebook_of(self.state)
        self.state = OrderedDict((name, self.codebook[self.indices(self.state[name])]) for name in sorted(self.state))

    def _layer_of(self, name: str, kind: str, shape: tuple[int, ...], channels: int, summed: int) -> None:
        self.state[f"generator/{name}/{kind}/kernel"] = self.draw(shape, (2 / summed) ** 0.5)
        self.state[f"generator/{name}/{kind}/bias"] = self.draw((channels,), 0.1)
        if not name.endswith("_1"):
            norm = f"generator/{name}/batch_normalization"
            self.state |= {f"{norm}/gamma": self.draw((channels,), 0.2, 1), f"{norm}/beta": self.draw((channels,), 0.2)}

    def indices(self, value: Tensor) -> Tensor:
        """Return the index of the nearest entry of the codebook for every weight; same shape."""
        middles = (self.codebook[1:] + self.codebook[:-1]) / 2
        return torch.bucketize(value, middles)


def codebook_of(values: OrderedDict[str, Tensor]) -> Tensor:
    """Return 256 float32 levels, spaced by the mu-law up to the greatest magnitude."""
    scale = max(value.abs().max() for value in values.values())
    points = (torch.arange(256, dtype=torch.float32) + 0.5) / 128 - 1
    return points.sign() * ((1 + MU) ** points.abs() - 1) / MU * scale


def write_pict(network: PictGenerator, path: Path) -> None:
    """Write a network as a ``.pict`` file."""
    shapes = json.dumps([{"name": name, "shape": list(value.shape)} for name, value in network.state.items()])
    indices = torch.cat([network.indices(value).flatten() for value in network.state.values()]).to(torch.uint8)
    path.write_bytes(pict_bytes(shapes.encode(), network.codebook.numpy().astype("<f4").tobytes(), bytes(indices)))


def pict_bytes(*parts: bytes) -> bytes:
    """Return the bytes of a file of these parts."""
    return b"".join(struct.pack(">L", len(part)) + part for part in parts)
