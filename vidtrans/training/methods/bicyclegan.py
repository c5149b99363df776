"""BicycleGAN: many outputs from one input, learned from pairs.

Zhu et al., "Toward Multimodal Image-to-Image Translation", NeurIPS 2017. A style code selects the style of the output.
The code encoded from the target must reproduce the target (cVAE-GAN); a random code must be recoverable from the output
(cLR-GAN). One discriminator judges both kinds of outputs, as the authors' code does with ``use_same_D``. An optional
loss makes outputs of two random codes differ: Mao et al., "Mode Seeking Generative Adversarial Networks", CVPR 2019.
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
from vidtrans.training.methods.base import GeneratorOutput, MicroBatch, seed_random
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.picture_codes import diversity, latent_error, mode_seeking_loss
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import score

MODE_SEEKING = "two random codes"  # Text in a run's cache key if the mode-seeking loss is used.


@dataclass(frozen=True)
class CodedOutputs:
    """A generator's outputs: ``reconstructed`` with the target's style code, ``sampled`` with random ``codes``.

    Outputs are (N, 3, H, W), codes (N, size).

    ``target_codes``: the distribution of the target's codes. There is one random code, and with the
    mode-seeking loss a second one, which only this loss uses.
    """

    target_codes: CodeDistribution
    reconstructed: Tensor
    sampled: list[Tensor]
    codes: list[Tensor]

    def detach(self) -> CodedOutputs:
        """Return a copy with outputs without gradients; the style codes keep their gradients."""
        sampled = [output.detach() for output in self.sampled]
        return CodedOutputs(self.target_codes, self.reconstructed.detach(), sampled, self.codes)


class BicycleGAN(Pix2Pix):
    """The BicycleGAN method: a generator with style codes, an encoder of targets to codes, and D.

    A step updates D, then generator and encoder.
    """

    def __init__(self, *parts: Any, **others: Any) -> None:  # noqa: ANN401  (as Pix2Pix has them)
        super().__init__(*parts, **others)
        own_settings = self.settings.own(BicycleGANSettings)
        self.own_weights = {
            "drawn_gan": self.settings.weights["gan"],
            "latent": own_settings.lambda_latent,
            "kl": own_settings.lambda_kl,
            "mode_seeking": own_settings.lambda_mode_seeking,
        }
        self.columns = [*self.columns, *self.own_weights]

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return the identifier of the mode-seeking loss for the run's cache key; '' if the loss is off."""
        return MODE_SEEKING if settings.own(BicycleGANSettings).lambda_mode_seeking else ""

    @staticmethod
    def code_size(settings: TrainingSettings) -> int:
        """Return the size of the style code."""
        return settings.own(BicycleGANSettings).code_size

    @property
    def encoder(self) -> PictureEncoder:
        """Return the encoder of pictures to style codes, which is a module of the generator."""
        encoder: PictureEncoder = self.generator.encoder
        return encoder

    def _can_capture(self) -> bool:
        """Return False: steps cannot be replayed as CUDA graphs."""
        return False  # A replay would repeat the random codes, which the CPU draws.

    def _optimize(
        self, micro_batches: list[MicroBatch], earlier: PrecedingFrames | None, lr: float | Tensor, is_adversarial: bool
    ) -> tuple[Tensor, Tensor]:
        """Update D, if ``is_adversarial``, then generator and encoder.

        Return the losses in column order, and the outputs by the targets' codes.
        """
        del earlier
        self.generator.train()
        # A single micro-batch is computed once for both updates; several are computed twice, to save memory.
        once = self._forward_by_codes(micro_batches[0]) if len(micro_batches) == 1 else None
        totals = dict.fromkeys(self.columns, torch.zeros((), device=self.device.torch))
        if is_adversarial and self.d is not None:
            totals["discriminator"] = self.d.update(
                (self._discriminator_inputs(p, (once or self._forward_by_codes(p)).detach()) for p in micro_batches), lr
            )
        self.g.zero_grad()
        reconstructed = []
        for batch in micro_batches:
            outputs = once or self._forward_by_codes(batch)
            losses = self._losses(batch, outputs, is_adversarial)
            weights = self.loss.weights | self.own_weights
            self.g.backward(torch.stack([weights[name] * loss for name, loss in losses.items()]).sum() * batch.share)
            reconstructed.append(outputs.reconstructed.detach())
            for name, loss in losses.items():
                totals[name] = totals[name] + loss.detach() * batch.share
        self.g.optimizer_step(lr)
        return torch.stack([totals[name] for name in self.columns]), torch.cat(reconstructed)

    def _forward_by_codes(self, batch: MicroBatch) -> CodedOutputs:
        """Compute the outputs for the target's code and for random codes, in one pass of the generator."""
        random = torch.Generator().manual_seed(batch.seed or 0)
        seed_random(batch.seed or 0, self.device)  # Seeds the dropout.
        count = 3 if self.own_weights["mode_seeking"] else 2
        noise, *codes = (
            torch.randn((len(batch.x), self.encoder.size), generator=random).to(batch.x.device) for _ in range(count)
        )
        with self.g.autocast():
            target_codes = self.encoder.distribution(batch.y)
            planes = code_planes(torch.cat([target_codes.draw(noise), *codes]), *batch.x.shape[2:])
            output = self._generate(torch.cat([batch.x.repeat(count, 1, 1, 1), planes], 1)).float()
        reconstructed, *sampled = output.chunk(count)
        return CodedOutputs(target_codes, reconstructed, sampled, codes)

    def _discriminator_inputs(self, batch: MicroBatch, outputs: CodedOutputs) -> tuple[Tensor, Tensor, float]:
        """Return D's fake inputs (outputs of target codes, then of random codes), its real inputs, and the share."""
        fake = [self._with_input(batch.x, output) for output in (outputs.reconstructed, outputs.sampled[0])]
        return torch.cat(fake), self._with_input(batch.x, batch.y), batch.share

    def _losses(self, batch: MicroBatch, outputs: CodedOutputs, is_adversarial: bool) -> dict[str, Tensor]:
        """Return the unweighted losses of generator and encoder by name; ``is_adversarial``: with those that use D."""
        output = GeneratorOutput(outputs.reconstructed, outputs.reconstructed)
        losses = self.loss(self._context(batch, output, is_adversarial))
        if is_adversarial:
            losses["drawn_gan"] = generator_loss(self.objective, self._judge(batch.x, outputs.sampled[0]))
        with self.g.autocast():
            losses["latent"] = latent_error(self.encoder, outputs.sampled[0], outputs.codes[0])
        losses["kl"] = outputs.target_codes.divergence()
        if self.own_weights["mode_seeking"]:
            losses["mode_seeking"] = mode_seeking_loss(*outputs.sampled, *outputs.codes)
        return losses

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return the scores of held-out pairs, each rendered with its target's style code, and of diversity."""
        return score(engine, pairing, pairs) | {"diversity": diversity(engine, pairing, pairs)}
