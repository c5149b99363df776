"""Whether both networks still learn from each other: what is said when one of them no longer does."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 300  # steps that D must have been winning for
WON = 0.1  # of D's loss where it cannot tell one from the other
PICTURES = 64  # outputs whose variation is looked at
COLLAPSED = 0.1  # of the targets' variation
LEAST_VARIATION = 0.01  # of targets in [−1, 1]: below it, all of them are nearly the same picture
EVERY = 50  # steps between two looks
_SIDE = 8


class OutputVariation:
    """The last outputs and targets, 8×8 pixels of each: enough to tell different pictures from equal ones."""

    def __init__(self) -> None:
        self._outputs: deque[Tensor] = deque(maxlen=PICTURES)
        self._targets: deque[Tensor] = deque(maxlen=PICTURES)

    @torch.no_grad()
    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """(N, 3, H, W) in [−1, 1] twice. They stay on their device: nothing waits for them."""
        self._outputs.extend(F.adaptive_avg_pool2d(outputs.float(), _SIDE))
        self._targets.extend(F.adaptive_avg_pool2d(targets.float(), _SIDE))

    def variation(self) -> float | None:
        """How much the outputs differ from each other, relative to the targets; see ``relative_variation``."""
        if len(self._outputs) < PICTURES:
            return None
        outputs, targets = (torch.stack(list(kept)).cpu().numpy() for kept in (self._outputs, self._targets))
        return relative_variation(outputs, targets)


def relative_variation(outputs: np.ndarray, targets: np.ndarray) -> float | None:
    """(N, …) twice → the standard deviation from picture to picture of the first over that of the second.

    None where the targets hardly differ themselves.
    """
    made, wanted = (float(np.sqrt(pictures.var(0).mean())) for pictures in (outputs, targets))
    return made / wanted if wanted >= LEAST_VARIATION else None


def concerns(discriminator: Sequence[float], balance: float, variation: float | None) -> list[str]:
    """Return the problems of a training run, one line each.

    ``discriminator``: D's losses of all steps so far, empty where there is none; ``balance``: its loss where it
    cannot tell one from the other; ``variation``: of the last outputs, relative to the targets'.
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
