"""The base of methods without pairs: a translator from domain A to domain B, trained against frames of B.

x and y are unrelated pictures of A and B. A step first updates the translators, once for each direction: two small
updates learn more than one update of their sum. Then it updates each discriminator, which also gets some earlier
outputs. Every method can add a steadiness loss: the output must be consistent with the output for a previous or moved
frame.
"""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.clips.sampling import segment_centres
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.device import resolve_precision, tensor_float32
from vidtrans.inference.engine import Engine
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.metrics.unpaired_scores import (
    REVERSED,
    DomainDistance,
    cycle_error,
    diversity,
    light_correlation,
    network_patches,
    random_patches,
    temporal_error,
)
from vidtrans.networks.init import inner_generator
from vidtrans.networks.wrappers import RecurrentGenerator
from vidtrans.pairing.base import Pairing
from vidtrans.training import ADVERSARIAL, UnpairedMethodSettings, health
from vidtrans.training.losses.adversarial import generator_loss
from vidtrans.training.losses.pixels import temporal
from vidtrans.training.losses.structure import structure
from vidtrans.training.methods.augmented_views import AugmentedViewSampler
from vidtrans.training.methods.base import (
    Setup,
    Stateful,
    TrainingMethod,
    TrainingStep,
    freeze,
    seed_random,
    training_step,
)
from vidtrans.training.methods.network_trainer import DiscriminatorTrainer, NetworkTrainer, WeightAverage
from vidtrans.training.picture_codes import TargetCodes, latent_error
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import MAX_SCORED, pick_evenly, render_pair
from vidtrans.video.images.picture import read_picture

MIN_SOURCES, MIN_TARGETS = 2, 4  # Minimum numbers of source and target pictures for a distance between the domains.
DIGITS = 4  # Number of decimals of the scores.
Pictures = Sequence[np.ndarray]  # Pictures, (H, W, 3) uint8 each.


class ImagePool:
    """A pool of at most ``size`` earlier outputs of equal shape, for the discriminators; ``size`` 0 turns it off."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size, self.device = size, device
        self._pictures: list[Tensor] = []

    def exchange(self, pictures: Tensor, random: torch.Generator) -> Tensor:
        """Add new outputs, (N, C, H, W), to the pool, and return N pictures for a discriminator: new or earlier ones.

        Once the pool is full, about half of the returned pictures are earlier outputs. ``random``: draws them.
        """
        if self._pictures and self._pictures[0].shape != pictures[0].shape:
            self._pictures = []  # With progressive resizing, the run has begun to use larger pictures.
        if not self.size:
            return pictures
        return torch.stack([self._exchange_one(picture, random) for picture in pictures])

    def _exchange_one(self, picture: Tensor, random: torch.Generator) -> Tensor:
        """Return ``picture``, (C, H, W), or an earlier output, which it replaces in the pool; first fill the pool."""
        if len(self._pictures) < self.size:
            self._pictures.append(picture)
            return picture
        if float(torch.rand((), generator=random)) < 0.5:
            return picture
        index = int(torch.randint(self.size, (), generator=random))
        earlier, self._pictures[index] = self._pictures[index], picture
        return earlier

    def state(self) -> dict[str, Any]:
        """Return the pool's pictures for a checkpoint."""
        return {"pictures": list(self._pictures)}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the pool's pictures from a checkpoint."""
        self._pictures = [picture.to(self.device) for picture in state["pictures"]]


TARGET, SOURCE = "discriminator", "source_discriminator"  # Names of the discriminators of domain B and of domain A.
FrameMap = Callable[[Tensor], Tensor]  # A function that maps frames to outputs, (N, 3, H, W) each.


class Translation(NamedTuple):
    """The result of one translator for a micro-batch: unweighted losses by name, and outputs ``fake``, (N, 3, H, W).

    ``look``: the style codes of the target frames for these outputs; None for a model without style codes.
    """

    losses: dict[str, Tensor]
    fake: Tensor
    look: TargetCodes | None = None


