"""Adversarial losses of D and G: means, independent of picture size, batch size and number of scales."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.training.losses.base import DiscriminatorOutput, mean_of


class CrossEntropy:
    """Cross-entropy (Goodfellow et al., 2014), non-saturating for G; halved for D as in Isola et al. (CVPR 2017).

    ``balance``: D's loss when it cannot tell fake from real, here log 2.
    """

    balance: ClassVar[float] = 0.6931

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """Return −½ (log D(x, y) + log(1 − D(x, G(x))))."""
        return 0.5 * (_bce(on_fake, 0.0) + _bce(on_real, 1.0))

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """Return −log D(x, G(x))."""
        return _bce(on_fake, 1.0)


class LeastSquares:
    """Mao et al., "Least Squares Generative Adversarial Networks" (ICCV 2017), equation 9.

    G's loss omits the factor ½, as in CycleGAN, CUT and pix2pixHD, whose other weights are tuned for that.
    """

    balance: ClassVar[float] = 0.25

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """Return ½ D(G)² + ½ (D(y) − 1)²."""
        return 0.5 * (on_fake.square().mean() + (on_real - 1).square().mean())

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """Return (D(G) − 1)²."""
        return (on_fake - 1).square().mean()


class Hinge:
    """Lim and Ye, "Geometric GAN" (2017), as in SPADE (Park et al., CVPR 2019)."""

    balance: ClassVar[float] = 2.0

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """Return max(0, 1 + D(G)) + max(0, 1 − D(y))."""
        return F.relu(1 + on_fake).mean() + F.relu(1 - on_real).mean()

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """Return −D(G)."""
        return -on_fake.mean()


Adversarial = type[CrossEntropy] | type[LeastSquares] | type[Hinge]


def discriminator_loss(objective: Adversarial, on_fake: DiscriminatorOutput, on_real: DiscriminatorOutput) -> Tensor:
    """Return D's loss by ``objective``, the mean over scales; ``on_fake``, ``on_real``: D's features and logits."""
    pairs = zip(on_fake, on_real, strict=True)
    return mean_of([objective.discriminator(fake[-1].float(), real[-1].float()) for fake, real in pairs])


def generator_loss(objective: Adversarial, on_fake: DiscriminatorOutput) -> Tensor:
    """Return G's loss by ``objective``, the mean over scales; ``on_fake``: D's features and logits for G's output."""
    return mean_of([objective.generator(scale[-1].float()) for scale in on_fake])


def _bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
