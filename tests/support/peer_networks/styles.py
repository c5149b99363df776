"""Fast neural style (Johnson et al. 2016), from and to 0…255: PyTorch's example, and folders of raw floats.

A folder has a file of float32 for each variable, and ``manifest.json``, which maps the variables' names to {"filename",
"shape"}. ``Variable``, ``Variable_1`` … are a kernel, shift and scale for each layer; kernels are (height, width, in,
out), transposed ones (height, width, out, in).
"""

from __future__ import annotations

import json
from pathlib import Path

from peer_networks.layers import ROOT2, Weights

# Of raw floats: (kernel, input channels, output channels, transposed), in units of the width, 0 standing for RGB.
LAYERS = (
    [(9, 0, 1, False), (3, 1, 2, False), (3, 2, 4, False)]
    + [(3, 4, 4, False)] * 10
    + [(3, 4, 2, True), (3, 2, 1, True), (9, 1, 0, False)]
)


class TransformerNet(Weights):
    """PyTorch's example; its last layer makes values of 0 to 255."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__(seed)
        channels = 4 * width
        self._pair("conv1", "in1", 3, width, 9)
        self._pair("conv2", "in2", width, 2 * width, 3)
        self._pair("conv3", "in3", 2 * width, channels, 3)
        for block in range(1, 6):
            for layer in (1, 2):
                self._pair(f"res{block}.conv{layer}", f"res{block}.in{layer}", channels, channels, 3)
        self._pair("deconv1", "in4", channels, 2 * width, 3)
        self._pair("deconv2", "in5", 2 * width, width, 3)
        self.conv("deconv3.conv2d", width, 3, 9, gain=40 * ROOT2)
        self.state["deconv3.conv2d.bias"] += 127

    def _pair(self, conv: str, norm: str, inputs: int, outputs: int, size: int) -> None:
        self.conv(f"{conv}.conv2d", inputs, outputs, size)
        self.instance_norms[norm] = outputs
        self.norm(norm, outputs, "affine")


class RawFloatStyle(Weights):
    """The network of TensorFlow.js clients."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__(seed)
        for layer, (size, inputs, outputs, transposed) in enumerate(LAYERS):
            fan_in, fan_out = inputs * width or 3, outputs * width or 3
            shape = (size, size, fan_out, fan_in) if transposed else (size, size, fan_in, fan_out)
            summed = size * size * fan_in / (4 if transposed else 1)
            values = self.draw(shape, (2 / summed) ** 0.5), self.draw((fan_out,), 0.2), self.draw((fan_out,), 0.2, 1)
            for number, value in enumerate(values, start=3 * layer):
                self.state[f"Variable_{number}" if number else "Variable"] = value


def write_raw_floats(network: Weights, folder: Path) -> None:
    """Write a network's folder: one little-endian float32 file for each variable, and the manifest."""
    folder.mkdir(parents=True)
    manifest = {}
    for name, value in network.state.items():
        manifest[name] = {"filename": name, "shape": list(value.shape)}
        (folder / name).write_bytes(value.numpy().astype("<f4").tobytes())
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2, sort_keys=True))
