"""A plug-in for vidtrans: the pairing `negative` and the loss `edges`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from vidtrans.core.options import option
from vidtrans.core.registry import Entry
from vidtrans.pairing.base import Pairing
from vidtrans.training import Label, Loss
from vidtrans.training.losses.base import LossContext, Term


@dataclass(frozen=True)
class NegativeSettings:
    strength: float = option(1.0, "0 leaves the frame, 1 is a full negative", bounds=(0.0, 1.0))


class Negative(Pairing):
    """The frame itself is the target; its negative is the input."""

    name, version, Settings = "negative", 1, NegativeSettings

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(np.rint(frames[0] + self.settings.strength * (255.0 - 2.0 * frames[0])), np.uint8)


class Edges(Term):
    """The L1 between what output and target differ in from their blurred selves."""

    def forward(self, step: LossContext) -> Tensor:
        blur = nn.AvgPool2d(3, 1, 1)
        return step.sum_over_outputs(lambda made: (made - blur(made) - step.target + blur(step.target)).abs().mean())


NEGATIVE = Entry("vidtrans_negative:Negative", "a negative → the frame")
EDGES = Loss("vidtrans_negative:Edges", "the L1 between edges; try 10", Label("G: edges", "Difference of edges."))
PLUGINS = {"pairings": {"negative": NEGATIVE}, "losses": {"edges": EDGES}}  # for VIDTRANS_PLUGINS
