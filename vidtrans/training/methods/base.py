"""The interface of training methods, and the shared code of their steps: micro-batches, deterministic algorithms."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self, TypeVar

import numpy as np
import torch
import torch.utils.deterministic
from torch import Tensor, nn

from vidtrans.core.errors import DeviceError, UsageError, is_out_of_memory
from vidtrans.core.registry import unknown_name
from vidtrans.core.settings import Table
from vidtrans.data.dataset import Pair
from vidtrans.inference.device import Device, to_device
from vidtrans.inference.engine import Engine
from vidtrans.pairing.base import Pairing
from vidtrans.training.distributed import DistContext
from vidtrans.training.losses.base import PrecedingFrames
from vidtrans.training.methods.network_trainer import NetworkTrainer, TrainingPrecision, WeightAverage
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.validation import pick_evenly, score

M = TypeVar("M", bound=nn.Module)  # The type of a network.
_COMPILER_MODULES = ("torch._dynamo", "torch._inductor")  # Modules whose errors come from torch.compile.
SEED_STRIDE = 1009  # Difference between the seeds of two processes; it exceeds the number of micro-batches in a step.
# Torch's warnings about an operation without a deterministic algorithm; group 1 is the operation's name.
_NONDETERMINISM_WARNINGS = (
    re.compile(r"^(\S+) does not have a deterministic implementation"),
    re.compile(r"^(.+? [Aa]ttention) defaults to a non-deterministic algorithm"),
    re.compile(r"not deterministic because it uses (CuBLAS)"),
)


@dataclass(frozen=True)
class TrainingStep:
    """The input of one training step: pictures, learning rate, seed and pixel weights.

    Attributes:
        inputs: (N, C, H, W) float32 in [−1, 1].
        targets: (N, 3, H, W) float32 in [−1, 1].
        lr: The learning rate.
        seed: Seed of all random numbers in the step.
        progress: Completed share of the run, 0 to 1.
        weights: Pixel weights, (N, 1, H, W), of the L1, or of the content if the method ``preserves_content``.
        earlier: The two frames before some of the inputs.
    """

    inputs: Tensor
    targets: Tensor
    _: KW_ONLY
    lr: float
    seed: int
    progress: float = 1.0
    weights: Tensor | None = None
    earlier: PrecedingFrames | None = None


class Setup(Protocol):
    """The parts of a run from which a method builds its networks, such as settings, device and network factories.

    The argument ``number`` is added to the run's seed for the initial weights of a network.
    """

    settings: TrainingSettings
    device: Device
    precision: TrainingPrecision
    dist: DistContext

    @property
    def in_channels(self) -> int:
        """Return the number of the generator's input channels, with those of a plate, without those of a history."""

    def make_generator(self, number: int = 0, *, reverse: bool = False) -> nn.Module:
        """Build the recipe's generator, initialised, or with the weights of ``--from`` if given. Raises UsageError.

        ``number``: added to the run's seed for the initial weights. ``reverse``: build the generator from the target's
        domain to the source's.
        """

    def make_discriminator(self, channels: int, number: int) -> nn.Module:
        """Build the recipe's discriminator for pictures (N, channels, H, W); ``number``: added to the run's seed.

        Raises UsageError.
        """

    def initialise(self, network: nn.Module, number: int) -> None:
        """Initialise the weights of a network that the method has built; ``number``: added to the run's seed."""

    @property
    def recolour(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """Return the function that maps a frame, (H, W, 3) uint8, to the target domain's colours.

        None for paired datasets.
        """

    def find_class_shares(self) -> Tensor:
        """Return the share of each target class in the training pixels, 0 to 1, (K,) float32 for K classes."""

    def find_rarity(self) -> Tensor | None:
        """Return the weight of each colour bin, larger for rare colours, from ``losses.rarity``; None if unused."""


class Stateful(Protocol):
    """A component of a method whose state is saved in checkpoints and restored."""

    def state(self) -> dict[str, Any]:
        """Return the component's state for a checkpoint."""

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the component's state from a checkpoint."""


class TrainingMethod(Protocol):
    """The interface of a training method. Subclasses override the defaults that do not suit them."""

    unpaired: ClassVar[bool] = False  # Whether it learns from domains without pairs, in ``UnpairedLoader`` batches.
    has_label_targets: ClassVar[bool] = False  # Whether its targets are label maps.
    preserves_content: ClassVar[bool] = False  # Whether pixel weights are 1 where the input's content is preserved.
    settings: TrainingSettings
    device: Device
    precision: TrainingPrecision
    layout: torch.memory_format
    dist: DistContext  # The process group that shares every batch.
    nondeterministic: set[str]  # Executed operations without a deterministic algorithm on the device.
    last_outputs: Tensor  # The outputs of the last step, (N, 3, H, W) float32, detached.
    columns: list[str]  # The names of a step's losses.
    average: WeightAverage | None = None  # The moving average of the generator's weights.
    g: NetworkTrainer  # The generator with its optimizer.
    # All trained networks by name, ``generator`` first; all have ``smallest``, the generator also has ``multiple``.
    networks: dict[str, Any]

    @classmethod
    def make(cls, setup: Setup) -> Self:
        """Build all networks and their optimizers, for a run at step 0."""

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return a text for the run's cache key that identifies external inputs, such as a file's digest; or ''."""
        del settings
        return ""

    @staticmethod
    def num_frames(settings: TrainingSettings) -> int:
        """Return the number of consecutive frames, of three channels each, per example of an unpaired dataset.

        The newest frame comes first.
        """
        del settings
        return 1

    @staticmethod
    def code_size(settings: TrainingSettings) -> int:
        """Return the size of the generator's style code; 0 for a generator without a style code."""
        del settings
        return 0

    @property
    def trained_generator(self) -> nn.Module:
        """Return the network that becomes the model: the generator, or the moving average of its weights."""
        generator: nn.Module = self.average.network if self.average else self.networks["generator"]
        return generator

    @property
    def companion_networks(self) -> Mapping[str, nn.Module]:
        """Return the networks that become companion models, by the suffix of their file names."""
        return {}

    @property
    def turning_point(self) -> float:
        """Return the share of the run, 0 to 1, after which losses and so the duration of a step change; 0 if never."""
        return self.settings.gan_start

    @property
    def balance(self) -> float | None:
        """Return D's loss when D cannot tell fake from real; None without a discriminator."""
        return None

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        """Take one training step; return the unweighted losses by column name.

        Raises DeviceError if memory is too small.
        """

    @property
    def components(self) -> Mapping[str, Stateful]:
        """Return the components with a state to save, by name: networks with optimizers, averages and pools."""
        return {"generator": self.g} | ({"average": self.average} if self.average else {})

    def state(self) -> dict[str, Any]:
        """Return the method's state: tensors, numbers and text, in dicts and lists."""
        states = {name: component.state() for name, component in self.components.items()}
        return states | {"nondeterministic": sorted(self.nondeterministic)}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the method's state from a checkpoint; training then continues bit-identically."""
        self.nondeterministic = set(state["nondeterministic"])
        for name, component in self.components.items():
            component.restore(state[name])

    def configure(
        self, settings: TrainingSettings, device: Device, precision: TrainingPrecision, dist: DistContext
    ) -> None:
        """Set the attributes of all methods: settings, device, precision, processes, memory layout, empty outputs."""
        self.settings, self.device, self.precision, self.dist = settings, device, precision, dist
        self.layout = NetworkTrainer.layout(settings, device, precision)
        self.nondeterministic, self.last_outputs = set(), torch.empty(0)

    def place(self, network: M) -> M:
        """Move a network to the device, in the memory layout of the settings."""
        return network.to(device=self.device.torch, memory_format=self.layout)  # type: ignore[call-overload]

    def upload(self, *batch: Tensor) -> list[Tensor]:
        """Move a batch's pictures to the device, in the memory layout of the settings."""
        return [to_device(pictures, self.device).to(memory_format=self.layout) for pictures in batch]

    def validate(self, engine: Engine, pairing: Pairing, pairs: Sequence[Pair]) -> Table:
        """Return the mean scores of held-out pairs by name; ``best_metric`` and ``patience`` use them."""
        return score(engine, pairing, pairs)

    def choose(self, pairs: Sequence[Pair], most: int) -> list[Pair]:
        """Return at most ``most`` held-out pairs for scores during training."""
        return pick_evenly(pairs, most)

    def remarks(self, scores: Table) -> list[str]:
        """Return remarks for the user about the scores of a finished model, one line each."""
        del scores
        return []

    def describe(self, losses: Mapping[str, float]) -> str:
        """Return a step's losses as text for the progress line."""
        return "  ".join(f"{name} {value:.3f}" for name, value in losses.items())

    def find_problems(self, rows: Sequence[Sequence[float]], total: int) -> list[str]:
        """Return warnings, each ``name: text``, from the losses of all steps so far: one row of ``rows`` per step.

        ``total``: number of steps of the run.
        """
        del rows, total
        return []

    def is_finite(self) -> bool:
        """Return whether all weights of all networks are finite."""
        weights = [p for network in self.networks.values() for p in network.state_dict().values()]
        return all(bool(torch.isfinite(p).all()) for p in weights)


@contextmanager
def training_step(device: Device, nondeterministic: set[str]) -> Iterator[None]:
    """Return a context for a training step that collects the names of ``nondeterministic`` operations.

    Raises DeviceError if memory is too small, UsageError if the networks cannot be compiled.
    """
    try:
        with deterministic(device, nondeterministic):
            yield
    except Exception as error:
        if type(error).__module__.startswith(_COMPILER_MODULES):
            why = str(error).strip().splitlines()[0]
            raise UsageError(
                "training.compile", f"it cannot compile here ({why})", "use --set training.compile=false"
            ) from None
        if not is_out_of_memory(error):
            raise
        remedy = "lower training.batch_size or training.crop_size, raise training.grad_accum_steps, or use --device cpu"
        raise DeviceError(device.name, "out of memory while training", remedy) from None


class GeneratorOutput(NamedTuple):
    """The outputs of a generator for a batch, ``final`` and ``raw``; they differ only for a recurrent generator.

    A recurrent generator blends ``raw`` and its history into ``final``.
    """

    final: Tensor
    raw: Tensor

    def detach(self) -> GeneratorOutput:
        """Return both outputs without gradients."""
        return GeneratorOutput(*(t.detach() for t in self))


@dataclass
class MicroBatch:
    """A micro-batch: a part of a step's batch, processed separately to save memory.

    ``x``: inputs, (N, C, H, W); ``y``: targets, (N, 3, H, W). ``share``: the share of the batch's examples, 0 to 1.
    ``seed``: the seed of the dropout; None if torch has been seeded for a single micro-batch. ``weights``: pixel
    weights of the L1, (N, 1, H, W). ``earlier``: the preceding frames. ``output``, ``detached_output``: G(x) with and
    without its graph.
    """

    x: Tensor
    y: Tensor
    share: float
    seed: int | None
    weights: Tensor | None = None
    earlier: PrecedingFrames | None = None
    output: GeneratorOutput | None = None
    detached_output: GeneratorOutput | None = None


def split(x: Tensor, y: Tensor, weights: Tensor | None, count: int, seed: int) -> list[MicroBatch]:
    """Split a batch into at most ``count`` micro-batches; their losses times their ``share`` add up to the batch's.

    ``x``, ``y``, ``weights``: inputs, targets and pixel weights. ``seed``: the seed of the first; the others follow.
    """
    weight_parts = [None] * count if weights is None else weights.tensor_split(count)
    tensors = zip(x.tensor_split(count), y.tensor_split(count), weight_parts, strict=True)
    return [MicroBatch(a, b, len(a) / len(x), seed + i, w) for i, (a, b, w) in enumerate(tensors) if len(a)]


def assign_triples(
    micro_batches: list[MicroBatch], earlier: PrecedingFrames, count: float, layout: torch.memory_format
) -> None:
    """Set the field ``earlier`` of each micro-batch to its part of the preceding frames ``earlier``.

    ``count``: the number of triples in the step. ``layout``: the memory layout of the pictures.
    """
    first = 0
    for batch in micro_batches:
        selected = earlier.select(first, first + len(batch.x), count)
        batch.earlier = selected and selected.to(batch.x.device, layout)
        first += len(batch.x)


def nondeterministic_operation(message: str) -> str | None:
    """Return the name of the operation that a torch warning reports as nondeterministic; None for other warnings."""
    return next((match[1] for pattern in _NONDETERMINISM_WARNINGS if (match := pattern.search(message))), None)


@contextmanager
def deterministic(device: Device, operations: set[str]) -> Iterator[None]:
    """Return a context with deterministic algorithms on CUDA; add the operations without one to ``operations``.

    On a CPU every operation used here is deterministic. On CUDA some sums of gradients are not: torch has slower,
    deterministic algorithms for most of them, and warns where it has none (``torch.use_deterministic_algorithms``). For
    MPS torch promises nothing. Rendering is deterministic without it.
    """
    if device.kind != "cuda":
        yield
        return
    enabled = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    memory: Any = torch.utils.deterministic
    fills, always = memory.fill_uninitialized_memory, torch.is_warn_always_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    memory.fill_uninitialized_memory = False  # No step reads uninitialised memory.
    torch.set_warn_always(True)  # Otherwise some warnings are shown once per process, which may train several models.
    try:
        with _collect_operations(operations):
            yield
    finally:
        torch.set_warn_always(always)
        memory.fill_uninitialized_memory = fills
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)


