"""A generator that remembers: it knows what it painted for the frame before, and keeps what still holds.

vid2vid's composition (Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, section 3.1) with the flow given: the
output is the last one, brought here along the source's motion, where a mask says so, and painted anew elsewhere. Unlike
there, the painter itself does not see the past: every example teaches it to paint, and a small network beside it, the
keeper, what to keep. (A painter that saw it learned the frames half as fast: the past tells it nearly everything.)
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

HINTS = 1  # channels that the painter hands to the keeper beside the picture
WIDTH = 8


class Remembering(nn.Module):
    """``painter`` maps (N, in, H, W) to (N, 4, H, W): a picture, and a hint for the keeper. ``in_channels`` is in."""

    def __init__(self, painter: Any, in_channels: int) -> None:
        super().__init__()
        self.painter = painter
        self.in_channels = in_channels
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        self.keeper = nn.Sequential(
            nn.Conv2d(3 + HINTS + 4, WIDTH, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, 1, 3, 1, 1),
            nn.Upsample(scale_factor=2.0, mode="bilinear"),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + 4, H, W), last a ``flow.history``, → (N, 3, H, W)."""
        return self.both(x)[0]

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The output, and what is painted anew, as it would be without a past: (N, 3, H, W) each.

        s the trust in the past, h = s · the picture that it brings, k the share to keep: (1 − s·k) · anew + k · h.
        """
        painted, past = self.painter(x[:, :-4]), x[:, -4:]
        if not torch.is_grad_enabled():
            return self._kept(painted, past), painted[:, :3]
        anew = painted[:, :3]
        rows = (past[:, 3] > -1).flatten(1).any(1).nonzero()[:, 0]  # half of a batch in training has no past
        if not len(rows):
            return anew, anew
        return anew.index_copy(0, rows, self._kept(painted[rows], past[rows])), anew

    def _kept(self, painted: Tensor, past: Tensor) -> Tensor:
        anew, brought = painted[:, :3], past[:, :3]
        keep = self.keeper(torch.cat([painted, past], 1))
        sure = (past[:, 3:] + 1) / 2
        made: Tensor = (1 - sure * keep) * anew + keep * brought
        return made.to(painted.dtype)
