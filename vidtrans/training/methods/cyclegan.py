"""CycleGAN: unpaired training of two translators, each the inverse of the other.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017. Follows the
paper: G maps x to y, F maps y to x; D_Y judges G(x), D_X judges F(y).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from vidtrans.training import CycleGANSettings
from vidtrans.training.methods.base import Setup
from vidtrans.training.methods.unpaired_method import SOURCE, TARGET, FrameMap, Translation, UnpairedMethod
from vidtrans.training.picture_codes import append_code_planes
from vidtrans.training.settings import TrainingSettings


class Direction(NamedTuple):
    """One direction of the cycle: the translator, its inverse, and frames of both domains, (N, 3·frames, H, W)."""

    translator: FrameMap
    inverse: FrameMap
    source: Tensor
    target: Tensor


class CycleGAN(UnpairedMethod):
    """The CycleGAN method. Losses of a step: gan, cycle, identity, steady, structure, and one per discriminator."""

    @staticmethod
    def own_weights(settings: TrainingSettings) -> dict[str, float]:
        """Return the weights of the cycle, identity and steadiness losses by name."""
        own_settings = settings.own(CycleGANSettings)
        return {
            "cycle": own_settings.lambda_cycle,
            "identity": own_settings.lambda_identity,
            "steady": own_settings.lambda_steady,
        }

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the method with its two translators and two discriminators, D_Y and D_X."""
        discriminators = {TARGET: setup.make_discriminator(3, 2), SOURCE: setup.make_discriminator(3, 3)}
        return cls(setup, cls.translators(setup), discriminators)

    @classmethod
    def translators(cls, setup: Setup) -> dict[str, nn.Module]:
        """Build the translators: G from X to Y as ``generator``, F from Y to X as ``reverse``."""
        return {"generator": setup.make_generator(), "reverse": setup.make_generator(1, reverse=True)}

    def translate(
        self, discriminator: str, x: Tensor, y: Tensor, random: torch.Generator, weights: Collection[str]
    ) -> Translation:
        """Return outputs and losses of the direction A to B, or B to A if ``discriminator`` is ``SOURCE``."""
        g, f = self.networks["generator"], self.networks["reverse"]
        look = self.encode_look(y[:, :3], random)
        direction = Direction(
            lambda frames: self.run(g, append_code_planes(frames, look)), lambda frames: self.run(f, frames), x, y
        )
        if discriminator == SOURCE:
            direction, look = Direction(direction.inverse, direction.translator, y, x), None
        fake = direction.translator(direction.source[:, :3])
        return Translation(self.losses(discriminator, direction, fake, random, weights), fake, look)

    def losses(
        self, discriminator: str, direction: Direction, fake: Tensor, random: torch.Generator, weights: Collection[str]
    ) -> dict[str, Tensor]:
        """Return the unweighted losses of one translator by name: of G if ``discriminator`` judges domain Y, else of F.

        The formulas are those of G; for F, the domains are exchanged. ``fake``: the translator's outputs. ``gan``:
        L_GAN(G, D_Y). Only if in ``weights``: ``cycle`` |F(G(x)) − x|, ``identity`` |G(y) − y|, ``steady``.
        """
        x, y = direction.source[:, :3], direction.target[:, :3]
        losses = {"gan": self.adversarial_loss(discriminator, fake)}
        if "cycle" in weights:
            losses["cycle"] = l1_distance(direction.inverse(fake), x)
        if "identity" in weights:
            losses["identity"] = l1_distance(direction.translator(y), y)
        if "steady" in weights:
            losses["steady"] = self.steadiness(direction.translator, direction.source, fake, random)
        return losses


def l1_distance(output: Tensor, target: Tensor) -> Tensor:
    """Return the mean absolute difference of two batches of pictures, a scalar."""
    return (output - target).abs().mean()
