"""A network with its optimizer: gradient steps, numerical precision, CUDA graphs of steps, and averaged weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vidtrans.inference.cuda_graphs import is_recording, record
from vidtrans.inference.device import Device, Precision, resolve_precision
from vidtrans.networks.convolutions import MatmulConv, MatmulConvTranspose
from vidtrans.networks.for_rendering import use_fast_norms
from vidtrans.training import ADVERSARIAL
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.losses.adversarial import Adversarial, discriminator_loss
from vidtrans.training.losses.base import DiscriminatorOutput
from vidtrans.training.settings import TrainingSettings

T = TypeVar("T")  # The return type of a network's function.
TrainingPrecision = Precision  # The numerical precision of training steps.
# Data types of torch.autocast by the name of a precision; other precisions need no autocast.
_AUTOCAST_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Subclasses of these layer types are not included, because they may compute in fp32.
# Types of layers whose weight is used as it is stored, and under autocast only in bf16.
BF16_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear, MatmulConv, MatmulConvTranspose)
WARM_UP = 3  # Number of steps before a step is recorded, in which libraries choose algorithms and allocate memory.
# A training step as a function of tensors on the device, for ``CapturedStep``.
Body = Callable[..., tuple[Tensor, ...]]


def resolve_precisions(name: str, device: Device) -> tuple[TrainingPrecision, Precision]:
    """Return (precision of training steps, precision of previews and scores) for the precision setting ``name``.

    Raises UsageError for fp16 and tf32 on devices other than CUDA.
    """
    precision = resolve_precision(name, device, "training.precision")
    if precision == "tf32":
        return "tf32", "fp32"
    return precision, resolve_precision("auto", device) if precision == "fp16" else precision


def autocast(device: Device, precision: TrainingPrecision) -> torch.autocast:
    """Return torch's autocast context for a precision; it has no effect in fp32 and tf32."""
    return torch.autocast(device.kind, _AUTOCAST_DTYPES.get(precision), enabled=precision in _AUTOCAST_DTYPES)


class _Adam(torch.optim.Adam):
    """PyTorch's Adam without the import of ``torch._dynamo``, which would take a second.

    PyTorch wraps these methods so that ``torch.compile`` does not trace them; here they are never compiled.
    """

    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))


