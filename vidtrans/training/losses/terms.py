"""What D and G minimise. Every loss is a mean, so that it does not depend on size, batch or number of scales.

What a discriminator says of a picture is a list for each scale that it looks at: its layers' features (N, C, H, W),
last the logits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

Judgement = list[list[Tensor]]


class CrossEntropy:
    """Goodfellow et al. (2014), with G's loss non-saturating; D's is halved as in Isola et al. (CVPR 2017)."""

    balance: ClassVar[float] = 0.6931

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """−½ (log D(x, y) + log(1 − D(x, G(x))))."""
        return 0.5 * (_bce(on_fake, 0.0) + _bce(on_real, 1.0))

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """−log D(x, G(x))."""
        return _bce(on_fake, 1.0)


class LeastSquares:
    """Mao et al., "Least Squares Generative Adversarial Networks" (ICCV 2017), equation 9."""

    balance: ClassVar[float] = 0.25

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """½ D(G)² + ½ (D(y) − 1)²."""
        return 0.5 * (on_fake.square().mean() + (on_real - 1).square().mean())

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """½ (D(G) − 1)²."""
        return 0.5 * (on_fake - 1).square().mean()


class Hinge:
    """Lim and Ye, "Geometric GAN" (2017), as in SPADE (Park et al., CVPR 2019)."""

    balance: ClassVar[float] = 2.0

    @staticmethod
    def discriminator(on_fake: Tensor, on_real: Tensor) -> Tensor:
        """max(0, 1 + D(G)) + max(0, 1 − D(y))."""
        return F.relu(1 + on_fake).mean() + F.relu(1 - on_real).mean()

    @staticmethod
    def generator(on_fake: Tensor) -> Tensor:
        """−D(G)."""
        return -on_fake.mean()


Adversarial = type[CrossEntropy] | type[LeastSquares] | type[Hinge]


def discriminator_loss(objective: Adversarial, on_fake: Judgement, on_real: Judgement) -> Tensor:
    """D's loss, the mean over its scales."""
    pairs = zip(on_fake, on_real, strict=True)
    return _mean([objective.discriminator(fake[-1].float(), real[-1].float()) for fake, real in pairs])


def generator_loss(objective: Adversarial, on_fake: Judgement) -> Tensor:
    """What G minimises of D's judgement, the mean over its scales."""
    return _mean([objective.generator(scale[-1].float()) for scale in on_fake])


def feature_matching(on_fake: Judgement, on_real: Judgement) -> Tensor:
    """Wang et al., pix2pixHD (CVPR 2018), equation 4: the L1 between D's features of the output and of the target.

    Summed over the layers as in the paper, the mean over the scales. The target is not learned from.
    """
    scales: list[Tensor] = []
    for fake, real in zip(on_fake, on_real, strict=True):
        layers = [F.l1_loss(a.float(), b.detach().float()) for a, b in zip(fake[:-1], real[:-1], strict=True)]
        scales.append(torch.stack(layers).sum())
    return _mean(scales)


def feature_distance(on_fake: Judgement, on_real: Judgement) -> Tensor:
    """The squared distance between D's features, each pixel's made a unit vector first: 0 to 4.

    What LPIPS does with features of a trained network (Zhang et al., CVPR 2018, equation 1, all channels weighing the
    same): what a feature says counts, and how loudly D's weights say it does not. The mean over layers and scales.
    """
    return _mean([(_unit(a) - _unit(b.detach())).square().sum(1).mean() for a, b in _features(on_fake, on_real)])


def detail(fake: Tensor, target: Tensor) -> Tensor:
    """How much less, or more, fine texture there is around each place: of (N, C, H, W), both.

    The mean difference of the Laplacian's size, averaged over 8×8 pixels every 4. Where texture cannot be known, the L1
    asks for none of it and the GAN for any; this asks for as much as there is, wherever in its place it lies.
    """
    return F.l1_loss(_roughness(fake), _roughness(target))


def temporal(fake: Tensor, past: Tensor) -> Tensor:
    """How far (N, 3, H, W) is from its ``past`` (N, 4, H, W), a ``flow.history``: the mean of s·|fake − p|.

    s is how sure the past p is. vid2vid's discriminators judge that (Wang et al., NeurIPS 2018); Lai et al. (ECCV 2018)
    have this loss. The past is not learned from.
    """
    sure = (past[:, 3:] + 1) / 2
    return F.l1_loss(sure * fake, past[:, :3])


def _roughness(x: Tensor) -> Tensor:
    inner = x[..., 1:-1, 1:-1]
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return F.avg_pool2d((inner - around / 4).abs(), min(8, *inner.shape[-2:]), 4)


def weighted_l1(fake: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """The mean of ``weights`` (N, 1, H, W) times |target − fake|, both (N, C, H, W)."""
    return (weights * (fake - target).abs()).mean()


def _features(on_fake: Judgement, on_real: Judgement) -> Iterator[tuple[Tensor, Tensor]]:
    for fake, real in zip(on_fake, on_real, strict=True):
        yield from zip(fake[:-1], real[:-1], strict=True)


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float(), dim=1, eps=1e-6)


def _mean(losses: Sequence[Tensor]) -> Tensor:
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).mean()


def _bce(logits: Tensor, wanted: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))
