"""pix2pix: conditional GAN plus λ·L1.

Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017. Follows the paper:
G maps x to y, D judges (x, y) against (x, G(x)).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from vidtrans.flow.history import CHANNELS
from vidtrans.inference.device import Device, tensor_float32, to_device
from vidtrans.networks.init import inner_generator
from vidtrans.networks.wrappers import RecurrentGenerator
from vidtrans.training import ADVERSARIAL, LOSSES, health
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.losses.base import TRIPLE_CHANNELS, GeneratorLoss, Judgement, LossContext, PrecedingFrames
from vidtrans.training.losses.rarity import weigh
from vidtrans.training.methods.base import (
    SEED_STRIDE,
    MicroBatch,
    Picture,
    Setup,
    TrainingMethod,
    TrainingStep,
    freeze,
    seed_random,
    share_triples,
    split,
    training_step,
)
from vidtrans.training.methods.network_trainer import (
    Body,
    CapturedStep,
    DiscriminatorTrainer,
    NetworkTrainer,
    TrainingPrecision,
    WeightAverage,
    autocast,
)
from vidtrans.training.settings import TrainingSettings


class Pix2Pix(TrainingMethod):
    """The pix2pix method: G and D, each with its optimizer. A step updates D, then G.

    ``rarity``: the colour weights of ``losses.rarity``, or None. ``of_triples``: temporal discriminator D_V, or None.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        settings: TrainingSettings,
        device: Device,
        precision: TrainingPrecision,
        rarity: Tensor | None = None,
        dist: DistContext = SINGLE_PROCESS,
        of_triples: nn.Module | None = None,
    ) -> None:
        self.use(settings, device, precision, dist)
        self.is_recurrent = isinstance(generator, RecurrentGenerator)
        freeze(inner_generator(generator), settings.freeze)
        networks = {"generator": generator, "discriminator": discriminator, "temporal_discriminator": of_triples}
        self.networks = {name: self.place(network) for name, network in networks.items() if network is not None}
        self.generator, self.discriminator = self.networks["generator"], self.networks.get("discriminator")
        run = (settings, device, precision, dist)
        self.g = NetworkTrainer(self.generator, *run)
        discriminators = {
            name: DiscriminatorTrainer(n, *run) for name, n in self.networks.items() if name != "generator"
        }
        self.d, self.d_v = (discriminators.get(name) for name in ("discriminator", "temporal_discriminator"))
        self.objective = ADVERSARIAL.load(settings.gan_mode)
        self.loss: GeneratorLoss = self.place(GeneratorLoss(settings))
        self.rarity = None if rarity is None or not settings.colour_rebalancing else rarity.to(device.torch)
        self.average = WeightAverage(self.generator, settings.ema_decay) if settings.ema_decay else None
        self.captured = CapturedStep(self._tensors, device.torch) if self._can_capture() else None
        # A float32 on CUDA in any case, so that a replayed step and another one are equal.
        self._rate = torch.zeros((), device=device.torch) if device.kind == "cuda" else None
        self.variation_tracker = health.OutputVariation()
        first = [name for name in self.loss.weights if LOSSES[name].reported]
        others = [name for name in self.loss.weights if name not in first]
        self.columns = [*first, "discriminator", *others, *(["temporal_discriminator"] if self.d_v else [])]

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build the networks and the method."""
        settings = setup.settings
        generator, d, d_v = setup.make_generator(), None, None
        if settings.weights["gan"]:
            d = setup.make_discriminator(3 + (setup.in_channels if settings.conditional else 0), 1)
        if settings.weights["temporal_gan"]:
            d_v = setup.make_discriminator(TRIPLE_CHANNELS, 2)
        return cls(generator, d, settings, setup.device, setup.precision, setup.find_rarity(), setup.dist, d_v)

    @property
    def balance(self) -> float | None:
        """Return D's loss when it cannot tell fake from real; None without D."""
        return self.objective.balance if self.discriminator is not None else None

    def _can_capture(self) -> bool:
        """Return whether steps can be captured: one micro-batch in one process, not recurrent, on CUDA, not fp16."""
        settings = self.settings
        is_plain = settings.grad_accum_steps == 1 and not self.is_recurrent and self.dist.size == 1
        return settings.cuda_graph and self.device.kind == "cuda" and is_plain and self.precision != "fp16"

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        """Update D, then G. Discriminators are used from the share ``settings.gan_start`` of the run on."""
        judged = self.d is not None and step.progress >= self.settings.gan_start
        seed = step.seed + SEED_STRIDE * self.dist.rank
        with training_step(self.device, self.nondeterministic), tensor_float32(self.precision):
            x, y = self.upload(step.inputs, step.targets)
            weights = None if step.weights is None else to_device(step.weights, self.device)
            lr: float | Tensor = step.lr if self._rate is None else self._rate.fill_(step.lr)
            if self.captured:
                given = (x, y) if weights is None else (x, y, weights)
                body: Body = lambda x, y, w=None: self._optimize([MicroBatch(x, y, 1.0, None, w)], None, lr, judged)  # noqa: E731
                row, self.painted = self.captured(judged, body, given, seed)
            else:
                parts = split(x, y, weights, self.settings.grad_accum_steps, seed)
                row, self.painted = self._optimize(parts, step.earlier, lr, judged)
            self.variation_tracker.add(self.painted, y)
            if self.average:
                self.average.update()
            # One transfer a step: each one waits for the device to finish.
            return dict(zip(self.columns, row.tolist(), strict=True))

    def _optimize(
        self, parts: list[MicroBatch], earlier: PrecedingFrames | None, lr: float | Tensor, judged: bool
    ) -> tuple[Tensor, Tensor]:
        """Update D and D_V, if ``judged``, and G; return the losses in column order, and G's outputs."""
        self.generator.train()
        has_triples = judged and self._share_triples(parts, earlier)
        if len(parts) == 1:
            # One pass serves both updates. Several parts are painted twice, to hold one in memory at a time.
            parts[0].picture = self._forward(parts[0])
        none = torch.zeros((), device=self.device.torch)
        loss_d = self._optimize_d(parts, lr) if judged else none
        loss_d_v = self._optimize_d_v(parts, lr) if has_triples else none
        losses, painted = self._optimize_g(parts, lr, judged)
        losses |= {"discriminator": loss_d, "temporal_discriminator": loss_d_v}
        return torch.stack([losses[name] for name in self.columns]), painted

    def _share_triples(self, parts: list[MicroBatch], earlier: PrecedingFrames | None) -> bool:
        """Assign its preceding frames to each part. Return whether any process has triples in this step."""
        if self.d_v is None:
            return False
        count = self.dist.mean([float(len(earlier.rows)) if earlier else 0.0])[0]
        if earlier:
            share_triples(parts, earlier, count, self.layout)
        return count > 0

    def _forward(self, part: MicroBatch) -> Picture:
        """Compute G(x), with the same dropout every time."""
        if part.seed is not None:
            seed_random(part.seed, self.device)
        with self.g.autocast():
            if isinstance(self.generator, RecurrentGenerator):
                output, repainted = self.generator.forward_with_repaint(part.x)
                painted = repainted.float()
                return Picture(painted if output is repainted else output.float(), painted)
            fake = self._generate(part.x).float()
        return Picture(fake, fake)

    @cached_property
    def _generate(self) -> Callable[[Tensor], Tensor]:
        return self.g.compiled(self.generator)

    def _optimize_d(self, parts: list[MicroBatch], lr: float | Tensor) -> Tensor:
        """Maximise ½ (log D(x, y) + log(1 − D(x, G(x)))), halved to slow D, or another objective; return D's loss."""
        assert self.d is not None
        pair = self._with_input
        return self.d.update(((pair(p.x, self._detached(p).painted), pair(p.x, p.y), p.share) for p in parts), lr)

    def _optimize_d_v(self, parts: list[MicroBatch], lr: float | Tensor) -> Tensor:
        """Update the temporal discriminator with the batch's triples, and return its loss."""
        assert self.d_v is not None
        triples = ((p, p.earlier) for p in parts if p.earlier)
        return self.d_v.update(((e.fake(self._detached(p).output), e.real(p.y), e.share) for p, e in triples), lr)

    def _optimize_g(
        self, parts: list[MicroBatch], lr: float | Tensor, judged: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Maximise log D(x, G(x)) and minimise λ·|y − G(x)|, with the other losses of the settings.

        Return the losses, and G's outputs.
        """
        self.g.zero_grad()
        totals = {name: torch.zeros((), device=self.device.torch) for name in self.loss.weights}
        painted = []
        for part in parts:
            picture = self._forward(part) if part.picture is None else part.picture
            painted.append(picture.output.detach())
            losses = self.loss(self._context(part, picture, judged))
            self.g.backward(self.loss.total(losses) * part.share)
            for name, loss in losses.items():
                totals[name] += loss.detach() * part.share
        self.g.optimizer_step(lr)
        return totals, torch.cat(painted)

    def _context(self, part: MicroBatch, picture: Picture, judged: bool) -> LossContext:
        """Return the inputs of the loss terms."""
        weights = part.weights
        if self.rarity is not None:
            rare = weigh(part.y, self.rarity)
            weights = rare if weights is None else weights * rare
        return LossContext(
            part.x,
            part.y,
            picture.painted,
            picture.output,
            share=part.share,
            judge=partial(self._judge, part.x) if judged else None,
            judge_triples=self._judge_triples if self.d_v else None,
            pixel_weights=weights,
            past=None if picture.output is picture.painted else part.x[:, -CHANNELS:],
            earlier=part.earlier,
            autocast=partial(autocast, self.device, self.precision),
        )

    def _judge(self, x: Tensor, picture: Tensor) -> Judgement:
        """Return D's output for a picture, given x if D is conditional."""
        assert self.d is not None
        return self.d.judge(self._with_input(x, picture))[0]

    def _judge_triples(self, frames: Tensor) -> Judgement:
        assert self.d_v is not None
        return self.d_v.judge(frames)[0]

    def _with_input(self, x: Tensor, picture: Tensor) -> Tensor:
        """Return D's input without the history, in which D would detect copied pixels, so that G would copy none."""
        x = x[:, :-CHANNELS] if self.is_recurrent else x
        return torch.cat([x, picture], 1) if self.settings.conditional else picture

    @torch.no_grad()
    def _detached(self, part: MicroBatch) -> Picture:
        """Return G(x) without its graph."""
        if part.detached is None:
            part.detached = self._forward(part) if part.picture is None else part.picture.detach()
        return part.detached

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state; CUDA graphs are recorded again."""
        super().restore(state)
        if self.captured:
            self.captured.forget()

    def _tensors(self) -> list[Tensor]:
        """Return the tensors that a replayed step changes; the average of the weights is updated after the replay."""
        return [t for trainer in (self.g, self.d) if trainer for t in trainer.tensors()]

    @property
    def learners(self) -> dict[str, NetworkTrainer | WeightAverage]:
        """Return the networks with their optimizers, and the average."""
        parts = {"generator": self.g, "discriminator": self.d, "temporal_gan": self.d_v, "average": self.average}
        return {name: part for name, part in parts.items() if part is not None}

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return the losses for the progress line."""
        return f"G {losses['gan']:.2f}  L1 {losses['l1']:.3f}  D {losses['discriminator']:.2f}"

    def concerns(self, rows: Sequence[Sequence[float]], total: int) -> list[str]:
        """Return warnings if D has won, if G has collapsed, or if steps cannot be replayed."""
        judged: list[float] = []
        if self.discriminator is not None:
            began = math.ceil(self.settings.gan_start * total)  # before that, D's loss is 0
            at = self.columns.index("discriminator")
            judged = [row[at] for row in rows[began:][-health.WINDOW :]]
        found = health.concerns(judged, self.objective.balance, self.variation_tracker.variation())
        if self.captured and self.captured.refusal:
            found.append(f"steps are not replayed as a CUDA graph, so they take longer: {self.captured.refusal}")
        return found