class NetworkTrainer:
    """A network with an Adam optimizer for the parameters that are not frozen.

    ``dist``: the group of processes that share each batch.
    """

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
            use_fast_norms(network, training=True)
        trained = [p for p in network.parameters() if p.requires_grad]
        betas = (settings.beta1, settings.beta2)
        self.optimizer = _Adam(trained, lr=settings.lr, betas=betas, fused=True)
        # In fp16, gradients below 6e-8 would become 0, so the loss is scaled up as far as no gradient overflows.
        self.scaler = torch.amp.GradScaler(device.kind, enabled=precision == "fp16")
        casts = device.kind == "cpu" and precision == "bf16" and not settings.compile
        self._copies = WeightCopies(network) if casts else None

    @staticmethod
    def layout(settings: TrainingSettings, device: Device, precision: TrainingPrecision) -> torch.memory_format:
        """Return the memory layout of the network's weights and pictures."""
        del device, precision
        return torch.channels_last if settings.channels_last else torch.contiguous_format

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Return a context that runs the network in the precision of the training."""
        with autocast(self.device, self.precision), self._copies.use() if self._copies else nullcontext():
            yield

    def maybe_compile(self, function: Callable[[Tensor], T]) -> Callable[[Tensor], T]:
        """Return ``function``, which calls the network, compiled if ``training.compile`` is set."""
        if not self.settings.compile:
            return function
        from vidtrans.inference.user_cache import kernel_environment, use_inductor_cache  # Only few trainings compile.

        use_inductor_cache(kernel_environment(self.device))
        compiled: Callable[[Tensor], T] = torch.compile(function, dynamic=False)
        return compiled

    def zero_grad(self) -> None:
        """Delete the gradients of all parameters."""
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those of the parameters."""
        self.scaler.scale(loss).backward()

    def optimizer_step(self, lr: float | Tensor) -> None:
        """Take one optimizer step with gradients averaged over processes; in fp16 skip it if a gradient overflowed.

        ``lr``: must be a scalar tensor if the step is replayed with another learning rate.
        """
        self.dist.average_gradients(self.network)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
            # Torch requires the flag "capturable" to record an optimizer. The fused Adam computes the same without it.
            group["capturable"] = is_recording()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self._copies:
            self._copies.forget()

    def tensors(self) -> list[Tensor]:
        """Return the tensors that a training step changes in place: weights, buffers and the optimizer's state."""
        network = [*self.network.parameters(), *self.network.buffers()]
        return network + [t for entry in self.optimizer.state.values() for t in entry.values() if isinstance(t, Tensor)]

    def state(self) -> dict[str, Any]:
        """Return the states of network, optimizer and loss scaler, for a checkpoint."""
        return {part: getattr(self, part).state_dict() for part in ("network", "optimizer", "scaler")}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore network, optimizer and loss scaler from a checkpoint."""
        for part, value in state.items():
            getattr(self, part).load_state_dict(value)


class DiscriminatorTrainer(NetworkTrainer):
    """A discriminator D with its optimizer. D's method ``judge`` returns features and logits by scale."""

    @staticmethod
    def layout(settings: TrainingSettings, device: Device, precision: TrainingPrecision) -> torch.memory_format:
        """Return the memory layout: channels last in bf16 on a CPU, where it is faster for many pixels, else as set.

        The inner layers of a large generator have few positions, so the setting decides for generators.
        """
        if device.kind == "cpu" and precision == "bf16":
            return torch.channels_last
        return NetworkTrainer.layout(settings, device, precision)

    @cached_property
    def objective(self) -> Adversarial:
        """Return the adversarial objective of the setting ``gan_mode``."""
        objective: Adversarial = ADVERSARIAL.load(self.settings.gan_mode)
        return objective

    @cached_property
    def _judge(self) -> Callable[[Tensor], DiscriminatorOutput]:
        """Return D's method ``judge``, which maps pictures to features and logits; compiled if the setting is on."""
        network: Any = self.network
        judge: Callable[[Tensor], DiscriminatorOutput] = self.maybe_compile(network.judge)
        return judge

    def judge(self, *pictures: Tensor) -> list[DiscriminatorOutput]:
        """Return D's features and logits by scale, for each of several batches of pictures (N, C, H, W).

        All share one autocast context, to convert weights once.
        """
        with self.autocast():
            return [self._judge(picture.to(memory_format=self._layout)) for picture in pictures]

    def update(self, pairs: Iterable[tuple[Tensor, Tensor, float]], lr: float | Tensor) -> Tensor:
        """Update D once, to tell fake from real: maximise log D(real) + log(1 − D(fake)), or another objective.

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
        self.network.requires_grad_(False)  # The generator's step must not change D.
        return total


@dataclass
class _Bf16Copy:
    """A ``copy`` in bf16 of the ``weight`` that ``layers`` share; ``grad``: memory for its gradient in fp32.

    ``version``: torch's version of the weight when it was copied; −1: it must be copied again.
    """

    layers: list[nn.Module]
    weight: nn.Parameter
    copy: nn.Parameter
    grad: Tensor
    version: int = -1

    @torch.no_grad()
    def collect(self, copy: Tensor) -> None:
        """Add the gradient of the copy to the gradient of the weight, then delete the gradient of the copy."""
        assert copy.grad is not None
        if self.weight.grad is None:
            self.weight.grad = self.grad.copy_(copy.grad)
        else:
            self.weight.grad.add_(copy.grad)
        copy.grad = None


class WeightCopies:
    """Copies in bf16 of a network's convolution and linear weights, for autocast on a CPU.

    Autocast casts every weight in each forward pass into fresh memory, and every gradient back. Here copies and
    gradients use permanent memory, and a weight is cast again only after it changed: on a processor whose matrix units
    compute bf16 ten times as fast as fp32, the casts were two fifths of a step of U-Net 256 (54 million weights).
    Results are bit-identical: autocast's own copy is also made once a pass, and its gradients are also summed in bf16.
    (Only the weight of a matrix product that several passes of one graph use, whose view autocast casts each time, is
    rounded once more.)
    """

    def __init__(self, network: nn.Module) -> None:
        copies: dict[int, _Bf16Copy] = {}
        for layer in network.modules():
            weight = layer._parameters.get("weight") if type(layer) in BF16_LAYERS else None
            if weight is None:  # Other layers, and computed weights (spectral norm), are not copied.
                continue
            if id(weight) not in copies:
                copy = nn.Parameter(torch.empty_like(weight, dtype=torch.bfloat16), requires_grad=True)
                copies[id(weight)] = _Bf16Copy([], weight, copy, torch.empty_like(weight))
                copy.register_post_accumulate_grad_hook(copies[id(weight)].collect)
            copies[id(weight)].layers.append(layer)
        self._copies, self._is_used = list(copies.values()), False

    @contextmanager
    def use(self) -> Iterator[None]:
        """Return a context in which the layers compute with the bf16 copies. Contexts may be nested."""
        if self._is_used:
            yield
            return
        self._refresh()
        self._is_used = True
        try:
            for one in self._copies:
                one.copy.requires_grad_(one.weight.requires_grad)
                for layer in one.layers:
                    layer._parameters["weight"] = one.copy
            yield
        finally:
            for one in self._copies:
                for layer in one.layers:
                    layer._parameters["weight"] = one.weight
            self._is_used = False

    def forget(self) -> None:
        """Mark all copies as out of date, so that they are made again; call this after a step of a fused optimizer.

        Other changes of a weight in place are detected by its version, which fused optimizers do not increase.
        """
        for one in self._copies:
            one.version = -1

    @torch.no_grad()
    def _refresh(self) -> None:
        """Cast the weights that changed since their last copy."""
        changed = [one for one in self._copies if one.version != one.weight._version]
        if changed:
            torch._foreach_copy_([one.copy for one in changed], [one.weight for one in changed])
            for one in changed:
                one.version = one.weight._version


class CapturedStep:
    """A function that runs training steps as replays of a recorded CUDA graph, if that gives the same results.

    ``refusal``: the reason why steps are not replayed; '' if there is none.

    Launching kernels one by one takes longer than a small network needs. The first steps run as usual. Then one step is
    run, recorded, undone and replayed. If the replay gives bit-identical losses, weights and optimizer state, all
    further steps are replays; otherwise the graph is dropped. So a run has the same result with and without graphs. See
    "CUDA Graphs" in torch's notes on CUDA semantics.

    ``state``: returns the tensors that a step changes in place, always the same tensors in the same order.
    """

    def __init__(self, state: Callable[[], Sequence[Tensor]], device: torch.device) -> None:
        self._state, self._device = state, device
        self.refusal = ""
        self.forget()

    @property
    def is_replaying(self) -> bool:
        """Return whether a step is recorded, so that the next steps of the same kind are replays."""
        return self._replay is not None

    def forget(self) -> None:
        """Drop the recorded CUDA graph; call this method after tensors of the state were replaced."""
        self._kind: Hashable = None
        self._num_taken = 0
        self._replay: Callable[[], None] | None = None
        self._inputs: tuple[Tensor, ...] = ()
        self._outputs: tuple[Tensor, ...] = ()

    def __call__(self, kind: Hashable, body: Body, inputs: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
        """Run a step and return the output of ``body`` for ``inputs``; a later call may overwrite these tensors.

        Args:
            kind: A label of the step: steps with equal labels and input shapes launch the same kernels.
            body: A function of its arguments and the state that does not wait for the device or seed random numbers.
            inputs: Tensors on the device.
            seed: Seed of the random numbers that ``body`` draws.
        """
        kind = (kind, tuple((t.shape, t.stride()) for t in inputs))
        if kind != self._kind:
            self.forget()
            self._kind = kind
        if self._replay is not None:
            for static_input, value in zip(self._inputs, inputs, strict=True):
                static_input.copy_(value)
            torch.manual_seed(seed)
            self._replay()
            return self._outputs
        self._num_taken += 1
        if self.refusal or self._num_taken <= WARM_UP:
            torch.manual_seed(seed)
            return body(*inputs)
        return self._step_and_record(body, inputs, seed)

    def _step_and_record(self, body: Body, inputs: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
        """Run a step, record it as a CUDA graph, and keep the graph if a replay gives bit-identical results."""
        before = _clone_all(self._state())
        torch.manual_seed(seed)
        expected = body(*inputs)
        after = _clone_all(self._state())
        try:
            static_inputs = tuple(_clone_all(inputs))
            replay, outputs = record(partial(body, *static_inputs), self._device)
            _copy_into(self._state(), before)
            torch.manual_seed(seed)
            replay()
            pairs = zip((*outputs, *self._state()), (*expected, *after), strict=True)
            if not all(torch.equal(a, b) for a, b in pairs):
                raise RuntimeError("a replay gives other numbers")
        except RuntimeError as error:
            self.refusal = str(error).partition("\n")[0]
            _copy_into(self._state(), after)
        else:
            self._replay, self._inputs, self._outputs = replay, static_inputs, outputs
        return expected


@torch.no_grad()
def _clone_all(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies of tensors, without gradients."""
    return [t.detach().clone() for t in tensors]


