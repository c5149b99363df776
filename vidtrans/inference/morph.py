"""Models that pass into one another: their weights are mixed in float32, before norms are folded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch

from vidtrans.inference.device import Device
from vidtrans.inference.torch_engine import TorchEngine


class Morph:
    """Engines between generators of one architecture; ``load(n)`` gives the n-th, in eval mode on the CPU.

    No more than two are held at once, however many there are.
    """

    def __init__(self, load: Callable[[int], Any], device: Device, precision: str) -> None:
        self._load, self._device, self._precision = load, device, precision
        self._held: dict[int, Any] = {}
        self._mix: Any = None  # filled anew for each engine, which takes a copy of it
        self._made: tuple[tuple[int, float], TorchEngine] | None = None

    def at(self, number: int, share: float) -> TorchEngine:
        """The engine of generator ``number``, a ``share`` (0 to 1) of the way to the next."""
        if self._made is None or self._made[0] != (number, share):
            mixed = self._mixed(number, share) if share else self._generator(number)
            self._made = (number, share), TorchEngine(mixed, self._device, self._precision)
        return self._made[1]

    def _generator(self, number: int) -> Any:
        if number not in self._held:
            self._held = {n: g for n, g in self._held.items() if abs(n - number) == 1}
            self._held[number] = self._load(number)
        return self._held[number]

    @torch.inference_mode()
    def _mixed(self, number: int, share: float) -> Any:
        """As (Wang et al., "Deep Network Interpolation", 2019): every weight, and the statistics of norms."""
        one, other = self._generator(number).state_dict(), self._generator(number + 1).state_dict()
        if self._mix is None:
            self._mix = copy.deepcopy(self._generator(number))
        for name, value in self._mix.state_dict().items():
            if value.is_floating_point():
                torch.lerp(one[name], other[name], share, out=value)
        return self._mix
