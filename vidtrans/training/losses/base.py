"""Terms of the generator's loss, their inputs and their weighted sum. Pictures are (N, 3, H, W) float32 in [−1, 1]."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from vidtrans.training import LOSSES
from vidtrans.training.settings import TrainingSettings

# A discriminator's output for a picture: for each scale its layers' features (N, C, h, w), last the logits.
Judgement = list[list[Tensor]]
Judge = Callable[[Tensor], Judgement]
NUM_PRECEDING = 2  # Frames of a triple before the last.
TRIPLE_CHANNELS = 3 * (NUM_PRECEDING + 1)


@dataclass(frozen=True)
class PrecedingFrames:
    """The two frames before some pictures of a batch: the pictures' indices ``rows`` (M,), outputs and targets.

    ``painted``, ``targets``: (M, 6, H, W) float32 in [−1, 1], older frame first. ``share``: M / triples in the step.
    """

    rows: Tensor
    painted: Tensor
    targets: Tensor
    share: float = 1.0

    def to(self, device: torch.device, layout: torch.memory_format) -> PrecedingFrames:
        """Return a copy on a device, in a memory layout."""
        painted, targets = (t.to(device, memory_format=layout) for t in (self.painted, self.targets))
        return replace(self, rows=self.rows.to(device), painted=painted, targets=targets)

    def within(self, first: int, stop: int, of: float) -> PrecedingFrames | None:
        """Return the frames for batch rows [first, stop), renumbered from 0, or None; ``of``: triples in the step."""
        inside = (self.rows >= first) & (self.rows < stop)
        if not (count := int(inside.sum())):
            return None
        return PrecedingFrames(self.rows[inside] - first, self.painted[inside], self.targets[inside], count / of)

    def fake(self, outputs: Tensor) -> Tensor:
        """Return triples (M, 9, H, W) whose last frames are the batch's outputs, (N, 3, H, W)."""
        return torch.cat([self.painted, outputs[self.rows]], 1)

    def real(self, targets: Tensor) -> Tensor:
        """Return triples (M, 9, H, W) of target frames; the last are in the batch's ``targets``, (N, 3, H, W)."""
        return torch.cat([self.targets, targets[self.rows]], 1)


@dataclass
class LossContext:
    """The inputs of the loss terms for a micro-batch. A recurrent G blends ``painted`` and ``past`` into ``output``."""

    input: Tensor  # what G saw, (N, C, H, W)
    target: Tensor
    painted: Tensor  # G's picture
    output: Tensor  # the same tensor, unless G is recurrent and keeps some of its past
    share: float = 1.0  # of the step's pictures
    judge: Judge | None = None  # what D says of a picture beside the input; None in steps without D
    judge_triples: Judge | None = None  # what D_V says of three frames in a row, (M, 9, H, W); None without D_V
    pixel_weights: Tensor | None = None  # (N, 1, H, W), of the L1
    past: Tensor | None = None  # the previous output warped to this frame, a ``flow.history`` (N, 4, H, W)
    earlier: PrecedingFrames | None = None  # the two frames before some of the pictures
    autocast: Callable[[], AbstractContextManager[object]] = nullcontext  # the precision of networks

    @cached_property
    def on_fake(self) -> Judgement:
        """Return D's features and logits for ``painted``, G's picture, by scale."""
        assert self.judge is not None
        return self.judge(self.painted)

    @cached_property
    def on_real(self) -> Judgement:
        """Return D's features and logits for the target, by scale, without gradients."""
        assert self.judge is not None
        with torch.no_grad():
            return self.judge(self.target)

    def over_pictures(self, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``loss`` of the painted picture, plus ``loss`` of the output if a recurrent generator's differs."""
        of_painted = loss(self.painted)
        return of_painted if self.output is self.painted else of_painted + loss(self.output)


class Term(nn.Module):
    """A term of the generator's loss, built once per run. ``ask_d``: whether it uses D; steps without D omit it."""

    ask_d = False

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__()

    @staticmethod
    def identity(settings: TrainingSettings) -> str:
        """Return an identifier of external inputs, such as a file's digest; it is part of the run's key."""
        del settings
        return ""

    def forward(self, step: LossContext) -> Tensor | None:
        """Return the unweighted loss, a scalar mean, or None if it does not apply to this step."""
        raise NotImplementedError


class GeneratorLoss(nn.Module):
    """The weighted sum of the losses in use. ``weights``: by name; 0 for a loss that is off but always reported."""

    def __init__(self, settings: TrainingSettings) -> None:
        super().__init__()
        on = settings.loss_weights
        self.weights = {n: w for n, w in settings.weights.items() if n in on or LOSSES[n].reported}
        self.terms = nn.ModuleDict({name: LOSSES.load(name)(settings) for name in self.weights})
        # The order of a sum decides its last bits: terms that use D come first.
        self._order = sorted(self.terms, key=lambda name: not self.terms[name].ask_d)

    def forward(self, step: LossContext) -> dict[str, Tensor]:
        """Return the unweighted losses of this step by name."""
        found = {name: self.terms[name](step) for name in self._order if step.judge or not self.terms[name].ask_d}
        return {name: value for name, value in found.items() if value is not None}

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """Return the weighted sum of ``losses``."""
        first, *others = (self.weights[name] * value for name, value in losses.items())
        return sum(others, first)


def mean_of(losses: Sequence[Tensor]) -> Tensor:
    """Return the mean of scalars, such as the losses of D's scales."""
    return losses[0] if len(losses) == 1 else torch.stack(list(losses)).mean()
