"""Fast neural style as TensorFlow.js clients have it: a folder of raw float32 files and ``manifest.json``.

The manifest maps the names of variables to {"filename", "shape"}: ``Variable``, ``Variable_1`` …, in order of creation,
are a kernel, shift and scale for each layer. Kernels are (height, width, in, out), transposed ones (height, width,
out, in).
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from peer_networks.tensorflow_layers import own_statistics_norm, random_kernel, same_conv, same_conv_transpose

EPSILON = 1e-3
# (kernel, input channels, output channels, transposed), channels in units of the width, 0 standing for RGB.
LAYERS = (
    [(9, 0, 1, False), (3, 1, 2, False), (3, 2, 4, False)]
    + [(3, 4, 4, False)] * 10
    + [(3, 4, 2, True), (3, 2, 1, True), (9, 1, 0, False)]
)


class RawFloatStyle(nn.Module):
    """The network: (N, 3, H, W) of 0 to 255 to 127.5 ± 150, which clients clip. Sides are multiples of 4."""

    def __init__(self, width: int, seed: int) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(seed)
        for layer, (size, inputs, outputs, transposed) in enumerate(LAYERS):
            fan_in, fan_out = inputs * width or 3, outputs * width or 3
            shape = (size, size, fan_out, fan_in) if transposed else (size, size, fan_in, fan_out)
            summed = size * size * fan_in / (4 if transposed else 1)
            shift, scale = torch.randn(2, fan_out, generator=draws) * 0.2
            values = (random_kernel(shape, summed, draws), shift, 1 + scale)
            for offset, value in enumerate(values):
                self.register_parameter(variable_name(3 * layer + offset), nn.Parameter(value))

    def forward(self, x: Tensor) -> Tensor:
        for layer in range(3):
            x = self._layer(x, layer, 1 if layer == 0 else 2).relu()
        for layer in range(3, 13, 2):
            x = x + self._layer(self._layer(x, layer).relu(), layer + 1)
        for layer in (13, 14):
            kernel, shift, scale = self._values(layer)
            x = own_statistics_norm(same_conv_transpose(x, kernel), scale, shift, EPSILON).relu()
        return self._layer(x, 15).tanh() * 150 + 127.5

    def _layer(self, x: Tensor, layer: int, stride: int = 1) -> Tensor:
        kernel, shift, scale = self._values(layer)
        return own_statistics_norm(same_conv(x, kernel, stride), scale, shift, EPSILON)

    def _values(self, layer: int) -> tuple[Tensor, ...]:
        return tuple(self.get_parameter(variable_name(3 * layer + offset)) for offset in range(3))


def variable_name(number: int) -> str:
    """Return TensorFlow's name of the n-th unnamed variable."""
    return f"Variable_{number}" if number else "Variable"


def write_raw_floats(network: nn.Module, folder: Path) -> None:
    """Write a network's folder: one little-endian float32 file for each variable, and the manifest."""
    folder.mkdir(parents=True)
    manifest = {}
    for name, value in network.state_dict().items():
        manifest[name] = {"filename": name, "shape": list(value.shape)}
        (folder / name).write_bytes(value.contiguous().numpy().astype("<f4").tobytes())
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))


def read_raw_floats(folder: Path) -> dict[str, Tensor]:
    """Return the variables of a folder that ``write_raw_floats`` wrote."""
    manifest = json.loads((folder / "manifest.json").read_text())
    return {
        name: torch.frombuffer(bytearray((folder / entry["filename"]).read_bytes()), dtype=torch.float32).view(
            entry["shape"]
        )
        for name, entry in manifest.items()
    }
