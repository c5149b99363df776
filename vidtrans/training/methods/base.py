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
from vidtrans.training.device.distributed import DistContext
from vidtrans.training.losses.base import PrecedingFrames
from vidtrans.training.methods.network_trainer import NetworkTrainer, TrainingPrecision
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import evenly, score

M = TypeVar("M", bound=nn.Module)
_COMPILERS = ("torch._dynamo", "torch._inductor")  # modules of errors of torch.compile


class Setup(Protocol):
    """A run's components for its method. ``number``, an argument: added to the run's seed for a network's weights."""

    settings: TrainingSettings
    device: Device
    precision: TrainingPrecision
    dist: DistContext

    @property
    def in_channels(self) -> int:
        """Return the number of input channels of the generator: a plate's channels count, a history's do not."""

    def make_generator(self, number: int = 0, *, reverse: bool = False) -> nn.Module:
        """Build the recipe's generator, with the weights of ``--from`` if given. Raises UsageError.

        ``reverse``: build the generator from the target's domain to the source's.
        """
        ...

    def make_discriminator(self, channels: int, number: int) -> nn.Module:
        """Build a discriminator of the recipe's kind, for pictures (N, channels, H, W). Raises UsageError."""
        ...

    def initialise(self, network: nn.Module, number: int) -> None:
        """Initialise the weights of a network that the method has built."""
        ...

    @property
    def recolour(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """The function that maps a frame, (H, W, 3) uint8, to the target domain's colours; None for paired datasets."""
        ...

    def find_class_shares(self) -> Tensor:
        """Return the share of the training pixels, 0 to 1, in each class of the targets, (K,) float32."""
        ...

    def find_rarity(self) -> Tensor | None:
        """Return the colour weights that ``losses.rarity`` computes; None if unused."""
        ...


class Stateful(Protocol):
    """A part of a method whose state is saved and restored."""

    def state(self) -> dict[str, Any]:
        """Return the state that a step changes."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state returned by ``state``."""


class TrainingMethod(Protocol):
    """A training method for generators. Subclasses override the defaults that do not fit."""

    unpaired: ClassVar[bool] = False  # it learns from domains without pairs, in batches of ``UnpairedLoader``
    for_classes: ClassVar[bool] = False  # its targets are label maps
    keeps_content: ClassVar[bool] = False  # the weights of pixels are 1 where the input's content is to be kept
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
        """Build all networks and their optimizers, for a run at step 0."""
        ...

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return an identifier of external inputs, such as a file's digest; it is part of the run's key."""
        del settings
        return ""

    @staticmethod
    def num_frames(settings: TrainingSettings) -> int:
        """Return the number of consecutive frames per example of an unpaired dataset; each takes three channels.

        The newest comes first.
        """
        del settings
        return 1

    @staticmethod
    def code_size(settings: TrainingSettings) -> int:
        """Return the size of the style code of a generator with many looks; 0 for none."""
        del settings
        return 0

    @property
    def learned(self) -> nn.Module:
        """The network that becomes the model."""
        generator: nn.Module = self.networks["generator"]
        return generator

    @property
    def learned_more(self) -> Mapping[str, nn.Module]:
        """The networks that become companion models, by the suffix of their file names."""
        return {}

    @property
    def turning_point(self) -> float:
        """The share of the run after which the duration of a step changes; 0 if it does not."""
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
        """Take one step, and return its unweighted losses by column name.

        Args:
            inputs: (N, C, H, W) float32 in [−1, 1].
            targets: (N, 3, H, W) float32 in [−1, 1].
            lr: The learning rate.
            seed: Seed of all random numbers in the step.
            progress: Share of the run done, 0 to 1.
            weights: Of pixels, (N, 1, H, W): of the L1, or as ``keeps_content`` says.
            earlier: The two frames right before some of the inputs.

        Raises:
            DeviceError: The device's memory is too small.
        """
        ...

    @property
    def learners(self) -> Mapping[str, Stateful]:
        """Return the stateful parts of the method by name (``nondeterministic`` is saved separately)."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return the method's state: tensors, numbers and text, in dicts and lists."""
        learners = {name: part.state() for name, part in self.learners.items()}
        return learners | {"nondeterministic": sorted(self.nondeterministic)}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state; training then continues bit-identically."""
        self.nondeterministic = set(state["nondeterministic"])
        for name, part in self.learners.items():
            part.restore(state[name])

    def use(self, settings: TrainingSettings, device: Device, precision: TrainingPrecision, dist: DistContext) -> None:
        """Set the attributes that all methods share."""
        self.settings, self.device, self.precision, self.dist = settings, device, precision, dist
        self.layout = NetworkTrainer.layout(settings, device, precision)
        self.nondeterministic, self.painted = set(), torch.empty(0)

    def place(self, network: M) -> M:
        """Move a network to the device, in the memory layout of the settings."""
        return network.to(device=self.device.torch, memory_format=self.layout)  # type: ignore[call-overload]

    def upload(self, *batch: Tensor) -> list[Tensor]:
        """Move a batch's pictures to the device, in the memory layout of the settings."""
        return [to_device(pictures, self.device).to(memory_format=self.layout) for pictures in batch]

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return the scores of outputs for held-out pairs, by name; ``best_metric`` and ``patience`` use them."""
        return score(engine, pairing, pairs)

    def choose(self, pairs: Sequence[Pair], most: int) -> list[Pair]:
        """Return at most ``most`` held-out pairs to score during training."""
        return evenly(pairs, most)

    def remarks(self, scores: Table) -> list[str]:
        """Return remarks for the user on a finished model's scores, one line each."""
        del scores
        return []

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return a step's losses as text for the progress line."""
        return "  ".join(f"{name} {value:.3f}" for name, value in losses.items())

    def concerns(self, rows: Sequence[Sequence[float]], total: int) -> list[str]:
        """Return problems in ``rows``, the losses of each step, as ``name: text``; ``total``: steps of the run."""
        del rows, total
        return []

    def is_finite(self) -> bool:
        """Return whether all weights are finite."""
        weights = [p for network in self.networks.values() for p in network.state_dict().values()]
        return all(bool(torch.isfinite(p).all()) for p in weights)


@contextmanager
def training_step(device: Device, nondeterministic: set[str]) -> Iterator[None]:
    """Run a step; collect ``nondeterministic`` operations. Raises DeviceError (memory), UsageError (compilation)."""
    try:
        with deterministic(device, nondeterministic):
            yield
    except Exception as error:
        if type(error).__module__.startswith(_COMPILERS):
            why = str(error).strip().splitlines()[0]
            raise UsageError(
                "training.compile", f"it cannot compile here ({why})", "use --set training.compile=false"
            ) from None
        if not out_of_memory(error):
            raise
        remedy = "lower training.batch_size or training.crop_size, raise training.grad_accum_steps, or use --device cpu"
        raise DeviceError(device.name, "out of memory while training", remedy) from None
