"""Warnings when D wins, G collapses or G cannot see colours, so that a GAN stops learning, or learns wrong colours."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 300  # Steps for which D must have won.
WON = 0.1  # Share of D's loss where it cannot tell fake from real, below which it has won.
PICTURES = 64  # Outputs whose variation is measured.
COLLAPSED = 0.1  # Share of the targets' variation, below which G has collapsed.
LEAST_VARIATION = 0.01  # Deviation of targets in [−1, 1] below which all of them are nearly the same picture.
EVERY = 50  # Steps between two checks.
SAME_OUTPUT = 0.01  # Share of an output's deviation; untrained networks that see colours are at 0.3 and more.
_SIDE = 8


class OutputVariation:
    """The latest outputs and targets, reduced to 8×8 pixels, which is enough to detect a collapse."""

    def __init__(self) -> None:
        self._outputs: deque[Tensor] = deque(maxlen=PICTURES)
        self._targets: deque[Tensor] = deque(maxlen=PICTURES)

    @torch.no_grad()
    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add outputs and targets, both (N, 3, H, W) in [−1, 1]. They stay on their device, so nothing waits for it."""
        self._outputs.extend(F.adaptive_avg_pool2d(outputs.float(), _SIDE))
        self._targets.extend(F.adaptive_avg_pool2d(targets.float(), _SIDE))

    def variation(self) -> float | None:
        """Return the outputs' variation relative to the targets'; None until ``PICTURES`` pictures are collected."""
        if len(self._outputs) < PICTURES:
            return None
        outputs, targets = (torch.stack(list(pictures)).cpu().numpy() for pictures in (self._outputs, self._targets))
        return relative_variation(outputs, targets)


def relative_variation(outputs: np.ndarray, targets: np.ndarray) -> float | None:
    """Return the ratio of standard deviations across pictures, outputs to targets; None if targets hardly differ."""
    of_outputs, of_targets = (float(np.sqrt(pictures.var(0).mean())) for pictures in (outputs, targets))
    return of_outputs / of_targets if of_targets >= LEAST_VARIATION else None


@torch.no_grad()
def ignores_colours(generator: Any, channels: int) -> bool:  # noqa: ANN401  (a generator, see ``networks``)
    """Return whether the output stays the same when a colour is added to all of the input, (1, channels, H, W).

    That is so where an instance norm follows the first convolution. Only whole pictures tell such a network how bright
    an area is: in crops a white wall and a dark one are the same input with different targets.
    """
    side = max(64, getattr(generator, "smallest", 1))
    side += -side % generator.multiple
    random = torch.Generator().manual_seed(0)
    picture = torch.rand((1, channels, side, side), generator=random) - 0.5
    shifted = picture + torch.linspace(-0.3, 0.3, channels + 1)[1:, None, None]
    first = next(generator.parameters())
    was_training = generator.training
    generator.eval()
    before, after = (generator(x.to(first.device, first.dtype)).float() for x in (picture, shifted))
    generator.train(was_training)
    return float((after - before).abs().mean()) < SAME_OUTPUT * float(before.std())


def concerns(discriminator: Sequence[float], balance: float, variation: float | None) -> list[str]:
    """Return the problems of a training run, one line each.

    ``discriminator``: D's losses so far; ``balance``: its loss when it cannot tell fake from real; ``variation``: see
    ``OutputVariation``.
    """
    found = []
    recent = discriminator[-WINDOW:]
    if len(recent) == WINDOW and float(np.quantile(recent, 0.95)) < WON * balance:
        found.append(
            f"the discriminator has won: its loss was {np.mean(recent):.2g} over {WINDOW} steps ({balance:.2g} is a "
            "draw), and the generator learns little from it — try training.gan_mode=least-squares or hinge, "
            "discriminator.num_layers one lower, or more pairs"
        )
    if variation is not None and variation < COLLAPSED:
        found.append(
            f"the generator has collapsed: its outputs differ {variation:.2g} times as much as the targets do, "
            "whatever the input — try a lower training.lr, or a lower training.lambda_gan"
        )
    return found
