"""A recurrent generator: it sees its last output, warped along the motion, and keeps the parts that are valid.

vid2vid's composition (Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, section 3.1) with the flow given: the
output is the last one, brought here along the source's motion, where a mask says so, and painted anew elsewhere. Unlike
there, the painter does not see the past: every example trains it to paint, and a small network beside it, the keeper,
to choose what to keep. Two things made it paint worse after as many steps: to see the past (half as fast, for the past
gives most of the answer), and to get gradients through what was kept (it is easier to keep what is soft; held-out L1
8 % higher).
"""

from __future__ import annotations

from math import lcm
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

WIDTH = 8


class RecurrentGenerator(nn.Module):
    """``painter`` is any generator, of (N, ``in_channels``, H, W)."""

    remembers: ClassVar[bool] = True

    def __init__(self, painter: Any, in_channels: int) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        self.painter = painter
        self.in_channels = in_channels
        self.multiple = lcm(painter.multiple, 2)
        self.smallest: int = painter.smallest
        # At half of the size: what is kept has soft edges, and costs a tenth of what painting does.
        self.keeper = nn.Sequential(
            nn.Conv2d(3 + in_channels + 4, WIDTH, 4, 2, 1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(WIDTH, 1, 3, 1, 1),
            nn.Upsample(scale_factor=2.0, mode="bilinear"),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + 4, H, W), last a ``flow.history``, → (N, 3, H, W)."""
        return self.forward_with_repaint(x)[0]

    def forward_with_repaint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output, and what is painted anew: (N, 3, H, W) each, one tensor where there is no past.

        The painter gets no gradients from the output: it would learn to paint what is easily kept, and that is soft.
        """
        anew = self.painter(x[:, :-4])
        if not torch.is_grad_enabled():
            return self.compose(anew, x), anew
        rows = _has_history(x).nonzero()[:, 0]  # in training, only a share of a batch has one
        if not len(rows):
            return anew, anew
        painted = anew.detach()
        return painted.index_copy(0, rows, self.compose(painted[rows], x[rows])), anew

    def compose(self, anew: Tensor, x: Tensor) -> Tensor:
        """Return what is painted ``anew`` (N, 3, H, W) with parts of the past, of a whole input x.

        With s the trust in the past, h = s · what it brings and k the share to keep: (1 − s·k) · anew + k · h.
        """
        keep = self.keeper(torch.cat([anew, x], 1))
        sure, brought = (x[:, -1:] + 1) / 2, x[:, -4:-1]
        composed: Tensor = (1 - sure * keep) * anew + keep * brought
        return composed.to(anew.dtype)


def _has_history(x: Tensor) -> Tensor:
    """Return (N,) bool: whether there is any trust in the past of an input, (N, in + 4, H, W)."""
    return (x[:, -1] > -1).flatten(1).any(1)
