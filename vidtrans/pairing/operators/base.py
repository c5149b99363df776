"""The interface of pairings as tensor operators."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidtrans.pairing.base import Pairing


def scripted(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Compile a function with TorchScript: a trace would fix its loops, comparisons and device to one picture's.

    Decorates functions of tensors and whole numbers. torch advises against TorchScript, but older programs read only
    that.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        compiled: Callable[..., Tensor] = torch.jit.script(function)
    return compiled


class PairingOperators(nn.Module):
    """A pairing's input and ``finish``, written with torch operators only.

    This class suits a pairing whose input is the frame itself. Pictures are *levels*: (N, C, H, W) float32 from 0
    to 255, whole numbers if they come from 8 bits. ``smallest``: the least side of a frame in pixels.

    Args:
        pairing: The pairing with its settings.
        conditions: Values from 0 to 1 of the constant planes that the network sees beside the frame.
    """

    smallest: ClassVar[int] = 1

    def __init__(self, pairing: Pairing, conditions: tuple[float, ...] = ()) -> None:
        super().__init__()
        self.settings: Any = pairing.settings
        self.conditions = conditions

    def forward(self, frame: Tensor) -> Tensor:
        """Return the network's input, (N, in_channels, H, W) levels, for a frame, (N, 3, H, W) levels."""
        return frame

    def finish(self, frame: Tensor, output: Tensor) -> Tensor:
        """Return the output with parts restored from the frame, such as its luma; (N, 3, H, W) levels each."""
        return output