@contextmanager
def _collect_operations(operations: set[str]) -> Iterator[None]:
    """Return a context that adds operations from torch's warnings to ``operations``, and shows other warnings."""
    with warnings.catch_warnings():
        show: Callable[..., Any] = warnings.showwarning
        for pattern in _NONDETERMINISM_WARNINGS:
            warnings.filterwarnings("always", message=f".*{pattern.pattern.lstrip('^')}")

        def collect(message: Warning | str, *further: object, **more: object) -> None:
            """Add the operation that a warning names to ``operations``; show any other warning."""
            if operation := nondeterministic_operation(str(message)):
                operations.add(operation)
            else:
                show(message, *further, **more)

        warnings.showwarning = collect
        yield


def seed_random(seed: int, device: Device) -> None:
    """Seed torch's random numbers (dropout) on ``device``.

    ``torch.manual_seed`` also stores the seed, with a stack trace, for each kind of accelerator that is not in use: on
    a CPU that takes 1.5 ms in every step.
    """
    if device.kind == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def freeze(generator: nn.Module, names: Sequence[str]) -> None:
    """Turn off the gradients of the modules ``names``, such as 'down' or 'down.0', and of their submodules.

    BatchNorm's statistics are still updated. Raises UsageError on an unknown name, and if no trainable weights remain.
    """
    parts = [name for name, _ in generator.named_modules() if name]
    for name in names:
        if name not in parts:
            # Names with two or more dots are valid too, but are not listed, to keep the message short.
            raise unknown_name("part of the generator", name, [p for p in parts if p.count(".") < 2])
        generator.get_submodule(name).requires_grad_(False)
    if not any(p.requires_grad for p in generator.parameters()):
        raise UsageError(
            f"training.freeze = {list(names)}", "no part of the generator is left to train", "name fewer parts"
        )
