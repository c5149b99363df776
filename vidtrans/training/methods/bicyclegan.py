"""BicycleGAN: many looks from one input, learned from pairs.

Zhu et al., "Toward Multimodal Image-to-Image Translation", NeurIPS 2017. A code selects the look. The code encoded from
the target must reproduce the target (cVAE-GAN); a random code must be recoverable from the output (cLR-GAN). One
discriminator judges both, as their code does with ``use_same_D``. An optional loss makes outputs of two random codes
differ: Mao et al., "Mode Seeking Generative Adversarial Networks", CVPR 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.engine import Engine
from vidtrans.networks.picture_encoder import CodeDistribution, PictureEncoder, code_planes
from vidtrans.pairing.base import Pairing
from vidtrans.training import BicycleGANSettings
from vidtrans.training.losses.adversarial import generator_loss
from vidtrans.training.losses.base import PrecedingFrames
from vidtrans.training.methods.base import MicroBatch, Picture, seed_random
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.picture_codes import diversity, latent_error, mode_seeking_loss
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import score

MODE_SEEKING = "two random codes"  # What the mode-seeking loss compares; another loss is another run.


@dataclass(frozen=True)
class Looks:
    """Outputs: ``like`` by codes of the targets, drawn from ``found``; ``drawn`` by random ``codes``, (N, size) each.

    There are two random codes with the mode-seeking loss, otherwise one. The second is used by that loss only.
    """

    found: CodeDistribution
    like: Tensor
    drawn: list[Tensor]
    codes: list[Tensor]

    def detach(self) -> Looks:
        """Return a copy with detached pictures."""
        return Looks(self.found, self.like.detach(), [picture.detach() for picture in self.drawn], self.codes)


class BicycleGAN(Pix2Pix):
    """A coded generator with its encoder, and D. A step updates D, then generator and encoder together."""

    def __init__(self, *parts: Any, **others: Any) -> None:  # noqa: ANN401  (as Pix2Pix has them)
        super().__init__(*parts, **others)
        own = self.settings.own(BicycleGANSettings)
        self.own_weights = {
            "drawn_gan": self.settings.weights["gan"],
            "latent": own.lambda_latent,
            "kl": own.lambda_kl,
            "mode_seeking": own.lambda_mode_seeking,
        }
        self.columns = [*self.columns, *self.own_weights]

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the identifier of the mode-seeking loss, '' if it is off."""
        return MODE_SEEKING if settings.own(BicycleGANSettings).lambda_mode_seeking else ""

    @staticmethod
    def code_size(settings: TrainingSettings) -> int:
        """Return the size of a code."""
        return settings.own(BicycleGANSettings).code_size

    @property
    def encoder(self) -> PictureEncoder:
        """Return the encoder of pictures to codes, a part of the generator."""
        encoder: PictureEncoder = self.generator.encoder
        return encoder

    def _can_capture(self) -> bool:
        return False  # its codes are drawn by a generator of their own

    def _optimize(
        self, parts: list[MicroBatch], earlier: PrecedingFrames | None, lr: float | Tensor, judged: bool
    ) -> tuple[Tensor, Tensor]:
        """Update the networks; return the losses in column order, and the outputs by the targets' codes."""
        del earlier
        self.generator.train()
        # One pass serves both updates. Several parts are painted twice, to hold one in memory at a time.
        once = self._forward_by_codes(parts[0]) if len(parts) == 1 else None
        totals = dict.fromkeys(self.columns, torch.zeros((), device=self.device.torch))
        if judged and self.d is not None:
            totals["discriminator"] = self.d.update(
                (self._judged(p, (once or self._forward_by_codes(p)).detach()) for p in parts), lr
            )
        self.g.zero_grad()
        painted = []
        for part in parts:
            looks = once or self._forward_by_codes(part)
            losses = self._losses(part, looks, judged)
            weights = self.loss.weights | self.own_weights
            self.g.backward(torch.stack([weights[name] * loss for name, loss in losses.items()]).sum() * part.share)
            painted.append(looks.like.detach())
            for name, loss in losses.items():
                totals[name] = totals[name] + loss.detach() * part.share
        self.g.optimizer_step(lr)
        return torch.stack([totals[name] for name in self.columns]), torch.cat(painted)

    def _forward_by_codes(self, part: MicroBatch) -> Looks:
        """Generate outputs for the target's code and for random codes, in one pass."""
        random = torch.Generator().manual_seed(part.seed or 0)
        seed_random(part.seed or 0, self.device)  # dropout
        count = 3 if self.own_weights["mode_seeking"] else 2
        noise, *drawn = (
            torch.randn((len(part.x), self.encoder.size), generator=random).to(part.x.device) for _ in range(count)
        )
        with self.g.autocast():
            found = self.encoder.distribution(part.y)
            planes = code_planes(torch.cat([found.draw(noise), *drawn]), *part.x.shape[2:])
            painted = self._generate(torch.cat([part.x.repeat(count, 1, 1, 1), planes], 1)).float()
        like, *pictures = painted.chunk(count)
        return Looks(found, like, pictures, drawn)

    def _judged(self, part: MicroBatch, looks: Looks) -> tuple[Tensor, Tensor, float]:
        """Return D's inputs: the outputs by the target's code and by a random one, the target, and the part's share."""
        fake = [self._with_input(part.x, picture) for picture in (looks.like, looks.drawn[0])]
        return torch.cat(fake), self._with_input(part.x, part.y), part.share

    def _losses(self, part: MicroBatch, looks: Looks, judged: bool) -> dict[str, Tensor]:
        """Return the unweighted losses of generator and encoder."""
        losses = self.loss(self._context(part, Picture(looks.like, looks.like), judged))
        if judged:
            losses["drawn_gan"] = generator_loss(self.objective, self._judge(part.x, looks.drawn[0]))
        with self.g.autocast():
            losses["latent"] = latent_error(self.encoder, looks.drawn[0], looks.codes[0])
        losses["kl"] = looks.found.divergence()
        if self.own_weights["mode_seeking"]:
            losses["mode_seeking"] = mode_seeking_loss(*looks.drawn, *looks.codes)
        return losses

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return scores of held-out pairs, each rendered with its target's code, and the diversity of looks."""
        return score(engine, pairing, pairs) | {"diversity": diversity(engine, pairing, pairs)}
