"""What all tables are made of: layers under the names of their tool, with values in which every layer counts."""

from __future__ import annotations

import math
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

ROOT2 = math.sqrt(2)  # the gain of a layer before a ReLU
BRANCH = 0.7  # less in residual branches: without norms, activations would grow


class Weights:
    """The tensors of a network, in their order. Draws follow numpy's RandomState, which never changes.

    ``instance_norms``: the channels of norms without tensors, of which old files hold statistics.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed, self.instance_norms = seed, dict[str, int]()
        self.state: OrderedDict[str, Tensor] = OrderedDict()
        self.random = np.random.RandomState(seed)

    def state_dict(self) -> OrderedDict[str, Tensor]:
        return OrderedDict(self.state)

    def draw(self, shape: tuple[int, ...], spread: float = 1.0, mean: float = 0.0) -> Tensor:
        return torch.from_numpy(self.random.standard_normal(shape) * spread + mean).float()

    def conv(self, name: str, inputs: int, outputs: int, size: int, *, bias: bool = True, gain: float = ROOT2) -> None:
        shape = (outputs, inputs, size, size)
        self._layer(name, self.draw(shape, gain / math.sqrt(inputs * size**2)), outputs if bias else 0)

    def transposed(self, name: str, inputs: int, outputs: int, size: int, *, bias: bool = True) -> None:
        """Of stride 2."""
        weight = self.draw((inputs, outputs, size, size), ROOT2 / math.sqrt(inputs * size**2 / 4))
        self._layer(name, weight, outputs if bias else 0)

    def linear(self, name: str, inputs: int, outputs: int) -> None:
        self._layer(name, self.draw((outputs, inputs), ROOT2 / math.sqrt(inputs)), outputs)

    def spectral(self, name: str, inputs: int, outputs: int, size: int, *, bias: bool = True) -> None:
        """A kernel to be divided by its spectral norm u·Wv, with the vectors near it that training leaves."""
        weight, u = self.draw((outputs, inputs, size, size)), self.draw((outputs,))
        matrix = weight.flatten(1)
        for _ in range(2):
            v = torch.nn.functional.normalize(matrix.T @ u, dim=0)
            u = torch.nn.functional.normalize(matrix @ v, dim=0)
        if bias:
            self.state[f"{name}.bias"] = self.draw((outputs,), 0.1)
        self.state |= {f"{name}.weight_orig": weight, f"{name}.weight_u": u, f"{name}.weight_v": v}

    def norm(self, name: str, channels: int, kind: str) -> None:
        """A norm: ``batch``, ``instance`` (without tensors), ``affine`` (with a scale and a shift) or ``none``."""
        if kind == "instance":
            self.instance_norms[name] = channels
        if kind in ("batch", "affine"):
            self._layer(name, self.draw((channels,), 0.2, 1), channels)
        if kind == "batch":
            self.statistics(name, channels)

    def statistics(self, name: str, channels: int) -> None:
        self.state[f"{name}.running_mean"] = self.draw((channels,), 0.3)
        self.state[f"{name}.running_var"] = torch.from_numpy(self.random.uniform(0.5, 1.5, channels)).float()
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(1234)

    def blur(self, name: str, channels: int, *taps: float) -> None:
        """A fixed filter; when doubling, it sums to 4."""
        taps_1d = torch.tensor(taps) / 4
        self.state[f"{name}.filt"] = torch.outer(taps_1d, taps_1d).expand(channels, 1, -1, -1).clone()

    def residual(self, name: str, channels: int, norm: str, *, bias: bool, dropout: bool = False) -> None:
        """A block: pad, convolve, normalise, ReLU, pad, convolve, normalise. Dropout moves what is behind it by one."""
        for at in (1, 6 if dropout else 5):
            self.conv(f"{name}.conv_block.{at}", channels, channels, 3, bias=bias, gain=BRANCH)
            self.norm(f"{name}.conv_block.{at + 1}", channels, norm)

    def _layer(self, name: str, weight: Tensor, biases: int) -> None:
        self.state[f"{name}.weight"] = weight
        if biases:
            self.state[f"{name}.bias"] = self.draw((biases,), 0.1)
