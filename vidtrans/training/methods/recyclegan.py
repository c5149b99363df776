"""Recycle-GAN: the cycle goes through time.

Bansal et al., "Recycle-GAN: Unsupervised Video Retargeting", ECCV 2018. A predictor in each domain makes a frame of the
two before it: P_X of x(t−2) and x(t−1) is x(t), and the outputs G(x(t−2)) and G(x(t−1)), predicted in Y and brought
back by F, are x(t) too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from vidtrans.networks.translator import Translator, TranslatorSettings
from vidtrans.training.methods.base import Setup
from vidtrans.training.methods.cyclegan import CycleGAN, apart
from vidtrans.training.methods.unpaired import Translation, by_look
from vidtrans.training.settings import TrainingSettings

Translate = Callable[[Tensor], Tensor]


class RecycleGAN(CycleGAN):
    """The columns: gan, recycle, prediction, cycle, identity, steady, and both discriminators."""

    weight_settings: ClassVar[Mapping[str, str]] = {
        "recycle": "lambda_recycle",
        "prediction": "lambda_prediction",
        **CycleGAN.weight_settings,
    }

    @classmethod
    def translators(cls, setup: Setup) -> dict[str, nn.Module]:
        """Build G and F, P_X and P_Y."""
        width = setup.settings.method_settings["predictor_channels"]
        found = super().translators(setup)
        for number, name in ((4, "source_predictor"), (5, "predictor")):
            found[name] = Translator(6, 3, TranslatorSettings(channels=width))
            setup.initialise(found[name], number)
        return found

    @staticmethod
    def num_frames(settings: TrainingSettings) -> int:
        """Return 3: a frame, and the two that it is predicted from."""
        del settings
        return 3

    def translate(self, x: Tensor, y: Tensor, random: torch.Generator, weights: Collection[str]) -> Translation:
        """Add min |P_X(x(t−2), x(t−1)) − x(t)| and |F(P_Y(G(x(t−2)), G(x(t−1)))) − x(t)|, and the same from Y."""
        cycled = super().translate(x, y, random, weights)
        names = ("generator", "reverse", "source_predictor", "predictor")
        g, f, p_x, p_y = (self.networks[name] for name in names)
        prediction = apart(self.run(p_x, x[:, 3:9]), x[:, :3]) + apart(self.run(p_y, y[:, 3:9]), y[:, :3])
        look = cycled.look
        paint = lambda frames: self.run(g, by_look(frames, look))  # noqa: E731
        erase = lambda frames: self.run(f, frames)  # noqa: E731
        recycle = self._recycled(x, paint, p_y, erase) + self._recycled(y, erase, p_x, paint)
        return Translation(cycled.losses | {"recycle": recycle, "prediction": prediction}, cycled.fakes, look)

    def _recycled(self, frames: Tensor, there: Translate, predict: nn.Module, back: Translate) -> Tensor:
        """Return how far a frame is from the two before it, translated, predicted there, and brought back."""
        both = torch.cat([there(frames[:, 3:6]), there(frames[:, 6:9])], 1)
        return apart(back(self.run(predict, both)), frames[:, :3])
