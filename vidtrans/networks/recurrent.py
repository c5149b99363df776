"""A recurrent generator: it composes its last output, warped along the motion, with a newly painted picture.

It follows vid2vid (Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, section 3.1) with the flow given: where a
mask allows, the output is the last output, warped along the source's motion; the rest is repainted. Unlike vid2vid, the
painter does not get the past as input: every example trains it to paint, and trains a small network, the keeper, to
predict the mask. After equal numbers of steps the painter was worse in two variants: with the past as input (half as
fast, because the past gives most of the answer), and with gradients through the composition (soft pictures are easier
to keep; held-out L1 8 % higher).
"""

from __future__ import annotations

from math import lcm
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

WIDTH = 8


class RecurrentGenerator(nn.Module):
    """A generator that adds recurrence to ``painter``, any generator that takes (N, ``in_channels``, H, W)."""

    remembers: ClassVar[bool] = True

    def __init__(self, painter: Any, in_channels: int) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        self.painter = painter
        self.in_channels = in_channels
        self.multiple = lcm(painter.multiple, 2)
        self.smallest: int = painter.smallest
        # At half the size: the mask has soft edges, and costs a tenth of the painter's time.
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
        """(N, in + 4, H, W), of which the last 4 channels are a ``flow.history`` → (N, 3, H, W)."""
        return self.forward_with_repaint(x)[0]

    def forward_with_repaint(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the output and the repainted picture, (N, 3, H, W); in training one tensor if no input has a history.

        The painter gets no gradients from the output: it would learn to paint soft pictures, which are easy to keep.
        """
        repainted = self.painter(x[:, :-4])
        if not torch.is_grad_enabled():
            return self.compose(repainted, x), repainted
        rows = _has_history(x).nonzero()[:, 0]  # in training, only some examples of a batch have a history
        if not len(rows):
            return repainted, repainted
        painted = repainted.detach()
        return painted.index_copy(0, rows, self.compose(painted[rows], x[rows])), repainted

    def compose(self, repainted: Tensor, x: Tensor) -> Tensor:
        """Return the ``repainted`` picture (N, 3, H, W) composed with the history in x, the whole input.

        With s the trust in the past, h = s · warped last output and k the keeper's mask: (1 − s·k) · repainted + k·h.
        """
        keep = self.keeper(torch.cat([repainted, x], 1))
        trust, weighted_past = (x[:, -1:] + 1) / 2, x[:, -4:-1]
        composed: Tensor = (1 - trust * keep) * repainted + keep * weighted_past
        return composed.to(repainted.dtype)


def _has_history(x: Tensor) -> Tensor:
    """Return (N,) bool: whether each input of (N, in + 4, H, W) has a history with any trust above 0."""
    return (x[:, -1] > -1).flatten(1).any(1)
