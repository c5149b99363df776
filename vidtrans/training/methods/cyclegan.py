"""CycleGAN: two translators, each of which undoes the other.

Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017. Reads like the
paper: G maps x to y, F maps y to x; D_Y judges G(x), D_X judges F(y).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from vidtrans.training.methods.base import Setup
from vidtrans.training.methods.unpaired import SOURCE, TARGET, Translation, UnpairedMethod, by_look


class CycleGAN(UnpairedMethod):
    """The columns: gan, cycle, identity, steady, and both discriminators."""

    weight_settings: ClassVar[Mapping[str, str]] = {
        "cycle": "lambda_cycle",
        "identity": "lambda_identity",
        "steady": "lambda_steady",
    }

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the translators, D_Y and D_X."""
        judges = {TARGET: setup.make_discriminator(3, 2), SOURCE: setup.make_discriminator(3, 3)}
        return cls(setup, cls.translators(setup), judges)

    @classmethod
    def translators(cls, setup: Setup) -> dict[str, nn.Module]:
        """Build G and F."""
        return {"generator": setup.make_generator(), "reverse": setup.make_generator(1, reverse=True)}

    def translate(self, x: Tensor, y: Tensor, random: torch.Generator, weights: Collection[str]) -> Translation:
        """Take min L_GAN(G, D_Y) + L_GAN(F, D_X) + λ·(|F(G(x)) − x| + |G(F(y)) − y|), and what else is weighed."""
        now_x, now_y = x[:, :3], y[:, :3]
        g, f = self.networks["generator"], self.networks["reverse"]
        look = self.look_of(now_y, random)
        fake_y, fake_x = self.run(g, by_look(now_x, look)), self.run(f, now_y)
        losses = {"gan": self.judged(TARGET, fake_y) + self.judged(SOURCE, fake_x)}
        if "cycle" in weights:
            losses["cycle"] = apart(self.run(f, fake_y), now_x) + apart(self.run(g, by_look(fake_x, look)), now_y)
        if "identity" in weights:
            losses["identity"] = apart(self.run(g, by_look(now_y, look)), now_y) + apart(self.run(f, now_x), now_x)
        if "steady" in weights:
            losses["steady"] = self.steadiness(g, x, fake_y, random, look) + self.steadiness(f, y, fake_x, random)
        return Translation(losses, {TARGET: fake_y, SOURCE: fake_x}, look)


def apart(output: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference of pictures."""
    return (output - wanted).abs().mean()
