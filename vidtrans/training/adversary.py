"""A discriminator that learns: D of pix2pix, which judges pictures, and D_V of vid2vid, which judges three in a row."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import torch
from torch import Tensor

from vidtrans.training import ADVERSARIAL
from vidtrans.training.learner import Learner, autocast
from vidtrans.training.losses.adversarial import Adversarial, discriminator_loss
from vidtrans.training.losses.base import Judgement


class Adversary(Learner):
    """A discriminator with its optimizer. ``network`` offers ``judge``, see ``networks``."""

    @cached_property
    def objective(self) -> Adversarial:
        """Return what both networks minimise, as ``training.gan_mode`` names it."""
        objective: Adversarial = ADVERSARIAL.load(self.settings.gan_mode)
        return objective

    def judge(self, *pictures: Tensor) -> list[Judgement]:
        """Return what it says of each (N, C, H, W). Its weights are cast once for all of them."""
        with autocast(self.device, self.precision):
            return [self.network.judge(picture) for picture in pictures]

    def update(self, pairs: Iterable[tuple[Tensor, Tensor, float]], lr: float) -> Tensor:
        """Learn to tell fake from real: max log D(real) + log(1 − D(fake)), or another objective's loss.

        Args:
            pairs: Fake, real, and what share of the step's loss these make up.
            lr: The learning rate.

        Returns:
            The loss of the step, a scalar.
        """
        self.network.train().requires_grad_(True)
        self.zero_grad()
        total = torch.zeros((), device=self.device.torch)
        for fake, real, share in pairs:
            on_fake, on_real = self.judge(fake, real)
            loss = discriminator_loss(self.objective, on_fake, on_real) * share
            self.backward(loss)
            total += loss.detach()
        self.optimizer_step(lr)
        self.network.requires_grad_(False)  # G is to learn by it, and leave it as it is
        return total
