"""The interface of pairings as operators."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vidtrans.pairing.base import Pairing


def scripted(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function as TorchScript: a trace would hold its loops, comparisons and the device of one picture.

    Decorates functions of tensors and whole numbers. torch advises against TorchScript, but old programs read nothing
    else.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        made: Callable[..., Tensor] = torch.jit.script(function)
    return made


class PairingOperators(nn.Module):
    """What a pairing makes of a frame, and of the network's output, written with operators of torch alone.

    This one is right for a pairing whose input is the frame itself. Pictures are *levels*: (N, C, H, W) float32 from 0
    to 255, whole numbers where they come from 8 bits. ``smallest`` is the shortest side of a frame that it takes.

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
        """Return the network's output with what is known better from the frame put back; (N, 3, H, W) levels each."""
        return output
