"""The base of the generator's loss terms, their inputs and weighted sum.

Pictures are (N, 3, H, W) float32 in [−1, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from vidtrans.training import LOSSES
from vidtrans.training.settings import TrainingSettings

# Output of a discriminator for a batch: for each scale the features of its layers, (N, C, h, w), then the logits.
DiscriminatorOutput = list[list[Tensor]]
DiscriminatorCall = Callable[[Tensor], DiscriminatorOutput]  # Runs a discriminator on pictures, (N, C, H, W).
NUM_PRECEDING = 2  # Number of frames before the last one in a triple of consecutive frames.
TRIPLE_CHANNELS = 3 * (NUM_PRECEDING + 1)  # Input channels of the temporal discriminator: RGB of three frames.


@dataclass(frozen=True)
class PrecedingFrames:
    """The two frames before each of some examples of a batch, for a discriminator of three consecutive frames.

    ``rows``: the indices (M,) of these examples in the batch. ``outputs``, ``targets``: in [−1, 1], (M, 6, H, W)
    float32, older frame first. ``share``: M / number of triples in the step.
    """

    rows: Tensor
    outputs: Tensor
    targets: Tensor
    share: float = 1.0

    def to(self, device: torch.device, layout: torch.memory_format) -> PrecedingFrames:
        """Return a copy on a device, in a memory layout."""
        outputs, targets = (t.to(device, memory_format=layout) for t in (self.outputs, self.targets))
        return replace(self, rows=self.rows.to(device), outputs=outputs, targets=targets)

    def select(self, first: int, stop: int, num_triples: float) -> PrecedingFrames | None:
        """Return the part for the examples [first, stop) of the batch, ``rows`` counted from ``first``; None if empty.

        ``num_triples``: the number of triples in the step, for ``share``.
        """
        is_inside = (self.rows >= first) & (self.rows < stop)
        if not (count := int(is_inside.sum())):
            return None
        rows, share = self.rows[is_inside] - first, count / num_triples
        return PrecedingFrames(rows, self.outputs[is_inside], self.targets[is_inside], share)

    def fake(self, outputs: Tensor) -> Tensor:
        """Return triples of consecutive outputs, (M, 9, H, W), from the batch's ``outputs``, (N, 3, H, W)."""
        return torch.cat([self.outputs, outputs[self.rows]], 1)

    def real(self, targets: Tensor) -> Tensor:
        """Return triples of consecutive targets, (M, 9, H, W), from the batch's ``targets``, (N, 3, H, W)."""
        return torch.cat([self.targets, targets[self.rows]], 1)


@dataclass
class LossContext:
    """The inputs of the loss terms for a micro-batch: pictures, and the discriminators to call.

    A recurrent G blends ``raw_output`` and ``past`` into ``output``.
    """

    input: Tensor  # Input of G, (N, C, H, W).
    target: Tensor
    raw_output: Tensor  # Output of G without its history.
    output: Tensor  # Final output of G: the same tensor, unless G is recurrent and reuses its previous output.
    share: float = 1.0  # Share of the micro-batch in the step's examples, 0 to 1.
    judge: DiscriminatorCall | None = None  # Runs D on a picture, with the input if conditional; None without D.
    judge_triples: DiscriminatorCall | None = None  # Runs D_V on frame triples, (M, 9, H, W); None without D_V.
    pixel_weights: Tensor | None = None  # Pixel weights of the L1, (N, 1, H, W).
    past: Tensor | None = None  # The previous output warped to this frame, a ``flow.history`` (N, 4, H, W).
    earlier: PrecedingFrames | None = None  # The two frames before some of the examples.
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext  # Context with the networks' precision.

    @cached_property
    def on_fake(self) -> DiscriminatorOutput:
        """Return D's features and logits for ``raw_output``, by scale."""
        assert self.judge is not None
        return self.judge(self.raw_output)

    @cached_property
    def on_real(self) -> DiscriminatorOutput:
        """Return D's features and logits for the target, by scale, without gradients."""
        assert self.judge is not None
        with torch.no_grad():
            return self.judge(self.target)

    def sum_over_outputs(self, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``loss`` of the generator's raw output, plus that of its final output if G is recurrent."""
        raw_loss = loss(self.raw_output)
        return raw_loss if self.output is self.raw_output else raw_loss + loss(self.output)


class Term(nn.Module):
    """A term of the generator's loss, built once per run.

    ``uses_discriminator``: whether the term uses D; steps without D omit such terms.
    """

    uses_discriminator = False

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__()

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return a text for the run's cache key that identifies external inputs, such as a file's digest; or ''."""
        del settings
        return ""

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the unweighted loss, a scalar mean, or None if it does not apply to this step."""
        raise NotImplementedError


class GeneratorLoss(nn.Module):
    """The weighted sum of the loss terms in use.

    ``weights``: the weights by name; 0 for a loss that is off but always reported.
    """

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__()
        used = settings.loss_weights
        self.weights = {n: w for n, w in settings.weights.items() if n in used or LOSSES[n].reported}
        self.terms = nn.ModuleDict({name: LOSSES.load(name)(settings) for name in self.weights})
        # The order of the terms affects the last bits of their sum, so it is fixed: terms that use D come first.
        self._order = sorted(self.terms, key=lambda name: not self.terms[name].uses_discriminator)

    def forward(self, step: LossContext) -> dict[str, Tensor]:
        """Return the unweighted losses by name, without the terms that do not apply to this step."""
        names = [name for name in self._order if step.judge or not self.terms[name].uses_discriminator]
        losses = {name: self.terms[name](step) for name in names}
        return {name: loss for name, loss in losses.items() if loss is not None}

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of ``losses``, a scalar."""
        first, *others = (self.weights[name] * value for name, value in losses.items())
        return sum(others, first)


def mean_of(losses: Sequence[Tensor]) -> Tensor:
    """Return the mean of scalar losses, such as those of a discriminator's scales."""
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).mean()
