"""Training with label maps: a network with one output channel per class, and the cross-entropy loss.

pix2pix's own GAN and L1 fit label maps poorly: Isola et al. (CVPR 2017, section 4.3) found plain L1 better than the
GAN, and a classification network better than both (loss: Long et al., CVPR 2015). Rare classes have a higher weight,
and pixels without a class have weight 0. Colourisation by classes is such a training, too (Zhang, Isola and Efros,
"Colorful Image Colorization", ECCV 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.core.errors import UsageError
from vidtrans.inference.device import Device, tensor_float32
from vidtrans.networks.colour_classes import CLASS_STRIDE, ColourClasses, to_ab
from vidtrans.networks.init import inner_generator
from vidtrans.networks.wrappers import ClassGenerator
from vidtrans.training import ClassMethodSettings
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.losses.rarity import weigh_colours
from vidtrans.training.methods.base import (
    SEED_STRIDE,
    Setup,
    TrainingMethod,
    TrainingStep,
    freeze,
    seed_random,
    split,
    training_step,
)
from vidtrans.training.methods.network_trainer import NetworkTrainer, TrainingPrecision, WeightAverage
from vidtrans.training.settings import TrainingSettings

NUM_NEIGHBOURS = 5  # Number of colour bins around a colour that share its weight, in the soft encoding of Zhang et al.
SIGMA = 5.0  # Their σ of the neighbours' weights, in units of CIELAB's a and b.
NO_CLASS = -100  # Label of pixels without a class; PyTorch's cross-entropy ignores pixels with this label.


class ClassMethod(TrainingMethod):
    """The training method for networks that predict label maps (``ClassGenerator``), by cross-entropy.

    ``class_weights``: the weight of each class's pixels, (K,) float32.
    """

    has_label_targets = True

    def __init__(
        self,
        generator: Any,  # noqa: ANN401  (with ``logits`` and ``coloured``)
        settings: TrainingSettings,
        device: Device,
        precision: TrainingPrecision,
        class_weights: Tensor,
        dist: DistContext = SINGLE_PROCESS,
    ) -> None:
        self.configure(settings, device, precision, dist)
        freeze(inner_generator(generator), settings.freeze)
        self.generator = self.place(generator)
        self.networks = {"generator": self.generator}
        self.g = NetworkTrainer(self.generator, settings, device, precision, dist)
        self.average = WeightAverage(self.generator, settings.ema_decay) if settings.ema_decay else None
        self.class_weights = class_weights.to(device.torch)
        self._logits = self.g.maybe_compile(self.generator.logits)
        self.columns = ["cross_entropy"]

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the generator, and the class weights from the training pixels."""
        generator = setup.make_generator()
        assert isinstance(generator, ClassGenerator), "the set-up has checked that the target has classes"
        weights = class_weights(setup.find_class_shares(), setup.settings.own(ClassMethodSettings).class_balance)
        return cls(generator, setup.settings, setup.device, setup.precision, weights, setup.dist)

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        """Take one training step. ``step.targets``: label maps in the colours of their classes."""
        with training_step(self.device, self.nondeterministic), tensor_float32(self.precision):
            x, y = self.upload(step.inputs, step.targets)
            labels = self._labels(y)
            # The losses of micro-batches are divided by the weight of the whole batch, so that they add up to its mean.
            batch_weight = self._total_weight(labels)
            self.generator.train()
            self.g.zero_grad()
            total, outputs = torch.zeros((), device=self.device.torch), []
            seed = step.seed + SEED_STRIDE * self.dist.rank
            for batch in split(x, labels, None, self.settings.grad_accum_steps, seed):
                if batch.seed is not None:
                    seed_random(batch.seed, self.device)
                with self.g.autocast():
                    logits = self._logits(batch.x).float()
                loss = self._cross_entropy(logits, batch.y) / batch_weight
                self.g.backward(loss)
                total += loss.detach()
                outputs.append(self._to_pictures(logits.detach(), batch.x))
            self.g.optimizer_step(step.lr)
            self.last_outputs = torch.cat(outputs)
            if self.average:
                self.average.update()
            return {"cross_entropy": float(total)}

    def _labels(self, targets: Tensor) -> Tensor:
        """Return the class of each target pixel, (N, H, W) int64."""
        return labels_of(targets, self.generator.class_colours)

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the cross-entropy with class weights, summed over the pixels; ``labels``: from ``_labels``."""
        return F.cross_entropy(logits, labels, self.class_weights, ignore_index=NO_CLASS, reduction="sum")

    def _to_pictures(self, logits: Tensor, x: Tensor) -> Tensor:
        """Return the output pictures, (N, 3, H, W), for logits and inputs ``x``."""
        del x
        return self.generator.coloured(logits)

    def _total_weight(self, labels: Tensor) -> Tensor:
        """Return the sum of the class weights over pixels with a class, the mean over processes; at least 1e-6."""
        counts = torch.bincount(labels[labels >= 0], minlength=len(self.class_weights))
        weight = float((counts * self.class_weights).sum())
        return torch.tensor(max(self.dist.mean([weight])[0], 1e-6), device=self.device.torch)

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return the cross-entropy as text for the progress line."""
        return f"cross-entropy {losses['cross_entropy']:.3f}"


def labels_of(pictures: Tensor, colours: Tensor) -> Tensor:
    """Return the class of each pixel, (N, H, W) int64; ``NO_CLASS`` for a colour without a class.

    Args:
        pictures: Label maps, (N, 3, H, W) float in [−1, 1].
        colours: Colours of the classes, (K, 3) uint8.
    """
    levels = ((pictures.float() + 1) * 127.5).round().long()
    packed = levels[:, 0] << 16 | levels[:, 1] << 8 | levels[:, 2]
    wide = colours.long()
    codes, order = (wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]).sort()
    place = torch.searchsorted(codes, packed).clamp(max=len(codes) - 1)
    return torch.where(codes[place] == packed, order[place], NO_CLASS)


def class_weights(shares: Tensor, balance: float) -> Tensor:
    """Return the loss weight of each class's pixels, (K,) float32, whose mean over the training pixels is 1.

    ``shares``: the share of each class in the training pixels, (K,), 0 to 1. ``balance``: 0 weights all pixels equally,
    1 all classes.
    """
    weights = shares.clamp_min(1e-4) ** -balance  # The weight is limited, since a rarer class has too few examples.
    return (weights / (weights * shares).sum().clamp_min(1e-6)).float()


class ColourClassMethod(ClassMethod):
    """The training method for a ``ColourClasses`` generator: the classes are bins of CIELAB's ab plane.

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
