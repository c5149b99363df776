"""The ``.pict`` files of pix2pix-tensorflow's server and of its clients, and the network that they run.

A file is three parts, each after its length as a big-endian 32-bit number: JSON, a list of {"name", "shape"}; a
codebook of 256 little-endian float32; one byte for each weight, an index into the codebook. Names are sorted.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peer_networks.tensorflow_layers import own_statistics_norm, random_kernel, same_conv, same_conv_transpose

LEVELS = 8
EPSILON = 1e-5
MU = 255


class PictGenerator(nn.Module):
    """The U-Net of pix2pix-tensorflow, (N, C, H, W) in [-1, 1] to [-1, 1], its sides multiples of 256.

    Norms use the statistics of each picture, dropout is off, and every weight is an entry of ``codebook``: 256 values.
    """

    def __init__(self, inputs: int, outputs: int, width: int, seed: int) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(seed)
        widths = [width * factor for factor in (1, 2, 4, 8, 8, 8, 8, 8)]
        values: dict[str, Tensor] = {}
        for level in range(1, LEVELS + 1):
            below, above = widths[level - 1], widths[level - 2] if level > 1 else inputs
            values |= _encoder(level, above, below, draws)
            out = widths[level - 2] if level > 1 else outputs
            values |= _decoder(level, below if level == LEVELS else 2 * below, out, draws)
        self.codebook = codebook_of(values)
        for name in sorted(values):
            self.register_parameter(name, nn.Parameter(self.codebook[self.indices(values[name])]))

    def indices(self, value: Tensor) -> Tensor:
        """Return the index of the nearest entry of the codebook for every weight; same shape."""
        order = self.codebook.argsort()
        middles = (self.codebook[order][1:] + self.codebook[order][:-1]) / 2
        return order[torch.bucketize(value.detach(), middles)]

    def forward(self, x: Tensor) -> Tensor:
        skips = [self._conv(x, "encoder_1", "conv2d")]
        for level in range(2, LEVELS + 1):
            x = self._conv(F.leaky_relu(skips[-1], 0.2), f"encoder_{level}", "conv2d")
            skips.append(self._norm(x, f"encoder_{level}"))
        x = skips.pop()
        for level in range(LEVELS, 1, -1):
            x = self._norm(self._conv(x.relu(), f"decoder_{level}", "conv2d_transpose"), f"decoder_{level}")
            x = torch.cat([x, skips.pop()], 1)
        return self._conv(x.relu(), "decoder_1", "conv2d_transpose").tanh()

    def _conv(self, x: Tensor, layer: str, kind: str) -> Tensor:
        kernel = self.get_parameter(f"generator/{layer}/{kind}/kernel")
        bias = self.get_parameter(f"generator/{layer}/{kind}/bias")
        x = same_conv(x, kernel, 2) if kind == "conv2d" else same_conv_transpose(x, kernel)
        return x + bias[:, None, None]

    def _norm(self, x: Tensor, layer: str) -> Tensor:
        scale = self.get_parameter(f"generator/{layer}/batch_normalization/gamma")
        return own_statistics_norm(x, scale, self.get_parameter(f"generator/{layer}/batch_normalization/beta"), EPSILON)


def _encoder(level: int, inputs: int, outputs: int, draws: torch.Generator) -> dict[str, Tensor]:
    scope = f"generator/encoder_{level}"
    values = {f"{scope}/conv2d/kernel": random_kernel((4, 4, inputs, outputs), 16 * inputs, draws)}
    values[f"{scope}/conv2d/bias"] = torch.randn(outputs, generator=draws) * 0.1
    return values | (_norm_values(scope, outputs, draws) if level > 1 else {})


def _decoder(level: int, inputs: int, outputs: int, draws: torch.Generator) -> dict[str, Tensor]:
    scope = f"generator/decoder_{level}"
    values = {f"{scope}/conv2d_transpose/kernel": random_kernel((4, 4, outputs, inputs), 4 * inputs, draws)}
    values[f"{scope}/conv2d_transpose/bias"] = torch.randn(outputs, generator=draws) * 0.1
    return values | (_norm_values(scope, outputs, draws) if level > 1 else {})


def _norm_values(scope: str, channels: int, draws: torch.Generator) -> dict[str, Tensor]:
    return {
        f"{scope}/batch_normalization/gamma": 1 + torch.randn(channels, generator=draws) * 0.2,
        f"{scope}/batch_normalization/beta": torch.randn(channels, generator=draws) * 0.2,
    }


def codebook_of(values: dict[str, Tensor]) -> Tensor:
    """Return 256 float32 levels, spaced by the mu-law up to the greatest magnitude."""
    scale = max(value.abs().max() for value in values.values())
    points = (torch.arange(256, dtype=torch.float32) + 0.5) / 128 - 1
    return points.sign() * ((1 + MU) ** points.abs() - 1) / MU * scale


def write_pict(network: PictGenerator, path: Path) -> None:
    """Write a network as a ``.pict`` file."""
    state = network.state_dict()
    shapes = json.dumps([{"name": name, "shape": list(value.shape)} for name, value in state.items()])
    encoded = torch.cat([network.indices(value).flatten() for value in state.values()]).to(torch.uint8)
    path.write_bytes(
        pict_bytes(shapes.encode(), network.codebook.numpy().astype("<f4").tobytes(), bytes(encoded.tolist()))
    )


def pict_bytes(*parts: bytes) -> bytes:
    """Return the bytes of a file of these parts."""
    return b"".join(struct.pack(">L", len(part)) + part for part in parts)


def read_pict(path: Path) -> dict[str, Tensor]:
    """Return the weights of a file that ``write_pict`` wrote, by name."""
    data, parts = path.read_bytes(), []
    while data:
        end = 4 + int.from_bytes(data[:4], "big")
        parts.append(data[4:end])
        data = data[end:]
    codebook = torch.frombuffer(bytearray(parts[1]), dtype=torch.float32)
    weights, start = {}, 0
    for entry in json.loads(parts[0]):
        count = torch.Size(entry["shape"]).numel()
        indices = torch.tensor(list(parts[2][start : start + count]), dtype=torch.long)
        weights[entry["name"]] = codebook[indices].view(entry["shape"])
        start += count
    return weights
