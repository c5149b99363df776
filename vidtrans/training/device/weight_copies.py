"""Weights in bf16 for autocast on a CPU, kept from step to step.

Autocast casts every weight in each forward pass into fresh memory, and every gradient back. Here both have memory of
their own, and a weight is cast again only after it changed: on a processor whose matrix units compute bf16 ten times as
fast as fp32, the casts were two fifths of a step of U-Net 256 (54 million weights). Results are the same to the bit:
autocast's own copy is also made once a pass, and its gradients are also summed in bf16. (Only the weight of a matrix
product that several passes of one graph use, whose view autocast casts each time, is rounded once more.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidtrans.networks.convolutions import MatmulConv, MatmulConvTranspose

# Layers whose weight is used as it is, and under autocast only in bf16. Subclasses may compute with it in fp32.
LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, MatmulConv, MatmulConvTranspose)


@dataclass
class _Copy:
    """The copy of the weight of ``layers`` in bf16, and the memory of its gradient in fp32."""

    layers: list[nn.Module]
    weight: nn.Parameter
    copy: nn.Parameter
    grad: Tensor
    version: int = -1

    @torch.no_grad()
    def collect(self, copy: Tensor) -> None:
        """Add the gradient of the copy to that of the weight, and free it for the next layer."""
        assert copy.grad is not None
        if self.weight.grad is None:
            self.weight.grad = self.grad.copy_(copy.grad)
        else:
            self.weight.grad.add_(copy.grad)
        copy.grad = None


class WeightCopies:
    """The copies of the weights of a network's convolutions and linear layers."""

    def __init__(self, network: nn.Module) -> None:
        found: dict[int, _Copy] = {}
        for layer in network.modules():
            weight = layer._parameters.get("weight") if type(layer) in LAYERS else None
            if weight is None:  # other layers, and weights that are computed (spectral norm)
                continue
            if id(weight) not in found:
                copy = nn.Parameter(torch.empty_like(weight, dtype=torch.bfloat16), requires_grad=True)
                found[id(weight)] = _Copy([], weight, copy, torch.empty_like(weight))
                copy.register_post_accumulate_grad_hook(found[id(weight)].collect)
            found[id(weight)].layers.append(layer)
        self._copies, self._is_used = list(found.values()), False

    @contextmanager
    def used(self) -> Iterator[None]:
        """Let the layers compute with the copies. Contexts may be nested."""
        if self._is_used:
            yield
            return
        self._refresh()
        self._is_used = True
        try:
            for one in self._copies:
                one.copy.requires_grad_(one.weight.requires_grad)
                for layer in one.layers:
                    layer._parameters["weight"] = one.copy
            yield
        finally:
            for one in self._copies:
                for layer in one.layers:
                    layer._parameters["weight"] = one.weight
            self._is_used = False

    def forget(self) -> None:
        """Cast all weights again before their next use; to call after a step of a fused optimizer.

        Other changes of a weight in place are seen by its version, which fused optimizers do not count up.
        """
        for one in self._copies:
            one.version = -1

    @torch.no_grad()
    def _refresh(self) -> None:
        changed = [one for one in self._copies if one.version != one.weight._version]
        if changed:
            torch._foreach_copy_([one.copy for one in changed], [one.weight for one in changed])
            for one in changed:
                one.version = one.weight._version
