"""A network with its optimizer: gradient steps, their precision, and the update of a discriminator."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vidtrans.inference.cuda_graphs import is_recording
from vidtrans.inference.device import Device, Precision, resolve_precision
from vidtrans.networks.for_rendering import use_quick_norms
from vidtrans.training import ADVERSARIAL
from vidtrans.training.device.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.device.weight_copies import WeightCopies
from vidtrans.training.losses.adversarial import Adversarial, discriminator_loss
from vidtrans.training.losses.base import Judgement
from vidtrans.training.settings import TrainingSettings

T = TypeVar("T")
TrainingPrecision = Precision
_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precisions(wanted: str, device: Device) -> tuple[TrainingPrecision, Precision]:
    """Return the precision of training steps, and that of previews and scores, for a setting ``wanted``.

    Raises UsageError for fp16 and tf32 on devices other than CUDA.
    """
    precision = resolve_precision(wanted, device, "training.precision")
    if precision == "tf32":
        return "tf32", "fp32"
    return precision, resolve_precision("auto", device) if precision == "fp16" else precision


def autocast(device: Device, precision: TrainingPrecision) -> torch.autocast:
    """Return the autocast context for a precision."""
    return torch.autocast(device.kind, _AUTOCAST.get(precision), enabled=precision in _AUTOCAST)


class _Adam(torch.optim.Adam):
    """PyTorch's Adam without the import of ``torch._dynamo``, which takes a second.

    PyTorch wraps these methods to keep ``torch.compile`` from following them; here it never sees them.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class NetworkTrainer:
    """A network with an Adam optimizer for its unfrozen parameters; ``dist``: processes that share a batch."""

    def __init__(
        self,
        network: nn.Module,
        settings: TrainingSettings,
        device: Device,
        precision: TrainingPrecision,
        dist: DistContext = SINGLE_PROCESS,
    ) -> None:
        self.network, self.settings, self.device, self.precision, self.dist = network, settings, device, precision, dist
        self._layout = self.layout(settings, device, precision)
        network.to(memory_format=self._layout)  # type: ignore[call-overload]
        if device.kind == "cpu" and self._layout == torch.channels_last:
            use_quick_norms(network, training=True)
        trained = [p for p in network.parameters() if p.requires_grad]
        betas = (settings.beta1, settings.beta2)
        self.optimizer = _Adam(trained, lr=settings.lr, betas=betas, fused=True)
        # In fp16, gradients would be lost below 6e-8: the loss is scaled up by what they can bear.
        self.scaler = torch.amp.GradScaler(device.kind, enabled=precision == "fp16")
        casts = device.kind == "cpu" and precision == "bf16" and not settings.compile
        self._copies = WeightCopies(network) if casts else None

    @staticmethod
    def layout(settings: TrainingSettings, device: Device, precision: TrainingPrecision) -> torch.memory_format:
        """Return the memory layout of the weights and of the pictures."""
        del device, precision
        return torch.channels_last if settings.channels_last else torch.contiguous_format

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Run the network in the precision of training."""
        with autocast(self.device, self.precision), self._copies.used() if self._copies else nullcontext():
            yield

    def compiled(self, function: Callable[[Tensor], T]) -> Callable[[Tensor], T]:
        """Return a function of the network, compiled if ``training.compile`` is set."""
        if not self.settings.compile:
            return function
        from vidtrans.inference.user_cache import environment, use_inductor_cache  # few trainings compile

        use_inductor_cache(environment(self.device))
        compiled: Callable[[Tensor], T] = torch.compile(function, dynamic=False)
        return compiled

    def zero_grad(self) -> None:
        """Discard the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a loss."""
        self.scaler.scale(loss).backward()

    def optimizer_step(self, lr: float | Tensor) -> None:
        """Take one optimizer step with gradients averaged over processes; in fp16 skip it if a gradient overflowed.

        ``lr``: must be a scalar tensor if the step is replayed with another learning rate.
        """
        self.dist.average_gradients(self.network)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            # Torch records an optimizer on this condition. The fused one does the same either way.
            group["capturable"] = is_recording()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self._copies:
            self._copies.forget()

    def tensors(self) -> list[Tensor]:
        """Return the tensors that a step changes in place: weights, buffers, and the optimizer's state."""
        network = [*self.network.parameters(), *self.network.buffers()]
        return network + [t for entry in self.optimizer.state.values() for t in entry.values() if isinstance(t, Tensor)]

    def state(self) -> dict[str, Any]:
        """Return the state of network, optimizer and scaler."""
        return {part: getattr(self, part).state_dict() for part in ("network", "optimizer", "scaler")}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state returned by ``state``."""
        for part, value in state.items():
            getattr(self, part).load_state_dict(value)


class DiscriminatorTrainer(NetworkTrainer):
    """A discriminator with its optimizer. ``network`` has a method ``judge``, see ``networks``."""

    @staticmethod
    def layout(settings: TrainingSettings, device: Device, precision: TrainingPrecision) -> torch.memory_format:
        """Return the memory layout: bf16 on a CPU computes convolutions over many positions faster with channels last.

        The inner layers of a large generator have few positions, so there the setting decides.
        """
        if device.kind == "cpu" and precision == "bf16":
            return torch.channels_last
        return NetworkTrainer.layout(settings, device, precision)

    @cached_property
    def objective(self) -> Adversarial:
        """Return the objective that ``training.gan_mode`` names."""
        objective: Adversarial = ADVERSARIAL.load(self.settings.gan_mode)
        return objective

    @cached_property
    def _judge(self) -> Callable[[Tensor], Judgement]:
        network: Any = self.network
        judge: Callable[[Tensor], Judgement] = self.compiled(network.judge)
        return judge

    def judge(self, *pictures: Tensor) -> list[Judgement]:
        """Return D's outputs for pictures (N, C, H, W), in one autocast context, so that weights are converted once."""
        with self.autocast():
            return [self._judge(picture.to(memory_format=self._layout)) for picture in pictures]

    def update(self, pairs: Iterable[tuple[Tensor, Tensor, float]], lr: float | Tensor) -> Tensor:
        """Take one step to tell fake from real: max log D(real) + log(1 − D(fake)), or another objective's loss.

        Args:
            pairs: Fake pictures, real pictures, and their share of the step's loss.
            lr: The learning rate, see ``optimizer_step``.

        Returns:
            The loss of the step, a scalar.
        """
        self.network.train().requires_grad_(True)
        self.zero_grad()
        total = torch.zeros((), device=self.device.torch)
        for fake, real, share in pairs:
            on_fake, on_real = self.judge(fake, real)
            loss = discriminator_loss(self.objective, on_fake, on_real) * share
            self.backward(loss)
            total += loss.detach()
        self.optimizer_step(lr)
        self.network.requires_grad_(False)  # the generator's step must not change it
        return total
