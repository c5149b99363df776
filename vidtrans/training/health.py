"""Warnings about failed GAN trainings: D has won, G has collapsed, or G ignores colours."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 300  # Number of latest steps in which the discriminator D must have won for a warning.
MAX_WINNING_LOSS = 0.1  # D's loss below which D has won, as a share of its loss when it cannot tell fake from real.
NUM_PICTURES = 64  # Number of outputs over which the variation is measured.
MIN_RELATIVE_VARIATION = 0.1  # Variation of outputs below which G has collapsed, as a share of the targets' variation.
# Standard deviation of targets in [−1, 1] below which nearly all targets are the same picture.
MIN_TARGET_VARIATION = 0.01
CHECK_INTERVAL = 50  # Number of training steps between two health checks.
# Untrained networks that use colours have a relative change of 0.3 and more.
# Change of the output below which G ignores colours, as a share of the output's standard deviation.
MIN_COLOUR_RESPONSE = 0.01
_THUMBNAIL_SIDE_PX = 8  # Side in pixels to which outputs and targets are reduced.


class OutputVariation:
    """The latest outputs and targets, reduced to 8×8 pixels, which is enough to detect a collapse of G."""

    def __init__(self) -> None:
        self._outputs: deque[Tensor] = deque(maxlen=NUM_PICTURES)
        self._targets: deque[Tensor] = deque(maxlen=NUM_PICTURES)

    @torch.no_grad()
    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add outputs and targets, both (N, 3, H, W) in [−1, 1], without a transfer from the device."""
        self._outputs.extend(F.adaptive_avg_pool2d(outputs.float(), _THUMBNAIL_SIDE_PX))
        self._targets.extend(F.adaptive_avg_pool2d(targets.float(), _THUMBNAIL_SIDE_PX))

    def variation(self) -> float | None:
        """Return the outputs' variation relative to the targets'; None with fewer than ``NUM_PICTURES`` pictures."""
        if len(self._outputs) < NUM_PICTURES:
            return None
        outputs, targets = (torch.stack(list(pictures)).cpu().numpy() for pictures in (self._outputs, self._targets))
        return relative_variation(outputs, targets)


def relative_variation(outputs: np.ndarray, targets: np.ndarray) -> float | None:
    """Return the standard deviation across ``outputs`` divided by that across ``targets``, arrays (N, …).

    None if the targets hardly differ.
    """
    of_outputs, of_targets = (float(np.sqrt(pictures.var(0).mean())) for pictures in (outputs, targets))
    return of_outputs / of_targets if of_targets >= MIN_TARGET_VARIATION else None


@torch.no_grad()
def ignores_colours(generator: Any, channels: int) -> bool:  # noqa: ANN401  (a generator, see ``networks``)
    """Return whether adding a colour to all pixels of an input, (1, channels, H, W), leaves the output unchanged.

    That is so where an instance norm follows the first convolution. Such a network can infer the brightness of an area
    only from whole pictures: in crops a white wall and a dark wall are the same input with different targets.
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
    return float((after - before).abs().mean()) < MIN_COLOUR_RESPONSE * float(before.std())


def find_problems(discriminator: Sequence[float], balance: float, variation: float | None) -> list[str]:
    """Return the problems of a training run, one sentence each, with advice.

    ``discriminator``: D's losses so far; ``balance``: D's loss when it cannot tell fake from real; ``variation``: see
    ``OutputVariation``.
    """
    problems = []
    recent = discriminator[-WINDOW:]
    if len(recent) == WINDOW and float(np.quantile(recent, 0.95)) < MAX_WINNING_LOSS * balance:
        problems.append(
            f"the discriminator has won: its loss was {np.mean(recent):.2g} over {WINDOW} steps ({balance:.2g} is a "
            "draw), and the generator learns little from it — try training.gan_mode=least-squares or hinge, "
            "discriminator.num_layers one lower, or more pairs"
        )
    if variation is not None and variation < MIN_RELATIVE_VARIATION:
        problems.append(
            f"the generator has collapsed: its outputs differ {variation:.2g} times as much as the targets do, "
            "whatever the input — try a lower training.lr, or a lower training.lambda_gan"
        )
    return problems
