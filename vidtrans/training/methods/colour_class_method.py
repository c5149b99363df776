"""Grey to colour by classes: cross-entropy of bins of the ab plane (Zhang, Isola and Efros, ECCV 2016)."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.networks.colour_classes import CLASS_STRIDE, ColourClasses, to_ab
from vidtrans.training.losses.rarity import weigh_colours
from vidtrans.training.methods.base import Setup
from vidtrans.training.methods.class_method import ClassMethod

NUM_NEIGHBOURS = 5  # The paper's soft encoding: number of bins near a colour that share its weight.
SIGMA = 5.0  # The paper's σ of the neighbours' weights, in units of a and b.


class ColourClassMethod(ClassMethod):
    """The cross-entropy method for a ``ColourClasses`` generator.

    Rare colours have a higher weight with ``colour_rebalancing``.
    """

    has_label_targets = False

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the network and the method. Raises UsageError for another generator."""
        generator: Any = setup.make_generator()
        if not isinstance(generator, ColourClasses):
            why = "it trains a generator whose channels are colours, without a plate and a history"
            raise UsageError("training.method=colour-classes", why, "use --preset colour-classes")
        weights = setup.find_rarity()
        weights = torch.ones(1, 1) if weights is None else weights
        return cls(generator, setup.settings, setup.device, setup.precision, weights, setup.dist)

    def _labels(self, targets: Tensor) -> Tensor:
        """Return the colours a and b, (N, 2, H/4, W/4)."""
        return to_ab(F.avg_pool2d(targets.float(), CLASS_STRIDE))

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        bins: Tensor = self.generator.bins
        colours = labels.permute(0, 2, 3, 1).reshape(-1, 2)
        distances, nearest = torch.cdist(colours, bins).topk(NUM_NEIGHBOURS, largest=False)
        shares = torch.softmax(-(distances**2) / (2 * SIGMA**2), 1)
        log_shares = F.log_softmax(logits, 1).permute(0, 2, 3, 1).reshape(-1, len(bins)).gather(1, nearest)
        return -((shares * log_shares).sum(1) * weigh_colours(labels, self.class_weights).flatten()).sum()

    def _to_pictures(self, logits: Tensor, x: Tensor) -> Tensor:
        return self.generator.coloured(logits, x)

    def _total_weight(self, labels: Tensor) -> Tensor:
        weight = float(weigh_colours(labels, self.class_weights).sum())
        return torch.tensor(self.dist.mean([weight])[0], device=self.device.torch)
