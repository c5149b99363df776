"""pix2pix: conditional GAN plus λ·L1 (Isola et al., "Image-to-Image Translation with Conditional Adversarial
Networks", CVPR 2017). Reads like the paper: G maps x to y, D judges (x, y) against (x, G(x)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.errors import DeviceError, out_of_memory
from vidtrans.flow.history import CHANNELS
from vidtrans.inference.device import Device, sent
from vidtrans.networks.init import painter_of
from vidtrans.networks.recurrent import Remembering
from vidtrans.training import ADVERSARIAL
from vidtrans.training.average import Average
from vidtrans.training.descent import adam, autocast, descend, scaler_for
from vidtrans.training.determinism import deterministic
from vidtrans.training.distributed import ALONE, Team
from vidtrans.training.freeze import freeze
from vidtrans.training.health import Glimpses
from vidtrans.training.losses import terms as losses
from vidtrans.training.losses.perceptual import VGG
from vidtrans.training.losses.rarity import weigh
from vidtrans.training.losses.temporal_gan import Earlier, TemporalGAN
from vidtrans.training.losses.terms import Judgement
from vidtrans.training.precision import TrainingPrecision
from vidtrans.training.settings import TrainingSettings

OTHER_DROPOUT = 1009  # between the seeds of two processes: further than a batch has parts


@dataclass(frozen=True)
class Losses:
    """The losses of one step, unweighted: ``gan`` and ``l1`` of the generator, and the discriminator's.

    ``more`` holds the others that are on, the generator's and last that of the temporal discriminator.
    """

    gan: float
    l1: float
    discriminator: float
    more: dict[str, float] = field(default_factory=dict)

    @property
    def row(self) -> list[float]:
        """In the order of ``Pix2Pix.columns``."""
        return [self.gan, self.l1, self.discriminator, *self.more.values()]


class _Made(NamedTuple):
    """G(x), and what was painted of it: the same, but for a generator that remembers, where a past is kept in it."""

    output: Tensor
    painted: Tensor

    def without_graph(self) -> _Made:
        return _Made(*(t.detach() for t in self))


@dataclass
class _Part:
    """What is worked off at once of a step's batch: ``share`` of it. ``seed`` decides the dropout."""

    x: Tensor
    y: Tensor
    share: float
    seed: int
    weights: Tensor | None = None  # of each pixel's L1
    earlier: Earlier | None = None  # what came right before some of it
    made: _Made | None = None  # with its graph, where it is kept
    forgotten: _Made | None = None  # without


