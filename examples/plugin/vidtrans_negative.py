"""A plug-in for vidtrans: the pairing `negative` and the loss `edges`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from vidtrans.core.registry import Entry
from vidtrans.core.settings import setting
from vidtrans.pairing.base import Pairing
from vidtrans.training import Label, Loss
from vidtrans.training.losses.base import LossContext, Term


@dataclass(frozen=True)
class NegativeSettings:
    strength: float = setting(1.0, "0 leaves the frame, 1 is a full negative", low=0.0, high=1.0)


class Negative(Pairing):
    name, version, Settings = "negative", 1, NegativeSettings

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        frame = frames[0].astype(np.float32)
        return np.rint(frame + self.settings.strength * (255 - 2 * frame)).astype(np.uint8)


class Edges(Term):
    def forward(self, step: LossContext) -> Tensor:
        across, down = step.target.diff(dim=3).abs(), step.target.diff(dim=2).abs()
        return step.over_pictures(
            lambda made: (made.diff(dim=3).abs() - across).abs().mean() + (made.diff(dim=2).abs() - down).abs().mean()
        )


NEGATIVE = Entry("vidtrans_negative:Negative", "a negative → the frame")
EDGES = Loss("vidtrans_negative:Edges", "the L1 between edges; try 10", Label("G: edges", "Difference of edges."))
PLUGINS = {"pairings": {"negative": NEGATIVE}, "losses": {"edges": EDGES}}  # for VIDTRANS_PLUGINS