class UnpairedMethod(TrainingMethod):
    """The base class of training methods without pairs.

    ``translators``: the networks that one optimizer trains, ``generator`` first. ``discriminators``: the discriminators
    by name.
    """

    unpaired: ClassVar[bool] = True

    def __init__(self, setup: Setup, translators: dict[str, nn.Module], discriminators: dict[str, nn.Module]) -> None:
        self.configure(setup.settings, setup.device, setup.precision, setup.dist)
        own_settings = self.settings.own(UnpairedMethodSettings)
        freeze(inner_generator(translators["generator"]), self.settings.freeze)
        self.networks = {name: self.place(network) for name, network in (translators | discriminators).items()}
        self.generator = self.networks["generator"]
        run = (self.settings, self.device, self.precision, self.dist)
        self.g = NetworkTrainer(nn.ModuleDict({name: self.networks[name] for name in translators}), *run)
        self.discriminators = {name: DiscriminatorTrainer(self.networks[name], *run) for name in discriminators}
        for trainer in self.discriminators.values():
            trainer.network.requires_grad_(False)  # The translators' step, which comes first, must not change it.
        self.objective = ADVERSARIAL.load(self.settings.gan_mode)
        self.pools = {name: ImagePool(own_settings.pool_size, self.device.torch) for name in discriminators}
        models: list[str] = [name for name in ("generator", "reverse") if name in translators]
        decay = self.settings.ema_decay
        self.averages = {name: WeightAverage(self.networks[name], decay) for name in models} if decay else {}
        paper = self.own_weights(self.settings) | {"structure": own_settings.lambda_structure}
        self.weights = {"gan": 1.0} | {name: weight for name, weight in paper.items() if weight}
        if self.settings.recurrent:
            self.weights |= {"memory": 1.0, "temporal": self.settings.weights["temporal"]}
        if own_settings.look_size:
            self.weights |= {"latent": own_settings.lambda_latent, "kl": own_settings.lambda_kl}
        self._identity_end = own_settings.identity_end if "identity" in self.weights else 1.0
        self.columns = [*self.weights, *discriminators]
        self.variation_tracker = health.OutputVariation()
        self._sample_view = AugmentedViewSampler()
        self._recolour = setup.recolour
        self._scores: DomainScores | None = None

    @classmethod
    @abstractmethod
    def make(cls, setup: Setup) -> Self:
        """Build all networks and their optimizers, for a run at step 0."""

    @staticmethod
    @abstractmethod
    def own_weights(settings: TrainingSettings) -> dict[str, float]:
        """Return the weights of the method's losses by column; 0 turns a loss off.

        The adversarial loss has weight 1.
        """

    @staticmethod
    def num_frames(settings: TrainingSettings) -> int:
        """Return the number of consecutive frames per example: 2 if a loss uses the preceding frame, else 1."""
        return 2 if settings.own(UnpairedMethodSettings).lambda_steady or settings.recurrent else 1

    @staticmethod
    def code_size(settings: TrainingSettings) -> int:
        """Return the size of the target's style codes; 0 for a model without style codes."""
        return settings.own(UnpairedMethodSettings).look_size

    @property
    def trained_generator(self) -> nn.Module:
        """Return the translator from A to B that becomes the model, with averaged weights if they are averaged."""
        return self._learned("generator")

    @property
    def companion_networks(self) -> dict[str, nn.Module]:
        """Return the translator from B to A as ``reverse``; {} if there is no such translator."""
        return {"reverse": self._learned("reverse")} if "reverse" in self.networks else {}

    def _learned(self, name: str) -> nn.Module:
        """Return the translator ``name``, with averaged weights if weights are averaged."""
        network: nn.Module = self.averages[name].network if self.averages else self.networks[name]
        return network

    @property
    def turning_point(self) -> float:
        """Return the share of the run after which the identity loss is turned off; 0 if it stays on."""
        return self._identity_end if self._identity_end < 1 else 0.0

    @property
    def balance(self) -> float | None:
        """Return D's loss when D cannot tell fake from real."""
        return self.objective.balance

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        """Update the translators, then the discriminators.

        ``inputs`` and ``targets`` are frames of A and B, (N, 3·frames, H, W), the newest first.
        """
        seed, lr = step.seed + self.dist.rank, step.lr
        random = torch.Generator().manual_seed(seed)
        seed_random(seed, self.device)
        with training_step(self.device, self.nondeterministic), tensor_float32(self.precision):
            x, y = self.upload(step.inputs, step.targets)
            losses, fakes = self._optimize_translators(x, y, lr, random, step.progress)
            reals = {TARGET: y[:, :3], SOURCE: x[:, :3]}
            for name, trainer in self.discriminators.items():
                losses[name] = trainer.update([(self.pools[name].exchange(fakes[name], random), reals[name], 1.0)], lr)
            self.last_outputs = fakes[TARGET]
            self.variation_tracker.add(self.last_outputs, y[:, :3])
            for average in self.averages.values():
                average.update()
            # All losses are moved to the CPU in one transfer, since each transfer waits for the device to finish.
            row = torch.stack([losses[name] for name in self.columns])
            return dict(zip(self.columns, row.tolist(), strict=True))

    def _optimize_translators(
        self, x: Tensor, y: Tensor, lr: float, random: torch.Generator, progress: float
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Update the translators; return the losses, and the outputs, without gradients, by the discriminator's name.

        ``x``, ``y``: frames of the domains A and B. ``progress``: completed share of the run, 0 to 1.
        """
        self.g.network.train()
        weights = dict(self.weights)
        if self._identity_end < 1 and progress >= self._identity_end:
            del weights["identity"]
        totals = {name: torch.zeros((), device=self.device.torch) for name in self.weights}
        fakes: dict[str, Tensor] = {}
        count = self.settings.grad_accum_steps
        for discriminator in self.discriminators:
            self.g.zero_grad()
            outputs = []
            for a, b in zip(x.tensor_split(count), y.tensor_split(count), strict=True):
                if not len(a):
                    continue
                share = len(a) / len(x)
                losses, fake, look = self.translate(discriminator, a, b, random, weights)
                source = a if discriminator == TARGET else b
                if "structure" in weights:
                    losses["structure"] = structure(fake, source[:, :3])
                if look:
                    losses |= self._code_losses(look, fake)
                if self.settings.recurrent:
                    losses |= self._recurrent_losses(discriminator, source, fake.detach())
                self.g.backward(torch.stack([weights[name] * loss for name, loss in losses.items()]).sum() * share)
                for name, loss in losses.items():
                    totals[name] += loss.detach() * share
                outputs.append(fake.detach())
            self.g.optimizer_step(lr)
            fakes[discriminator] = torch.cat(outputs)
        return totals, fakes

    @abstractmethod
    def translate(
        self, discriminator: str, x: Tensor, y: Tensor, random: torch.Generator, weights: Collection[str]
    ) -> Translation:
        """Translate frames in one direction, A to B or B to A; return losses and outputs.

        ``x``, ``y``: frames of A and of B, (N, 3·frames, H, W), the newest first.

        ``discriminator``: the name of the outputs' discriminator, which defines the direction. ``weights``: the names
        of the losses in this step.
        """

    def run(self, network: nn.Module, x: Tensor) -> Tensor:
        """Return the output of ``network`` for frames ``x``, (N, C, H, W), without recurrence, as float32.

        It is computed in the run's precision.
        """
        painter: Any = network.painter if isinstance(network, RecurrentGenerator) else network
        with self.g.autocast():
            return painter(x).float()

    def _recurrent_losses(self, discriminator: str, frames: Tensor, repainted: Tensor) -> dict[str, Tensor]:
        """Return the losses of a recurrent translator's output, which blends ``repainted`` with the previous output.

        ``memory``: L1 distance to ``repainted``, the output without history, plus adversarial loss. ``temporal``: the
        difference from the warped previous output. ``frames``: (N, 6, H, W), the newest first.
        """
        network = self.networks["generator" if discriminator == TARGET else "reverse"]
        if not isinstance(network, RecurrentGenerator):
            return {}
        current, earlier = frames[:, :3], frames[:, 3:6]
        with torch.no_grad():
            past = self._sample_view.history(current, earlier, self.run(network, earlier))
        with self.g.autocast():
            composed = network.compose(repainted, torch.cat([current, past], 1)).float()
        memory = (composed - repainted).abs().mean() + self.adversarial_loss(discriminator, composed)
        return {"memory": memory, "temporal": temporal(composed, past)}

    def encode_look(self, y: Tensor, random: torch.Generator) -> TargetCodes | None:
        """Encode target frames ``y``, (N, 3, H, W), as style codes, drawn at random; None for a model without codes."""
        if not self.code_size(self.settings):
            return None
        encoder: Any = self.generator.encoder
        with self.g.autocast():
            distribution = encoder.distribution(y)
        return TargetCodes.draw(distribution, random)

    def _code_losses(self, look: TargetCodes, outputs: Tensor) -> dict[str, Tensor]:
        """Return ``latent``, the error of codes recovered from outputs, and ``kl``, the divergence of target codes.

        ``look``: the codes of the outputs. ``kl``: the KL divergence of their distribution from a normal one.
        """
        encoder: Any = self.generator.encoder
        with self.g.autocast():
            latent = latent_error(encoder, outputs, look.code.detach())
        return {"latent": latent, "kl": look.distribution.divergence()}

    def adversarial_loss(self, name: str, fake: Tensor) -> Tensor:
        """Return the adversarial loss of outputs ``fake`` against the discriminator ``name``, a scalar."""
        return generator_loss(self.objective, self.discriminators[name].judge(fake)[0])

    def steadiness(self, translator: FrameMap, frames: Tensor, output: Tensor, random: torch.Generator) -> Tensor:
        """Return the steadiness loss: how much the output for a changed frame differs from the warped output.

        The changed frame is an augmented view. The result is a mean absolute difference, a scalar.

        Args:
            translator: The translator.
            frames: Frames and their preceding frames, (N, 6, H, W).
            output: The translator's outputs for the frames, (N, 3, H, W).
            random: Draws the augmented views.
        """
        view = self._sample_view(frames[:, :3], frames[:, 3:6], random)
        return (view.confidence * (view.warp(output) - translator(view.frames)).abs()).mean()

    @property
    def components(self) -> dict[str, Stateful]:
        """Return translators, discriminators, moving averages and picture pools by name."""
        averages = {f"average_{name}": average for name, average in self.averages.items()}
        pools = {f"pool_{name}": pool for name, pool in self.pools.items()}
        return {"translators": self.g, **self.discriminators, **averages, **pools}

    def choose(self, pairs: Sequence[Pair], most: int) -> list[Pair]:
        """Return at most ``most`` frames of each domain for scores, source frames together with their neighbours."""
        return choose_frames(pairs, most)

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return the scores of the outputs for held-out source frames, see ``DomainScores``."""
        chosen = choose_frames(pairs, MAX_SCORED)
        if self._scores is None or not self._scores.has_pairs(chosen):
            self._scores = DomainScores(chosen, self._recolour)
        return self._scores.score_engine(engine, pairing, self._reverse_translator)

    def remarks(self, scores: Table) -> list[str]:
        """Return remarks for the user about the scores of a finished model."""
        return domain_remarks(scores)

    @property
    def _reverse_translator(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Return a function that translates an output, (H, W, 3) uint8, back to domain A; None if no network does."""
        if "reverse" not in self.networks:
            return None
        engine = TorchEngine(self._learned("reverse"), self.device, resolve_precision("auto", self.device), batch=1)
        return lambda picture: engine(picture[None])[0]

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return the losses of G and D as text for the progress line."""
        return f"G {losses['gan']:.2f}  D {losses[TARGET]:.2f}"

    def find_problems(self, rows: Sequence[Sequence[float]], total: int) -> list[str]:
        """Return warnings if D has won, or if G has collapsed."""
        losses = [row[self.columns.index(TARGET)] for row in rows[-health.WINDOW :]]
        return health.find_problems(losses, self.objective.balance, self.variation_tracker.variation())


def choose_frames(pairs: Sequence[Pair], most: int) -> list[Pair]:
    """Return at most ``most`` frames of each domain; source frames as pairs of consecutive frames if there are any."""
    sources = [pair for pair in pairs if pair.domain == 0]
    consecutive = [i for i, (one, next_) in enumerate(pairwise(sources)) if _are_consecutive(one, next_)]
    if consecutive:
        first = [consecutive[i] for i in segment_centres(len(consecutive), min(most // 2, len(consecutive)))]
        sources = [sources[i] for i in sorted({*first, *(i + 1 for i in first)})]
    return [*pick_evenly(sources, most), *pick_evenly([pair for pair in pairs if pair.domain], most)]


def _are_consecutive(one: Pair, other: Pair) -> bool:
    """Return whether ``other`` is the frame after ``one`` in the same shot."""
    return one.shot == other.shot and one.place + 1 == other.place


class DomainScores:
    """A function that scores outputs for held-out frames; the frames of all domains are read and analysed once.

    ``pairs``: the frames of all domains. ``recolour``: maps a frame, (H, W, 3) uint8, to the target's colours.
    """

    def __init__(self, pairs: Sequence[Pair], recolour: Callable[[np.ndarray], np.ndarray] | None) -> None:
        self._names = [pair.target for pair in pairs]
        self.sources = [pair for pair in pairs if pair.domain == 0]
        self._inputs = [read_picture(pair.target) for pair in self.sources]
        self.targets = [read_picture(pair.target) for pair in pairs if pair.domain]
        self._distances: dict[str, DomainDistance] = {}
        if len(self._inputs) >= MIN_SOURCES and len(self.targets) >= MIN_TARGETS:
            for name, describe in (("patch_distance", network_patches()), ("random_distance", random_patches())):
                if describe is not None:
                    self._distances[name] = DomainDistance.between(describe, self._inputs, self.targets)
        self._colour_map_distance = self._distance([recolour(given) for given in self._inputs]) if recolour else None

    def has_pairs(self, pairs: Sequence[Pair]) -> bool:
        """Return whether this object was made from the frames ``pairs``."""
        return [pair.target for pair in pairs] == self._names

    def score_engine(self, engine: Engine, pairing: Pairing, back: Callable[[np.ndarray], np.ndarray] | None) -> Table:
        """Render the source frames, with style codes of target frames if the model has codes; return the scores."""
        style_pictures: list[np.ndarray | None] = [*self.targets] or [None]
        examples = zip(self.sources, itertools.cycle(style_pictures), strict=False)
        return self([render_pair(engine, pairing, pair, style)[1] for pair, style in examples], back)

    def _distance(self, pictures: Pictures) -> float | None:
        """Return the ``DomainDistance`` of pictures from the target domain; None with too few frames.

        It is measured by features of a network, or random features without such a network.
        """
        distance = self._distances.get("patch_distance", self._distances.get("random_distance"))
        return distance(pictures) if distance else None

    def __call__(self, outputs: Pictures, back: Callable[[np.ndarray], np.ndarray] | None) -> Table:
        """Return the scores of ``outputs`` for the source frames.

        ``back``: maps an output back to domain A, or None.
        """
        inputs = self._inputs
        scores = {name: distance(outputs) for name, distance in self._distances.items()}
        scores["patch_distance"] = self._distance(outputs)
        scores["colours_distance"] = self._colour_map_distance
        scores["light_correlation"] = light_correlation(inputs, outputs)
        scores["diversity"] = diversity(outputs, self.targets)
        scores["cycle_error"] = cycle_error(inputs, [back(output) for output in outputs]) if back else None
        consecutive = [(i, i + 1) for i, (a, b) in enumerate(pairwise(self.sources)) if _are_consecutive(a, b)]
        sides = ([(pictures[i], pictures[k]) for i, k in consecutive] for pictures in (inputs, outputs))
        scores["temporal_error"] = temporal_error(*sides)
        rounded = {name: None if value is None else round(value, DIGITS) for name, value in scores.items()}
        return {"pairs": len(outputs)} | rounded


def domain_remarks(scores: Table) -> list[str]:
    """Return remarks for the user about the ``scores`` of a finished unpaired model, one line each."""
    remarks = []
    names = ("patch_distance", "colours_distance", "light_correlation")
    model_distance, colours, light = (scores.get(name) for name in names)
    if model_distance is not None and colours is not None and model_distance >= colours:
        remarks.append(
            f"only colours were transferred: the colour map alone is as near to the target ({colours:.2f}) as "
            f"the model ({model_distance:.2f}), and cannot flicker"
        )
    if light is not None and light < REVERSED:
        remarks.append("light and dark are reversed: try a higher training.lambda_identity, or generator.colour_start")
    return remarks
