"""An adapter for networks of other tools: converts pictures in [−1, 1] to the network's own range, and back.

Tools differ in value range (0…1, 0…255, or a mean and a deviation for each channel), in the order of colours, and in
the number of channels. The adapter applies one affine map per side, and reorders or expands channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.networks.painter import shares_in
from vidtrans.networks.ports import PortSettings

LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601, of R'G'B'


class AdaptedGenerator(nn.Module):
    """A generator that adapts ``network``, which takes (N, ``ports.in_channels``, H, W), as its ``ports`` describe.

    With ``ports.conditions`` the network also takes the weights of its looks, (N, ``ports.conditions``) in [0, 1].
    """

    def __init__(self, network: Any, in_channels: int, ports: PortSettings) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        if ports.conditions != getattr(network, "weighted_looks", 0):
            raise ValueError("ports.conditions is not the number of the network's looks")
        self.network, self.ports, self.in_channels = network, ports, in_channels
        self.multiple: int = network.multiple
        self.smallest: int = network.smallest
        self.needs_fp32: bool = getattr(network, "needs_fp32", False)
        self.runs_itself: bool = getattr(network, "runs_itself", False)
        self.fixed_size: tuple[int, int] | None = getattr(network, "fixed_size", None)
        self.sees_whole: bool = getattr(network, "sees_whole", False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) in [−1, 1] → (N, 3, H, W), in [−1, 1] if the network stays in its stated range."""
        if not self.ports.conditions:
            return self._given(self.network(self._taken(x)))
        frame, planes = x.tensor_split([x.shape[1] - self.ports.conditions], dim=1)
        return self._given(self.network(self._taken(frame), shares_in(planes[:, :, 0, 0])))

    def _is_serial(self, x: Tensor) -> bool:
        """Return whether to avoid torch's thread pool, so that the library that runs the network has all cores."""
        return self.runs_itself and x.device.type == "cpu" and x.dtype == torch.float32 and not x.requires_grad

    def _taken(self, x: Tensor) -> Tensor:
        ports = self.ports
        if x.shape[1] == 3 and ports.in_channels == 1:
            x = _by_channel(x, LUMINANCE, Tensor.mul).sum(1, keepdim=True)
        elif x.shape[1] == 1 and ports.in_channels > 1:
            x = x.expand(-1, ports.in_channels, -1, -1)
        if ports.bgr and ports.in_channels == 3:
            x = x.flip(1)
        if ports.invert:
            x = -x
        return _affine(x, ports.in_scale, ports.in_shift, serial=self._is_serial(x))

    def _given(self, y: Tensor) -> Tensor:
        ports = self.ports
        y = _affine(y[:, :3], ports.out_scale, ports.out_shift, serial=self._is_serial(y))
        if y.shape[1] == 1:
            return y.expand(-1, 3, -1, -1)
        return y.flip(1) if ports.bgr else y


def _affine(x: Tensor, scale: tuple[float, ...], shift: tuple[float, ...], *, serial: bool) -> Tensor:
    """Return ``x · scale + shift``; ``serial``: compute it with NumPy in the current thread."""
    if serial:
        values = x.numpy() * _column(scale)
        values += _column(shift)
        return torch.from_numpy(values)
    if any(s != 1 for s in scale):
        x = _by_channel(x, scale, Tensor.mul)
    if any(s != 0 for s in shift):
        x = _by_channel(x, shift, Tensor.add)
    return x


def _by_channel(x: Tensor, values: tuple[float, ...], operation: Callable[[Tensor, float], Tensor]) -> Tensor:
    """Apply ``operation`` to each channel and its value, or to all channels if there is a single value.

    The values are Python floats because copying a tensor to a GPU blocks, and a CUDA graph cannot record the copy.
    """
    if len(values) == 1:
        return operation(x, values[0])
    return torch.cat([operation(x[:, i : i + 1], value) for i, value in enumerate(values)], dim=1)


def _column(values: tuple[float, ...]) -> np.ndarray:
    return np.array(values, np.float32)[:, None, None]
