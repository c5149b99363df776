"""The adversarial loss with the objective of ``training.gan_mode``."""

from __future__ import annotations

from torch import Tensor

from vidtrans.training import ADVERSARIAL
from vidtrans.training.losses.adversarial import generator_loss
from vidtrans.training.losses.base import LossContext, Term
from vidtrans.training.settings import TrainingSettings


class GAN(Term):
    """The adversarial loss of G: −log D(x, G(x)), or that of another objective."""

    uses_discriminator = True

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(settings)
        self.objective = ADVERSARIAL.load(settings.gan_mode)

    def forward(self, step: LossContext) -> Tensor | None:
        return generator_loss(self.objective, step.on_fake)
