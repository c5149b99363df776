"""Recycle-GAN: CycleGAN with an additional cycle through time, over three consecutive frames.

Bansal et al., "Recycle-GAN: Unsupervised Video Retargeting", ECCV 2018. A predictor in each domain computes a frame
from the two preceding frames: P_X of x(t−2) and x(t−1) is x(t); and the prediction in Y from G(x(t−2)) and G(x(t−1)),
mapped back by F, is x(t) too.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from vidtrans.networks.translator import Translator, TranslatorSettings
from vidtrans.training import RecycleGANSettings
from vidtrans.training.methods.base import Setup
from vidtrans.training.methods.cyclegan import CycleGAN, Direction, l1_distance
from vidtrans.training.methods.unpaired_method import TARGET
from vidtrans.training.settings import TrainingSettings


class RecycleGAN(CycleGAN):
    """The Recycle-GAN method. Losses of a step: gan, recycle, prediction, and the losses of CycleGAN."""

    @staticmethod
    def own_weights(settings: TrainingSettings) -> dict[str, float]:
        """Return the weights of the recycle and prediction losses, and of CycleGAN's losses, by name."""
        own_settings = settings.own(RecycleGANSettings)
        paper = {"recycle": own_settings.lambda_recycle, "prediction": own_settings.lambda_prediction}
        return paper | CycleGAN.own_weights(settings)

    @classmethod
    def translators(cls, setup: Setup) -> dict[str, nn.Module]:
        """Build the translators G and F, and the frame predictors P_X (``source_predictor``), P_Y (``predictor``)."""
        width = setup.settings.own(RecycleGANSettings).predictor_channels
        networks = super().translators(setup)
        for number, name in ((4, "source_predictor"), (5, "predictor")):
            networks[name] = Translator(6, 3, TranslatorSettings(channels=width, norm="instance"))
            setup.initialise(networks[name], number)
        return networks

    @staticmethod
    def num_frames(settings: TrainingSettings) -> int:
        """Return 3: a frame, and the two preceding frames that predict it."""
        del settings
        return 3

    def losses(
        self, discriminator: str, direction: Direction, fake: Tensor, random: torch.Generator, weights: Collection[str]
    ) -> dict[str, Tensor]:
        """Return CycleGAN's losses, and the losses ``prediction`` and ``recycle``; for the arguments see ``CycleGAN``.

        ``prediction``: |P_X(x(t−2), x(t−1)) − x(t)|. ``recycle``: |F(P_Y(G(x(t−2)), G(x(t−1)))) − x(t)|.
        """
        losses = super().losses(discriminator, direction, fake, random, weights)
        names = ("source_predictor", "predictor") if discriminator == TARGET else ("predictor", "source_predictor")
        own_predictor, other_predictor = (self.networks[name] for name in names)
        current, earlier = direction.source[:, :3], direction.source[:, 3:9]
        translated = torch.cat([direction.translator(frame) for frame in earlier.split(3, 1)], 1)
        losses["prediction"] = l1_distance(self.run(own_predictor, earlier), current)
        losses["recycle"] = l1_distance(direction.inverse(self.run(other_predictor, translated)), current)
        return losses
