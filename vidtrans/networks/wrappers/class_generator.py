"""A generator with a channel for each class, whose output is the colour of the most likely one.

So a model of classes is rendered, exported and chained like any other; only its training sees the channels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import UsageError

# Times a painter's output, which is from −1 to 1: the largest difference of two logits is 20, a ratio of 5e8.
LOGITS = 10.0


class ClassGenerator(nn.Module):
    """A generator that gives each pixel the colour of the class that ``painter``, (N, C, H, W) → (N, K, H, W), finds.

    ``colours``: those of the K classes, (K, 3) uint8.
    """

    class_colours: Tensor

    def __init__(self, painter: Any, colours: np.ndarray) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        if getattr(painter, "residual", False):
            why = "the generator adds to its input frame, and classes are no picture"
            raise UsageError("generator.residual", why, "train with --set generator.residual=false")
        self.painter = painter
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        self.register_buffer("class_colours", torch.tensor(colours.tolist(), dtype=torch.uint8))

    def logits(self, x: Tensor) -> Tensor:
        """Return the unnormalised log-probabilities of the classes, (N, K, H, W), for (N, C, H, W)."""
        logits: Tensor = LOGITS * self.painter(x)
        return logits

    def coloured(self, scores: Tensor) -> Tensor:
        """Return the colours of the classes with the highest scores, (N, K, H, W) → (N, 3, H, W) float32 in [−1, 1]."""
        chosen = self.class_colours[scores.argmax(1)]
        return chosen.permute(0, 3, 1, 2).float() / 127.5 - 1

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 3, H, W), in which each pixel has exactly the colour of a class."""
        return self.coloured(self.painter(x))