@torch.no_grad()
def _copy_into(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    """Copy ``values`` into ``tensors``, in place."""
    for tensor, value in zip(tensors, values, strict=True):
        tensor.copy_(value)


class WeightAverage:
    """An exponential moving average of a generator's weights, kept in the copy ``network``.

    Early on the decay is (1 + n) / (10 + n) after n updates, so that the first weights are soon forgotten. Buffers are
    copied: BatchNorm statistics are re-estimated before the model is written, see ``reestimate``.
    """

    def __init__(self, generator: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.network = copy.deepcopy(generator).requires_grad_(False)
        # The parameters are listed once, because iterating over a small network's layers takes a twentieth of a step.
        self._own: list[Tensor] = list(self.network.parameters())
        self._latest: list[Tensor] = list(generator.parameters())
        self._buffers = list(zip(self.network.buffers(), generator.buffers(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the generator's weights by one update."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._own, self._latest, 1 - decay)
        for average, new in self._buffers:
            average.copy_(new)

    def state(self) -> dict[str, Any]:
        """Return the averaged weights and the number of updates, for a checkpoint."""
        return {"weights": self.network.state_dict(), "updates": self.updates}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore the averaged weights and the number of updates from a checkpoint."""
        self.network.load_state_dict(state["weights"])
        self.updates = int(state["updates"])


@torch.no_grad()
def reestimate(generator: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Replace BatchNorm's running statistics by plain averages over ``inputs``, batches (N, C, H, W) in [−1, 1].

    The running averages of training lag behind the weights and stem from crops. Per-frame statistics, as in the paper's
    own test mode, would make the brightness of a video pump.
    """
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [n.momentum for n in norms]
    generator.eval()  # Turns dropout off; only the norms are in train mode.
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    for batch in inputs:
        generator(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    generator.eval()
