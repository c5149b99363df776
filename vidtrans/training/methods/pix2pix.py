"""The pix2pix method: a conditional GAN plus λ·L1.

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
from vidtrans.training.losses.base import (
    TRIPLE_CHANNELS,
    DiscriminatorOutput,
    GeneratorLoss,
    LossContext,
    PrecedingFrames,
)
from vidtrans.training.losses.rarity import weigh
from vidtrans.training.methods.base import (
    SEED_STRIDE,
    GeneratorOutput,
    MicroBatch,
    Setup,
    TrainingMethod,
    TrainingStep,
    assign_triples,
    freeze,
    seed_random,
    split,
    training_step,
)
from vidtrans.training.methods.network_trainer import (
    CapturedStep,
    DiscriminatorTrainer,
    NetworkTrainer,
    TrainingPrecision,
    WeightAverage,
    autocast,
)
from vidtrans.training.settings import TrainingSettings


class Pix2Pix(TrainingMethod):
    """The pix2pix method: generator G and discriminator D, each with its optimizer. A step updates D, then G.

    ``rarity``: the colour weights from ``losses.rarity``, or None. ``temporal_discriminator``: D_V, or None.
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
        temporal_discriminator: nn.Module | None = None,
    ) -> None:
        self.configure(settings, device, precision, dist)
        self.is_recurrent = isinstance(generator, RecurrentGenerator)
        freeze(inner_generator(generator), settings.freeze)
        networks = {
            "generator": generator,
            "discriminator": discriminator,
            "temporal_discriminator": temporal_discriminator,
        }
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
        # On CUDA the learning rate is a float32 tensor even without replays, which makes results equal to a replay's.
        self._rate = torch.zeros((), device=device.torch) if device.kind == "cuda" else None
        self.variation_tracker = health.OutputVariation()
        first = [name for name in self.loss.weights if LOSSES[name].reported]
        others = [name for name in self.loss.weights if name not in first]
        self.columns = [*first, "discriminator", *others, *(["temporal_discriminator"] if self.d_v else [])]

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build G, and D and the temporal discriminator if their losses have weights."""
        settings = setup.settings
        generator, d, d_v = setup.make_generator(), None, None
        if settings.weights["gan"]:
            d = setup.make_discriminator(3 + (setup.in_channels if settings.conditional else 0), 1)
        if settings.weights["temporal_gan"]:
            d_v = setup.make_discriminator(TRIPLE_CHANNELS, 2)
        return cls(generator, d, settings, setup.device, setup.precision, setup.find_rarity(), setup.dist, d_v)

    @property
    def balance(self) -> float | None:
        """Return D's loss when D cannot tell fake from real; None without D."""
        return self.objective.balance if self.discriminator is not None else None

    def _can_capture(self) -> bool:
        """Return whether steps can be CUDA graphs: one micro-batch in one process, not recurrent, on CUDA, not fp16."""
        settings = self.settings
        is_single_pass = settings.grad_accum_steps == 1 and not self.is_recurrent and self.dist.size == 1
        return settings.cuda_graph and self.device.kind == "cuda" and is_single_pass and self.precision != "fp16"

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        """Update D, then G. Discriminators are used after the share ``settings.gan_start`` of the run."""
        is_adversarial = self.d is not None and step.progress >= self.settings.gan_start
        seed = step.seed + SEED_STRIDE * self.dist.rank
        with training_step(self.device, self.nondeterministic), tensor_float32(self.precision):
            x, y = self.upload(step.inputs, step.targets)
            weights = None if step.weights is None else to_device(step.weights, self.device)
            lr: float | Tensor = step.lr if self._rate is None else self._rate.fill_(step.lr)
            if self.captured:
                tensors = (x, y) if weights is None else (x, y, weights)

                def body(x: Tensor, y: Tensor, w: Tensor | None = None) -> tuple[Tensor, Tensor]:
                    """Take the step for inputs ``x``, targets ``y`` and pixel weights ``w``.

                    Return losses and outputs.
                    """
                    return self._optimize([MicroBatch(x, y, 1.0, None, w)], None, lr, is_adversarial)

                row, self.last_outputs = self.captured(is_adversarial, body, tensors, seed)
            else:
                micro_batches = split(x, y, weights, self.settings.grad_accum_steps, seed)
                row, self.last_outputs = self._optimize(micro_batches, step.earlier, lr, is_adversarial)
            self.variation_tracker.add(self.last_outputs, y)
            if self.average:
                self.average.update()
            # All losses are moved to the CPU in one transfer, since each transfer waits for the device to finish.
            return dict(zip(self.columns, row.tolist(), strict=True))

    def _optimize(
        self, micro_batches: list[MicroBatch], earlier: PrecedingFrames | None, lr: float | Tensor, is_adversarial: bool
    ) -> tuple[Tensor, Tensor]:
        """Update D and the temporal discriminator D_V, if ``is_adversarial``; then update G.

        Return the losses in column order, and G's outputs.
        """
        self.generator.train()
        has_triples = is_adversarial and self._assign_triples(micro_batches, earlier)
        if len(micro_batches) == 1:
            # A single micro-batch is computed once for both updates; several are computed twice, to save memory.
            micro_batches[0].output = self._forward(micro_batches[0])
        zero = torch.zeros((), device=self.device.torch)
        loss_d = self._optimize_d(micro_batches, lr) if is_adversarial else zero
        loss_d_v = self._optimize_d_v(micro_batches, lr) if has_triples else zero
        losses, outputs = self._optimize_g(micro_batches, lr, is_adversarial)
        losses |= {"discriminator": loss_d, "temporal_discriminator": loss_d_v}
        return torch.stack([losses[name] for name in self.columns]), outputs

    def _assign_triples(self, micro_batches: list[MicroBatch], earlier: PrecedingFrames | None) -> bool:
        """Give micro-batches their preceding frames; return whether a process has triples of frames in this step."""
        if self.d_v is None:
            return False
        count = self.dist.mean([float(len(earlier.rows)) if earlier else 0.0])[0]
        if earlier:
            assign_triples(micro_batches, earlier, count, self.layout)
        return count > 0

    def _forward(self, batch: MicroBatch) -> GeneratorOutput:
        """Compute G(x) with the micro-batch's dropout seed, so that a repeated call gives the same output."""
        if batch.seed is not None:
            seed_random(batch.seed, self.device)
        with self.g.autocast():
            if isinstance(self.generator, RecurrentGenerator):
                output, raw = self.generator.forward_with_repaint(batch.x)
                raw_output = raw.float()
                return GeneratorOutput(raw_output if output is raw else output.float(), raw_output)
            fake = self._generate(batch.x).float()
        return GeneratorOutput(fake, fake)

    @cached_property
    def _generate(self) -> Callable[[Tensor], Tensor]:
        """Return the generator as a function, compiled if ``training.compile`` is set."""
        return self.g.maybe_compile(self.generator)

    def _optimize_d(self, micro_batches: list[MicroBatch], lr: float | Tensor) -> Tensor:
        """Update D by maximising ½ (log D(x, y) + log(1 − D(x, G(x)))), or another objective; return D's loss."""
        assert self.d is not None
        pair = self._with_input
        fakes = ((batch, self._detached(batch).raw) for batch in micro_batches)
        return self.d.update(((pair(b.x, fake), pair(b.x, b.y), b.share) for b, fake in fakes), lr)

    def _optimize_d_v(self, micro_batches: list[MicroBatch], lr: float | Tensor) -> Tensor:
        """Update the temporal discriminator D_V with the batch's triples; return its loss."""
        assert self.d_v is not None
        triples = ((p, p.earlier) for p in micro_batches if p.earlier)
        return self.d_v.update(((e.fake(self._detached(p).final), e.real(p.y), e.share) for p, e in triples), lr)

    def _optimize_g(
        self, micro_batches: list[MicroBatch], lr: float | Tensor, is_adversarial: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Update G: maximise log D(x, G(x)), if ``is_adversarial``, and minimise λ·|y − G(x)| and the other set losses.

        Return the losses, and G's outputs.
        """
        self.g.zero_grad()
        totals = {name: torch.zeros((), device=self.device.torch) for name in self.loss.weights}
        outputs = []
        for batch in micro_batches:
            output = self._forward(batch) if batch.output is None else batch.output
            outputs.append(output.final.detach())
            losses = self.loss(self._context(batch, output, is_adversarial))
            self.g.backward(self.loss.total(losses) * batch.share)
            for name, loss in losses.items():
                totals[name] += loss.detach() * batch.share
        self.g.optimizer_step(lr)
        return totals, torch.cat(outputs)

    def _context(self, batch: MicroBatch, output: GeneratorOutput, is_adversarial: bool) -> LossContext:
        """Return the inputs of the loss terms for a micro-batch and its output."""
        weights = batch.weights
        if self.rarity is not None:
            rare = weigh(batch.y, self.rarity)
            weights = rare if weights is None else weights * rare
        return LossContext(
            batch.x,
            batch.y,
            output.raw,
            output.final,
            share=batch.share,
            judge=partial(self._judge, batch.x) if is_adversarial else None,
            judge_triples=self._judge_triples if self.d_v else None,
            pixel_weights=weights,
            past=None if output.final is output.raw else batch.x[:, -CHANNELS:],
            earlier=batch.earlier,
            autocast=partial(autocast, self.device, self.precision),
        )

    def _judge(self, x: Tensor, y: Tensor) -> DiscriminatorOutput:
        """Return D's output for a picture ``y``, together with the input ``x`` if D is conditional."""
        assert self.d is not None
        return self.d.judge(self._with_input(x, y))[0]

    def _judge_triples(self, frames: Tensor) -> DiscriminatorOutput:
        """Return the temporal discriminator's output for frame triples, (M, 9, H, W)."""
        assert self.d_v is not None
        return self.d_v.judge(frames)[0]

    def _with_input(self, x: Tensor, y: Tensor) -> Tensor:
        """Return D's input: ``y``, with the generator's input ``x`` before it if D is conditional.

        x comes without the history of a recurrent G: D would detect pixels copied from it, so G would copy none.
        """
        x = x[:, :-CHANNELS] if self.is_recurrent else x
        return torch.cat([x, y], 1) if self.settings.conditional else y

    @torch.no_grad()
    def _detached(self, batch: MicroBatch) -> GeneratorOutput:
        """Return the generator's output for a micro-batch, without gradients; later calls return the stored output."""
        if batch.detached_output is None:
            batch.detached_output = self._forward(batch) if batch.output is None else batch.output.detach()
        return batch.detached_output

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the method's state from a checkpoint; CUDA graphs are recorded again."""
        super().restore(state)
        if self.captured:
            self.captured.forget()

    def _tensors(self) -> list[Tensor]:
        """Return the tensors that a replayed step changes; averaged weights are updated outside of the replay."""
        return [t for trainer in (self.g, self.d) if trainer for t in trainer.tensors()]

    @property
    def components(self) -> dict[str, NetworkTrainer | WeightAverage]:
        """Return the networks with their optimizers, and the moving average, by name."""
        components = {"generator": self.g, "discriminator": self.d, "temporal_gan": self.d_v, "average": self.average}
        return {name: part for name, part in components.items() if part is not None}

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return the losses of G and D as text for the progress line."""
        return f"G {losses['gan']:.2f}  L1 {losses['l1']:.3f}  D {losses['discriminator']:.2f}"

    def find_problems(self, rows: Sequence[Sequence[float]], total: int) -> list[str]:
        """Return warnings if D has won, if G has collapsed, or if steps cannot be replayed."""
        losses: list[float] = []
        if self.discriminator is not None:
            first = math.ceil(self.settings.gan_start * total)  # D's loss is 0 before this step.
            column = self.columns.index("discriminator")
            losses = [row[column] for row in rows[first:][-health.WINDOW :]]
        warnings = health.find_problems(losses, self.objective.balance, self.variation_tracker.variation())
        if self.captured and self.captured.refusal:
            warnings.append(f"steps are not replayed as a CUDA graph, so they take longer: {self.captured.refusal}")
        return warnings