class Pix2Pix:
    """Both networks and both optimisers. ``step`` is one update of D, then one of G.

    ``discriminator`` offers ``judge``, see ``losses``. ``rarity``: the table of ``rarity.rarity``, where the settings
    ask for rebalancing. ``team``: the processes that share every batch with this one. ``of_triples``: the discriminator
    of a ``TemporalGAN``.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        settings: TrainingSettings,
        device: Device,
        precision: TrainingPrecision,
        rarity: Tensor | None = None,
        team: Team = ALONE,
        of_triples: nn.Module | None = None,
    ) -> None:
        self.settings, self.device, self.precision, self.team = settings, device, precision, team
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.remembers = isinstance(generator, Remembering)
        freeze(painter_of(generator), settings.freeze)
        self.generator = self._place(generator)
        self.discriminator = None if discriminator is None else self._place(discriminator)
        self.objective = ADVERSARIAL.load(settings.adversarial)
        self.rarity = None if rarity is None or not settings.rebalance else rarity.to(device.torch)
        self.vgg = self._place(VGG()) if settings.looks_through_vgg else None
        self.optimizer_g = adam(self.generator, settings)
        self.optimizer_d = None if self.discriminator is None else adam(self.discriminator, settings)
        self.scaler_g, self.scaler_d = scaler_for(device, precision), scaler_for(device, precision)
        self.temporal_gan = None
        if of_triples is not None:
            self.temporal_gan = TemporalGAN(self._place(of_triples), settings, device, precision, team)
        self.average = Average(self.generator, settings.ema) if settings.ema else None
        self.glimpses = Glimpses()
        self.nondeterministic: set[str] = set()  # operations of the steps that the device has no fixed order for
        self._judged = self.discriminator is not None  # in this step
        self.painted = torch.empty(0)  # what the last step painted, (N, 3, H, W) float32, without its graph
        # These two are reported even where they weigh nothing.
        self.weights = {"gan": settings.gan, "l1": settings.l1} | settings.loss_weights

    @property
    def columns(self) -> list[str]:
        """The names of the losses in a step's row."""
        further = ["temporal_discriminator"] if self.temporal_gan else []
        return ["gan", "l1", "discriminator", *list(self.weights)[2:], *further]

    @property
    def learned(self) -> nn.Module:
        """The generator that training is for: the averaged one, where one is kept."""
        return self.average.network if self.average else self.generator

    def _place(self, network: nn.Module) -> nn.Module:
        placed: nn.Module = network.to(device=self.device.torch, memory_format=self.layout)  # type: ignore[call-overload]
        return placed

    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        lr: float,
        seed: int,
        weights: Tensor | None = None,
        judged: bool = True,
        earlier: Earlier | None = None,
    ) -> Losses:
        """One step on (N, C, H, W) and (N, 3, H, W) float32 in [−1, 1]; ``seed`` decides the dropout.

        ``weights`` (N, 1, H, W): of each pixel's L1. ``judged``: the discriminators take part. ``earlier``: what came
        right before some of the inputs. Raises DeviceError when the device's memory does not do.
        """
        self._judged = judged and self.discriminator is not None
        try:
            with deterministic(self.device, self.nondeterministic):
                return self._step(inputs, targets, lr, seed, weights, earlier)
        except Exception as error:
            if not out_of_memory(error):
                raise
            remedy = "lower --set training.batch or training.crop, raise training.accumulate, or use --device cpu"
            raise DeviceError(self.device.name, "out of memory while training", remedy) from None

    def _step(
        self, inputs: Tensor, targets: Tensor, lr: float, seed: int, weights: Tensor | None, earlier: Earlier | None
    ) -> Losses:
        x, y = (sent(given, self.device).to(memory_format=self.layout) for given in (inputs, targets))
        self.generator.train()
        weighed = None if weights is None else sent(weights, self.device)
        parts = self._parts(x, y, seed + OTHER_DROPOUT * self.team.rank, weighed)
        triples = self._triples(parts, earlier)
        if len(parts) == 1:
            # One pass serves both updates. Of several parts, memory holds but one: they are painted twice.
            parts[0].made = self._paint(parts[0])
        loss_d = self._update_discriminator(parts, lr)
        loss_temporal = self._update_temporal(parts, lr) if triples else torch.zeros_like(loss_d)
        terms = self._update_generator(parts, lr)
        if self.temporal_gan:
            terms["temporal_discriminator"] = loss_temporal
        if self.average:
            self.average.update(self.generator)
        # One look at the device's numbers a step: each one waits for all that it has to do.
        gan, l1, d, *more = torch.stack([terms.pop("gan"), terms.pop("l1"), loss_d, *terms.values()]).tolist()
        return Losses(gan, l1, d, dict(zip(terms, more, strict=True)))

    def _parts(self, x: Tensor, y: Tensor, seed: int, weights: Tensor | None) -> list[_Part]:
        """The batch in ``accumulate`` parts whose losses, each times its share, add up to the batch's."""
        count = self.settings.accumulate
        weighed = [None] * count if weights is None else weights.tensor_split(count)
        cut = zip(x.tensor_split(count), y.tensor_split(count), weighed, strict=True)
        return [_Part(a, b, len(a) / len(x), seed + i, w) for i, (a, b, w) in enumerate(cut) if len(a)]

    def _triples(self, parts: list[_Part], earlier: Earlier | None) -> bool:
        """Give each part what came right before its examples. Whether there are triples to judge in this step."""
        if not self._judged or self.temporal_gan is None:
            return False
        count, first = self.temporal_gan.count(earlier), 0
        for part in parts:
            inside = earlier and earlier.within(first, first + len(part.x), of=count)
            part.earlier = inside and inside.placed(self.device.torch, self.layout)
            first += len(part.x)
        return count > 0

    def _paint(self, part: _Part) -> _Made:
        """G(x), with the same dropout every time."""
        torch.manual_seed(part.seed)
        with autocast(self.device, self.precision):
            if isinstance(self.generator, Remembering):
                output, anew = self.generator.both(part.x)
                painted = anew.float()
                return _Made(painted if output is anew else output.float(), painted)
            fake = self.generator(part.x).float()
        return _Made(fake, fake)

    def _judge(self, x: Tensor, *pictures: Tensor) -> list[Judgement]:
        """What D says of each picture, knowing x where it is conditional. Its weights are cast once for all of them.

        It does not know the past: there is no keeping it without being seen, and that would teach to paint anew.
        """
        d: Any = self.discriminator
        x = x[:, :-CHANNELS] if self.remembers else x
        with autocast(self.device, self.precision):
            return [d.judge(torch.cat([x, p], 1) if self.settings.conditional else p) for p in pictures]

    def _update_discriminator(self, parts: list[_Part], lr: float) -> Tensor:
        """max log D(x, y) + log(1 − D(x, G(x))), halved to slow D relative to G; or another objective's loss."""
        total = torch.zeros((), device=self.device.torch)
        if not self._judged or self.discriminator is None or self.optimizer_d is None:
            return total
        self.discriminator.train().requires_grad_(True)
        self.optimizer_d.zero_grad(set_to_none=True)
        for part in parts:
            fake = self._forgotten(part).painted
            on_fake, on_real = self._judge(part.x, fake, part.y)
            loss = losses.discriminator_loss(self.objective, on_fake, on_real)
            self.scaler_d.scale(loss * part.share).backward()
            total += loss.detach() * part.share
        self.team.average_gradients(self.discriminator)
        descend(self.optimizer_d, self.scaler_d, lr)
        return total

    def _update_temporal(self, parts: list[_Part], lr: float) -> Tensor:
        """The same for three frames in a row, wherever there are."""
        assert self.temporal_gan is not None
        shown = [(self._forgotten(part).output, part.y, part.earlier) for part in parts if part.earlier]
        return self.temporal_gan.update(shown, lr)

    @torch.no_grad()
    def _forgotten(self, part: _Part) -> _Made:
        """G(x) as discriminators learn from it: G does not."""
        if part.forgotten is None:
            part.forgotten = self._paint(part) if part.made is None else part.made.without_graph()
        return part.forgotten

    def _update_generator(self, parts: list[_Part], lr: float) -> dict[str, Tensor]:
        """max log D(x, G(x)), and min λ·|y − G(x)|, with what else the settings weigh."""
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device.torch)
        totals = {name: total.clone() for name in self.weights}
        painted = []
        for part in parts:
            made = self._paint(part) if part.made is None else part.made
            painted.append(made.output.detach())
            self.glimpses.add(made.output, part.y)
            terms = self._terms(part, made.painted)
            if made.output is not made.painted:
                self._add_kept(terms, part, made.output)
            loss = sum((self.weights[name] * term for name, term in terms.items()), total)
            self.scaler_g.scale(loss * part.share).backward()
            for name, term in terms.items():
                totals[name] += term.detach() * part.share
        self.painted = torch.cat(painted)
        self.team.average_gradients(self.generator)
        descend(self.optimizer_g, self.scaler_g, lr)
        return totals

    def _terms(self, part: _Part, fake: Tensor) -> dict[str, Tensor]:
        """What G minimises, each loss unweighted."""
        y, weights = part.y, self.weights
        terms = {}
        if self._judged:
            [on_fake] = self._judge(part.x, fake)
            terms["gan"] = losses.generator_loss(self.objective, on_fake)
            features = {"feature_matching": losses.feature_matching}
            if self.vgg is None:
                features["perceptual"] = losses.feature_distance
            if wanted := features.keys() & weights:
                with torch.no_grad():
                    [on_real] = self._judge(part.x, y)
                terms |= {name: features[name](on_fake, on_real) for name in sorted(wanted)}
        terms["l1"] = self._l1(part, fake)
        if "l2" in weights:
            terms["l2"] = F.mse_loss(fake, y)
        if "detail" in weights:
            terms["detail"] = losses.detail(fake, y)
        if self.vgg is not None:
            with autocast(self.device, self.precision):
                terms["perceptual"] = self.vgg(fake, y)
        return terms

    def _add_kept(self, terms: dict[str, Tensor], part: _Part, output: Tensor) -> None:
        """What the keeper learns by, beside what the painter does: the picture shall be right, and hold still."""
        terms["l1"] += self._l1(part, output)
        if "detail" in self.weights:
            terms["detail"] += losses.detail(output, part.y)
        if "temporal" in self.weights:
            terms["temporal"] = losses.temporal(output, part.x[:, -CHANNELS:])
        if self.temporal_gan and part.earlier:
            # It is a mean over the step's triples, not over its pictures.
            terms["temporal_gan"] = self.temporal_gan.of_generator(output, part.earlier) / part.share

    def _l1(self, part: _Part, fake: Tensor) -> Tensor:
        """|y − G(x)|, its pixels weighed by what moves, and by how rare their colour is, as the settings ask."""
        weights = part.weights
        if self.rarity is not None:
            rare = weigh(part.y, self.rarity)
            weights = rare if weights is None else weights * rare
        return F.l1_loss(fake, part.y) if weights is None else losses.weighted_l1(fake, part.y, weights)

    def state(self) -> dict[str, Any]:
        """All that a step changes: the networks, their optimisers, and what is kept beside them."""
        return {
            "generator": self.generator.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "discriminator": self.discriminator.state_dict() if self.discriminator else None,
            "optimizer_d": self.optimizer_d.state_dict() if self.optimizer_d else None,
            "scalers": [self.scaler_g.state_dict(), self.scaler_d.state_dict()],
            "average": self.average.state() if self.average else None,
            "nondeterministic": sorted(self.nondeterministic),
        } | ({"temporal_gan": self.temporal_gan.state()} if self.temporal_gan else {})

    def restore(self, state: dict[str, Any]) -> None:
        self.nondeterministic = set(state["nondeterministic"])
        self.generator.load_state_dict(state["generator"])
        self.optimizer_g.load_state_dict(state["optimizer_g"])
        if self.discriminator is not None and self.optimizer_d is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.optimizer_d.load_state_dict(state["optimizer_d"])
        if self.precision == "fp16":
            for scaler, held in zip((self.scaler_g, self.scaler_d), state["scalers"], strict=True):
                scaler.load_state_dict(held)
        if self.average:
            self.average.restore(state["average"])
        if self.temporal_gan:
            self.temporal_gan.restore(state["temporal_gan"])

    def is_finite(self) -> bool:
        of_triples = self.temporal_gan.network if self.temporal_gan else None
        networks = [n for n in (self.generator, self.discriminator, of_triples) if n is not None]
        return all(bool(torch.isfinite(p).all()) for n in networks for p in n.state_dict().values())
