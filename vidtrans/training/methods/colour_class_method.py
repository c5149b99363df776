"""Colourisation by classes: cross-entropy over bins of CIELAB's ab plane (Zhang, Isola and Efros, ECCV 2016)."""

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

NUM_NEIGHBOURS = 5  # Number of bins around a colour that share its weight, in the paper's soft encoding.
SIGMA = 5.0  # The paper's σ of the neighbours' weights, in units of a and b.


class ColourClassMethod(ClassMethod):
    """The training method for a ``ColourClasses`` generator, by cross-entropy over colour bins.

    Rare colours have a higher weight with ``colour_rebalancing``.
    """

    has_label_targets = False

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the network and the method. Raises UsageError if the generator has no colour classes."""
        generator: Any = setup.make_generator()
        if not isinstance(generator, ColourClasses):
            why = "it trains a generator whose channels are colours, without a plate and a history"
            raise UsageError("training.method=colour-classes", why, "use --preset colour-classes")
        weights = setup.find_rarity()
        weights = torch.ones(1, 1) if weights is None else weights
        return cls(generator, setup.settings, setup.device, setup.precision, weights, setup.dist)

    def _labels(self, targets: Tensor) -> Tensor:
        """Return the targets' colours a and b at a quarter of the size, (N, 2, H/4, W/4)."""
        return to_ab(F.avg_pool2d(targets.float(), CLASS_STRIDE))

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy with the paper's soft labels and rarity weights, summed over the pixels."""
        bins: Tensor = self.generator.bins
        colours = labels.permute(0, 2, 3, 1).reshape(-1, 2)
        distances, nearest = torch.cdist(colours, bins).topk(NUM_NEIGHBOURS, largest=False)
        shares = torch.softmax(-(distances**2) / (2 * SIGMA**2), 1)
        log_shares = F.log_softmax(logits, 1).permute(0, 2, 3, 1).reshape(-1, len(bins)).gather(1, nearest)
        return -((shares * log_shares).sum(1) * weigh_colours(labels, self.class_weights).flatten()).sum()

    def _to_pictures(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return the output pictures, (N, 3, H, W): inputs with the predicted colours."""
        return self.generator.coloured(logits, x)

    def _total_weight(self, labels: Tensor) -> Tensor:
        """Return the sum of the rarity weights of all target pixels, the mean over processes."""
        weight = float(weigh_colours(labels, self.class_weights).sum())
        return torch.tensor(self.dist.mean([weight])[0], device=self.device.torch)
