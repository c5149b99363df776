"""Adversarial losses: the objectives of D and G, and the terms of the generator's loss that use discriminators.

Every loss is a mean, independent of picture size, batch size and number of scales.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.training import ADVERSARIAL
from vidtrans.training.losses.base import DiscriminatorOutput, LossContext, Term, mean_of
from vidtrans.training.settings import TrainingSettings


class CrossEntropy:
    """Cross-entropy objective (Goodfellow et al., 2014), non-saturating for G; halved for D (pix2pix, CVPR 2017).

    ``balance``: D's loss when it cannot tell fake from real, here log 2.
    """

    balance: ClassVar[float] = 0.6931

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """Return D's loss −½ (log D(x, y) + log(1 − D(x, G(x)))), a scalar mean, from logits."""
        return 0.5 * (_bce(on_fake, 0.0) + _bce(on_real, 1.0))

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """Return G's loss −log D(x, G(x)), a scalar mean, from logits."""
        return _bce(on_fake, 1.0)


class LeastSquares:
    """Least-squares objective: Mao et al., "Least Squares Generative Adversarial Networks" (ICCV 2017), equation 9.

    G's loss omits the factor ½, as in CycleGAN, CUT and pix2pixHD, whose other weights are tuned for that.
    """

    balance: ClassVar[float] = 0.25

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """Return D's loss ½ D(G)² + ½ (D(y) − 1)², a scalar mean, from logits."""
        return 0.5 * (on_fake.square().mean() + (on_real - 1).square().mean())

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """Return G's loss (D(G) − 1)², a scalar mean, from logits."""
        return (on_fake - 1).square().mean()


class Hinge:
    """Hinge objective: Lim and Ye, "Geometric GAN" (2017), as in SPADE (Park et al., CVPR 2019)."""

    balance: ClassVar[float] = 2.0

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """Return D's loss max(0, 1 + D(G)) + max(0, 1 − D(y)), a scalar mean, from logits."""
        return F.relu(1 + on_fake).mean() + F.relu(1 - on_real).mean()

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """Return G's loss −D(G), a scalar mean, from logits."""
        return -on_fake.mean()


Adversarial = type[CrossEntropy] | type[LeastSquares] | type[Hinge]  # The class of an adversarial objective.


def discriminator_loss(objective: Adversarial, on_fake: DiscriminatorOutput, on_real: DiscriminatorOutput) -> Tensor:
    """Return D's loss by ``objective``, the mean over scales; ``on_fake``, ``on_real``: D's features and logits."""
    pairs = zip(on_fake, on_real, strict=True)
    return mean_of([objective.discriminator(fake[-1].float(), real[-1].float()) for fake, real in pairs])


def generator_loss(objective: Adversarial, on_fake: DiscriminatorOutput) -> Tensor:
    """Return G's loss by ``objective``, the mean over scales; ``on_fake``: D's features and logits for G's output."""
    return mean_of([objective.generator(scale[-1].float()) for scale in on_fake])


def _bce(logits: Tensor, label: float) -> Tensor:
    """Return the mean binary cross-entropy of logits against one label, 0 for fake or 1 for real."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


class GAN(Term):
    """The adversarial loss of G: −log D(x, G(x)), or the loss of another objective."""

    uses_discriminator = True

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(settings)
        self.objective = ADVERSARIAL.load(settings.gan_mode)

    def forward(self, step: LossContext) -> Tensor | None:
        """Return G's adversarial loss, a scalar."""
        return generator_loss(self.objective, step.on_fake)


class FeatureMatching(Term):
    """The L1 distance between D's features of output and target: Wang et al., pix2pixHD (CVPR 2018), equation 4."""

    uses_discriminator = True

    def forward(self, step: LossContext) -> Tensor:
        """Return the L1 distance between D's features of output and target, a scalar."""
        return feature_matching(step.on_fake, step.on_real)


def feature_matching(on_fake: DiscriminatorOutput, on_real: DiscriminatorOutput) -> Tensor:
    """Return the L1 distance between D's features of output and target: summed over layers, mean over scales.

    The sum over layers is as in the paper. The target's features get no gradient.
    """
    scales: list[Tensor] = []
    for fake, real in zip(on_fake, on_real, strict=True):
        layers = [F.l1_loss(a.float(), b.detach().float()) for a, b in zip(fake[:-1], real[:-1], strict=True)]
        scales.append(torch.stack(layers).sum())
    return mean_of(scales)


class TemporalGAN(GAN):
    """G's adversarial loss against vid2vid's temporal discriminator D_V, which judges triples of consecutive frames.

    Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, section 3.2. A single frame of a flickering video may
    resemble the target; a triple does not. Unlike the paper's, this D_V does not see the motion, and only the last
    frame of a triple has a gradient: the two frames before come from earlier steps, see
    ``training.feedback``.
    """

    uses_discriminator = False

    def forward(self, step: LossContext) -> Tensor | None:
        """Return G's loss for this micro-batch's triples of frames, weighted by its share of triples; None without any.

        The losses of the micro-batches add up to the mean over the step.
        """
        if step.earlier is None or step.judge_triples is None:
            return None
        on_fake = step.judge_triples(step.earlier.fake(step.output))
        return generator_loss(self.objective, on_fake) * step.earlier.share / step.share
