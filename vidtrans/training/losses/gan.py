"""The adversarial loss, in the form that ``training.gan_mode`` names."""

from __future__ import annotations

from torch import Tensor

from vidtrans.training import ADVERSARIAL
from vidtrans.training.losses.adversarial import generator_loss
from vidtrans.training.losses.base import LossContext, Term
from vidtrans.training.settings import TrainingSettings


class GAN(Term):
    """The adversarial loss of G: −log D(x, G(x)), or that of another objective."""

    ask_d = True

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__(settings)
        self.objective = ADVERSARIAL.load(settings.gan_mode)

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the loss, an unweighted scalar."""
        return generator_loss(self.objective, step.on_fake)
