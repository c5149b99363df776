"""Morphs between models: their weights are mixed in float32, before norms are folded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vidtrans.inference.device import Device
from vidtrans.inference.torch_engine import TorchEngine


class Morph:
    """Engines between generators of one architecture; ``load(n)`` gives the n-th, in eval mode on the CPU.

    No more than two are in memory at once, however many there are.
    """

    def __init__(self, load: Callable[[int], Any], device: Device, precision: str) -> None:
        self._load, self._device, self._precision = load, device, precision
        self._generators: dict[int, nn.Module] = {}
        self._mix: nn.Module | None = None  # filled anew for each engine, which takes a copy of it
        self._latest: tuple[tuple[int, float], TorchEngine] | None = None

    def at(self, number: int, share: float) -> TorchEngine:
        """Return the engine of generator ``number``, a ``share`` (0 to 1) of the way to the next."""
        if self._latest is None or self._latest[0] != (number, share):
            mixed = self._mixed(number, share) if share else self._generator(number)
            self._latest = (number, share), TorchEngine(mixed, self._device, self._precision)
        return self._latest[1]

    def _generator(self, number: int) -> nn.Module:
        if number not in self._generators:
            self._generators = {n: g for n, g in self._generators.items() if abs(n - number) == 1}
            self._generators[number] = self._load(number)
        return self._generators[number]

    @torch.inference_mode()
    def _mixed(self, number: int, share: float) -> nn.Module:
        """Mix all weights and norms' statistics, as in Wang et al., "Deep Network Interpolation" (2019)."""
        one, other = self._generator(number).state_dict(), self._generator(number + 1).state_dict()
        if self._mix is None:
            self._mix = copy.deepcopy(self._generator(number))
        for name, value in self._mix.state_dict().items():
            if value.is_floating_point():
                torch.lerp(one[name], other[name], share, out=value)
        return self._mix
