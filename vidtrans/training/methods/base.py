"""The interface of training methods."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import DeviceError, UsageError, out_of_memory
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.device import Device, to_device
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.training.device.determinism import deterministic
from vidtrans.training.distributed import DistContext
from vidtrans.training.losses.base import PrecedingFrames
from vidtrans.training.methods.network_trainer import TrainingPrecision
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import evenly, score

M = TypeVar("M", bound=nn.Module)
_COMPILERS = ("torch._dynamo", "torch._inductor")  # modules of errors of torch.compile


class Setup(Protocol):
    """The parts of a run for its method. ``number`` decides a network's first weights: each of a kind has its own."""

    settings: TrainingSettings
    device: Device
    precision: TrainingPrecision
    dist: DistContext

    @property
    def in_channels(self) -> int:
        """Return the channels of the generator's input, without a history."""

    def make_generator(self, number: int = 0, *, reverse: bool = False) -> nn.Module:
        """Build the recipe's generator, with the weights of ``--from`` where there are any. Raises UsageError.

        ``reverse``: the one that leads back, from the target's domain.
        """
        ...

    def make_discriminator(self, channels: int, number: int) -> nn.Module:
        """Build a discriminator of the recipe's kind, of (N, channels, H, W). Raises UsageError."""
        ...

    def initialise(self, network: nn.Module, number: int) -> None:
        """Draw the first weights of a network of the method's own."""
        ...

    @property
    def recolour(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """What brings a frame, (H, W, 3) uint8, to the target domain's colours; None where there are pairs."""
        ...

    def find_rarity(self) -> Tensor | None:
        """Return the table of ``losses.rarity``; None where the settings do not need it."""
        ...


class Stateful(Protocol):
    """A part of a method whose state is saved and restored."""

    def state(self) -> dict[str, Any]:
        """Return all that a step changes."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned."""


class TrainingMethod(Protocol):
    """A way of training a generator. A subclass overrides the defaults that do not fit."""

    unpaired: ClassVar[bool] = False  # it learns from domains without pairs, in batches of ``UnpairedLoader``
    settings: TrainingSettings
    device: Device
    precision: TrainingPrecision
    layout: torch.memory_format
    dist: DistContext  # the processes that share every batch with this one
    nondeterministic: set[str]  # operations so far for which the device has no deterministic algorithm
    painted: Tensor  # the pictures of the last step, (N, 3, H, W) float32, detached
    columns: list[str]  # the names of a step's losses
    networks: dict[str, Any]  # all that are trained, ``generator`` first; with ``smallest``, and that one ``multiple``

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Make all networks and their optimizers, for a run at step 0."""
        ...

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return what decides the result beside settings and pairs, such as a file's digest; it is in the run's key."""
        del settings
        return ""

    @staticmethod
    def num_frames(settings: TrainingSettings) -> int:
        """Return how many frames in a row an example of an unpaired dataset has: its batches hold three planes of each.

        The newest comes first.
        """
        del settings
        return 1

    @staticmethod
    def code_size(settings: TrainingSettings) -> int:
        """Return the numbers of the code that its generator takes beside the input, to have many looks; 0 for none."""
        del settings
        return 0

    @property
    def learned(self) -> nn.Module:
        """The network that becomes the model."""
        generator: nn.Module = self.networks["generator"]
        return generator

    @property
    def learned_more(self) -> Mapping[str, nn.Module]:
        """The networks that become models beside the model, by what their files' names end in."""
        return {}

    @property
    def turning_point(self) -> float:
        """The share of the run after which steps take another time than before."""
        return self.settings.gan_start

    @property
    def balance(self) -> float | None:
        """The loss of a discriminator that cannot tell fake from real; None without a discriminator."""
        return None

    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        *,
        lr: float,
        seed: int,
        progress: float = 1.0,
        weights: Tensor | None = None,
        earlier: PrecedingFrames | None = None,
    ) -> dict[str, float]:
        """Take one step, and return its losses, unweighted, by their columns.

        Args:
            inputs: (N, C, H, W) float32 in [−1, 1].
            targets: (N, 3, H, W), likewise.
            lr: The learning rate.
            seed: Decides all that is random in the step.
            progress: Of the run, 0 to 1.
            weights: (N, 1, H, W), by how much a pixel counts.
            earlier: The two frames right before some of the inputs.

        Raises:
            DeviceError: The device's memory is too small.
        """
        ...

    @property
    def learners(self) -> Mapping[str, Stateful]:
        """Return all that a step changes, but ``nondeterministic``, by names."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return all that a step changes: tensors, numbers and text, in dicts and lists."""
        learners = {name: part.state() for name, part in self.learners.items()}
        return learners | {"nondeterministic": sorted(self.nondeterministic)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a ``state``, to the same bytes."""
        self.nondeterministic = set(state["nondeterministic"])
        for name, part in self.learners.items():
            part.restore(state[name])

    def use(self, settings: TrainingSettings, device: Device, precision: TrainingPrecision, dist: DistContext) -> None:
        """Set what every method has of its run."""
        self.settings, self.device, self.precision, self.dist = settings, device, precision, dist
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.nondeterministic, self.painted = set(), torch.empty(0)

    def place(self, network: M) -> M:
        """Return a network on the device, in the memory layout of the settings."""
        return network.to(device=self.device.torch, memory_format=self.layout)  # type: ignore[call-overload]

    def upload(self, *batch: Tensor) -> list[Tensor]:
        """Return a batch's pictures on the device, in the memory layout of the settings."""
        return [to_device(pictures, self.device).to(memory_format=self.layout) for pictures in batch]

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Score held-out pairs as ``engine`` paints them; ``best_metric`` and ``patience`` go by these scores."""
        return score(engine, pairing, pairs)

    def choose(self, pairs: Sequence[Pair], most: int) -> list[Pair]:
        """Return the held-out pairs, at most so many, that are scored along the way."""
        return evenly(pairs, most)

    def remarks(self, scores: Table) -> list[str]:
        """Return what a finished model's scores say to its user, one line each."""
        del scores
        return []

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return a step's losses as the progress line shows them."""
        return "  ".join(f"{name} {value:.3f}" for name, value in losses.items())

    def concerns(self, rows: Sequence[Sequence[float]], total: int) -> list[str]:
        """Return the problems, by the losses of all steps so far of ``total``. Each has its name before a colon."""
        del rows, total
        return []

    def is_finite(self) -> bool:
        """Return whether every weight is a number."""
        weights = [p for network in self.networks.values() for p in network.state_dict().values()]
        return all(bool(torch.isfinite(p).all()) for p in weights)


@contextmanager
def training_step(device: Device, nondeterministic: set[str]) -> Iterator[None]:
    """Compute deterministically; raise DeviceError where the memory is too small, UsageError where none can compile."""
    try:
        with deterministic(device, nondeterministic):
            yield
    except Exception as error:
        if type(error).__module__.startswith(_COMPILERS):
            why = str(error).strip().splitlines()[0]
            raise UsageError("training.compile", f"it cannot compile here ({why})", "turn it off") from None
        if not out_of_memory(error):
            raise
        remedy = "lower training.batch_size or training.crop_size, raise training.grad_accum_steps, or use --device cpu"
        raise DeviceError(device.name, "out of memory while training", remedy) from None
