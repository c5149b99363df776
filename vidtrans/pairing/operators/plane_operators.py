"""Pairings of few operations: grey to colour, a larger picture, planes that say how to paint."""

from __future__ import annotations

import torch
from torch import Tensor

from vidtrans.pairing.operators.base import PairingOperators
from vidtrans.pairing.operators.sampling_operators import enlarge, integer_luma, luma


class ColorizeOperators(PairingOperators):
    """What ``Colorize`` does: the luma is the input, and of the output only the chroma is kept."""

    def forward(self, frame: Tensor) -> Tensor:
        """(N, 3, H, W) levels → (N, 1, H, W) levels."""
        return integer_luma(torch.round(frame))

    def finish(self, frame: Tensor, output: Tensor) -> Tensor:
        """(N, 3, H, W) levels twice → the same, unrounded: the frame's luma, the output's chroma, paler if it must."""
        light = luma(frame)
        chroma = output - luma(output)
        above = torch.amax(chroma, 1, keepdim=True).clamp(min=1e-3)
        below = (-torch.amin(chroma, 1, keepdim=True)).clamp(min=1e-3)
        paler = torch.minimum((255.0 - light) / above, light / below).clamp(0.0, 1.0)
        return (chroma * paler + light).clamp(0.0, 255.0)


class EnlargeOperators(PairingOperators):
    """What a render with ``Enlarge`` does: the frame, interpolated to ``factor`` times its size, is the input."""

    def forward(self, frame: Tensor) -> Tensor:
        """(N, 3, H, W) levels → (N, 3, factor · H, factor · W) levels."""
        return torch.round(enlarge(frame, self.settings.factor)).clamp(0.0, 255.0)


class LookOperators(PairingOperators):
    """What ``Look`` does: the frame with a plane for each condition."""

    def forward(self, frame: Tensor) -> Tensor:
        """(N, 3, H, W) levels → (N, 3 + conditions, H, W) levels."""
        planes = [torch.full_like(frame[:, :1], float(round(255 * value))) for value in self.conditions]
        return torch.cat([frame, *planes], 1)
