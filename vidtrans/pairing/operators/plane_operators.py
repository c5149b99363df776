"""Pairings of few operations as operators: colorize, enlarge, and the condition planes of looks."""

from __future__ import annotations

import torch
from torch import Tensor

from vidtrans.pairing.operators.base import PairingOperators
from vidtrans.pairing.operators.sampling_operators import enlarge, integer_luma, luma


class ColorizeOperators(PairingOperators):
    """The operators of ``Colorize``: luma as input, and the output's chroma."""

    def forward(self, frame: Tensor) -> Tensor:
        """Return the luma, (N, 1, H, W) levels, of (N, 3, H, W) levels."""
        return integer_luma(torch.round(frame))

    def finish(self, frame: Tensor, output: Tensor) -> Tensor:
        """Combine the frame's luma with the output's chroma, paler if out of range; (N, 3, H, W) levels, unrounded."""
        light = luma(frame)
        chroma = output - luma(output)
        above = torch.amax(chroma, 1, keepdim=True).clamp(min=1e-3)
        below = (-torch.amin(chroma, 1, keepdim=True)).clamp(min=1e-3)
        paler = torch.minimum((255.0 - light) / above, light / below).clamp(0.0, 1.0)
        return (chroma * paler + light).clamp(0.0, 255.0)


class EnlargeOperators(PairingOperators):
    """The operators of a render with ``Enlarge``: the input is the frame interpolated to ``factor`` times its size."""

    def forward(self, frame: Tensor) -> Tensor:
        """Return the enlarged frame, (N, 3, factor · H, factor · W) levels, for (N, 3, H, W) levels."""
        return torch.round(enlarge(frame, self.settings.factor)).clamp(0.0, 255.0)


class LookOperators(PairingOperators):
    """The operators of ``LookPairing``: the frame with a plane for each condition."""

    def forward(self, frame: Tensor) -> Tensor:
        """Return the frame and its planes, (N, 3 + conditions, H, W) levels, for (N, 3, H, W) levels."""
        planes = [torch.full_like(frame[:, :1], float(round(255 * value))) for value in self.conditions]
        return torch.cat([frame, *planes], 1)
