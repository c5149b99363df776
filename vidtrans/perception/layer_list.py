"""Networks that a file describes as a list of layers: weights as safetensors, and the list as JSON in their metadata.

Small published networks (those of MediaPipe, which find people and faces) come as graphs of few kinds of layers.
``examples/people_networks.py`` converts them once; here they run in PyTorch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.core.settings import Table

METADATA_KEY = "network"  # Key of the list of layers in the metadata of a file
WEIGHT, STEP, BIAS = ".weight", ".step", ".bias"  # Suffixes of tensors; a step belongs to a weight of 8 bits


class LayerList(nn.Module):
    """A network that a file describes.

    The file's JSON has the number of the tensor that is the ``input``, those of the ``outputs``, the ``size`` (height,
    width) of input pictures, and ``layers``: for each layer ``[kind, inputs, output, settings]``, with tensors by
    number, in an order in which each input is computed before it is used. Kinds are those of ``KINDS``.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        with safe_open(path, "pt") as file:
            description = json.loads(file.metadata()[METADATA_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a mapping)
        for name, values in tensors.items():
            if name.endswith(STEP):
                continue
            step = tensors.get(name.removesuffix(WEIGHT) + STEP)
            whole = values.float() if step is None else values.float() * step.float().view(-1, 1, 1, 1)
            whole = whole.contiguous(memory_format=torch.channels_last) if whole.ndim == 4 else whole
            self.register_buffer(name.replace(".", "_"), whole, persistent=False)
        self.layers: list[tuple[str, list[int], int, Table]] = [tuple(layer) for layer in description["layers"]]
        self.input, self.outputs, self.size = description["input"], description["outputs"], description["size"]
        last_use = {tensor: number for number, (_, inputs, _, _) in enumerate(self.layers) for tensor in inputs}
        self._unused_after = [
            [tensor for tensor in inputs if last_use[tensor] == number and tensor not in self.outputs]
            for number, (_, inputs, _, _) in enumerate(self.layers)
        ]

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return the outputs for pictures (N, 3, H, W) of the network's size and range."""
        values = {self.input: pictures}
        for (kind, inputs, output, settings), unused in zip(self.layers, self._unused_after, strict=True):
            values[output] = KINDS[kind](self, [values[tensor] for tensor in inputs], settings)
            for tensor in unused:
                values.pop(tensor, None)
        return [values[tensor] for tensor in self.outputs]

    def tensor(self, name: str) -> Tensor:
        """Return a weight or a bias by its name in the file."""
        return self.get_buffer(name.replace(".", "_"))

    def run(self, pictures: Sequence[np.ndarray], *, signed: bool = False) -> list[np.ndarray]:
        """Return the outputs, each (N, …), for pictures (H, W, 3) uint8 of the network's size.

        They are scaled to [0, 1], or to [−1, 1] if ``signed``.
        """
        stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            scaled = stacked.to(torch.float32, memory_format=torch.channels_last).div_(255)
            found = self(scaled.mul_(2).sub_(1) if signed else scaled)
        return [each.numpy() for each in found]


def _activate(x: Tensor, kind: str) -> Tensor:
    """Apply an activation in place: 'relu', 'relu6' or '' for none."""
    if kind == "relu6":
        return x.clamp_(0, 6)
    return x.clamp_(min=0) if kind == "relu" else x


def _pad_as_same(x: Tensor, kernel: Sequence[int], stride: int, value: float = 0.0) -> Tensor:
    """Pad (N, C, H, W) so that a convolution gives ceil(size / stride), as TensorFlow's padding SAME does."""
    pads: list[int] = []
    for size, length in zip(x.shape[:1:-1], tuple(kernel)[::-1], strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + length - size)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value) if any(pads) else x


def _convolution(network: LayerList, inputs: Sequence[Tensor], settings: Table) -> Tensor:
    """A convolution with bias and activation; one of 1×1 is a product of matrices, which is faster."""
    [x] = inputs
    name, stride, groups = settings["name"], settings["stride"], settings["groups"]
    weight, bias = network.tensor(name + WEIGHT), network.tensor(name + BIAS)
    if settings["same"]:
        x = _pad_as_same(x, weight.shape[2:], stride)
    if weight.shape[2:] == (1, 1) and stride == groups == 1:
        made = F.linear(x.permute(0, 2, 3, 1), weight[:, :, 0, 0], bias).permute(0, 3, 1, 2)
    else:
        made = F.conv2d(x, weight, bias, stride, groups=groups)
    return _activate(made, settings["activation"])


def _transposed(network: LayerList, inputs: Sequence[Tensor], settings: Table) -> Tensor:
    """A transposed convolution with bias."""
    name = settings["name"]
    return F.conv_transpose2d(inputs[0], network.tensor(name + WEIGHT), network.tensor(name + BIAS), settings["stride"])


def _max_pool(network: LayerList, inputs: Sequence[Tensor], settings: Table) -> Tensor:
    """The maximum over windows, which may reach over the border."""
    del network
    x, kernel, stride = inputs[0], settings["kernel"], settings["stride"]
    return F.max_pool2d(_pad_as_same(x, kernel, stride, -float("inf")) if settings["same"] else x, kernel, stride)


def _resize(network: LayerList, inputs: Sequence[Tensor], settings: Table) -> Tensor:
    """A bilinear enlargement to a size (height, width)."""
    del network
    return F.interpolate(inputs[0], size=settings["size"], mode="bilinear", align_corners=settings["corners"])


# Functions from the network, the input tensors and the settings of a layer to its output, by kind
KINDS: dict[str, Callable[[LayerList, list[Tensor], dict[str, Any]], Tensor]] = {
    "convolution": _convolution,
    "transposed": _transposed,
    "max_pool": _max_pool,
    "resize": _resize,
    "mean": lambda network, x, settings: x[0].mean((2, 3), keepdim=True),
    "add": lambda network, x, settings: _activate(x[0] + x[1], settings["activation"]),
    "multiply": lambda network, x, settings: x[0] * x[1],
    "relu": lambda network, x, settings: F.relu(x[0]),
    "hard_swish": lambda network, x, settings: F.hardswish(x[0]),
    "sigmoid": lambda network, x, settings: x[0].sigmoid(),
    "pad": lambda network, x, settings: F.pad(x[0], settings["pads"]),
    "rows": lambda network, x, settings: x[0].permute(0, 2, 3, 1).reshape(len(x[0]), -1, settings["width"]),
    "concatenate": lambda network, x, settings: torch.cat(x, settings["axis"]),
}
