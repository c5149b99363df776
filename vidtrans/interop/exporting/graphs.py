"""Modules to export: a network that takes pictures of any size, alone or with its pairing, for floats or 8 bits."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from vidtrans.interop.exporting.base import ExportSubject
from vidtrans.interop.exporting.exportable_layers import exportable, smallest_side
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.operators.base import PairingOperators, scripted


@scripted
def grow_by_mirroring(x: Tensor, side: int, multiple: int, smallest: int) -> Tensor:
    """Pad dimension ``side`` of (N, C, H, W) at its end by mirroring, to a multiple of ``multiple`` >= ``smallest``."""
    length = x.size(side)
    wanted = (max(length, smallest) + multiple - 1) // multiple * multiple
    at = torch.remainder(torch.arange(wanted, device=x.device), 2 * length)
    return x.index_select(side, torch.minimum(at, 2 * length - 1 - at))


class NetworkGraph(nn.Module):
    """The network for any size, (N, C, H, W) float32 in [−1, 1] → (N, 3, H, W): pad by mirroring, run, crop."""

    def __init__(self, generator: Any, channels: int) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        self.multiple, self.smallest = int(generator.multiple), smallest_side(generator, channels)
        self.network = exportable(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, (N, 3, H, W) in [−1, 1]."""
        height, width = x.shape[2], x.shape[3]
        if self.multiple > 1:
            x = grow_by_mirroring(x, 2, self.multiple, self.smallest)
            x = grow_by_mirroring(x, 3, self.multiple, self.smallest)
        y: Tensor = self.network(x)
        return y[:, :, :height, :width]


class UnitGraph(nn.Module):
    """The network for floats in [0, 1], as compositing programs use them: (N, C, H, W) → (N, 3, H, W)."""

    def __init__(self, network: NetworkGraph) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return the output, (N, 3, H, W) in [0, 1]."""
        y: Tensor = self.network(x * 2 - 1)
        return (y + 1) / 2


class WholeGraph(nn.Module):
    """The whole model, RGB in and RGB out: the pairing, the network, and the pairing's ``finish``.

    ``eight_bits``: input and output are (N, H, W, 3) uint8; else (N, 3, H, W) floats in [0, 1], where the input is
    clamped and the output is not rounded.
    """

    def __init__(self, network: NetworkGraph, pairing: PairingOperators, *, eight_bits: bool) -> None:
        super().__init__()
        self.network, self.pairing, self.eight_bits = network, pairing, eight_bits

    def forward(self, x: Tensor) -> Tensor:
        """Return the finished output in the input's layout and type."""
        frame = x.permute(0, 3, 1, 2).to(torch.float32) if self.eight_bits else x.clamp(0.0, 1.0) * 255.0
        output = (self.network(self.pairing(frame) / 127.5 - 1) + 1) * 127.5
        if not self.eight_bits:
            return self.pairing.finish(frame, output) / 255.0
        finished = self.pairing.finish(frame, torch.round(output).clamp(0.0, 255.0))
        return torch.round(finished).to(torch.uint8).permute(0, 2, 3, 1)


class CodedOperators(PairingOperators):
    """The ``inner`` operators of a pairing, with the planes of a style code added to their output."""

    def __init__(self, inner: PairingOperators, pairing: Pairing, conditions: tuple[float, ...]) -> None:
        super().__init__(pairing, conditions)
        self.inner = inner
        self.smallest = inner.smallest  # type: ignore[misc]

    def forward(self, frame: Tensor) -> Tensor:
        """Return the input, (N, in_channels + code size, H, W) levels, for a frame, (N, 3, H, W) levels 0 to 255."""
        made: Tensor = self.inner(frame)
        planes = [torch.full_like(made[:, :1], float(round(255 * value))) for value in self.conditions]
        return torch.cat([made, *planes], 1)

    def finish(self, frame: Tensor, output: Tensor) -> Tensor:
        """Return the output finished by the ``inner`` operators; all are (N, 3, H, W) levels 0 to 255."""
        return self.inner.finish(frame, output)


def pairing_operators(subject: ExportSubject) -> PairingOperators:
    """Return a subject's pairing as torch operators. The pairing's ``operators`` must name a class."""
    module, _, name = subject.pairing.operators.partition(":")
    made: PairingOperators = getattr(importlib.import_module(module), name)(subject.pairing, subject.conditions)
    return CodedOperators(made, subject.pairing, subject.conditions) if subject.record.code_size else made


def graph_of(subject: ExportSubject, *, eight_bits: bool) -> NetworkGraph | WholeGraph:
    """Return the module to export for a subject; ``eight_bits``: see ``WholeGraph``, without effect on a network."""
    network = NetworkGraph(subject.generator, subject.in_channels)
    if not subject.whole:
        return network.eval()
    return WholeGraph(network, pairing_operators(subject), eight_bits=eight_bits).eval()
