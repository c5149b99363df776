"""vid2vid's temporal discriminator, D_V (Wang et al., "Video-to-Video Synthesis", NeurIPS 2018, section 3.2): it judges
three frames in a row, a triple, of the output against that of the target.

Where a film flickers, each of its frames may well be like one of the target's, and a triple is not. Unlike there, it is
not told the motion, and the generator learns by the last frame: the two before were made in earlier steps, see
``chains``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from vidtrans.inference.device import Device
from vidtrans.training import ADVERSARIAL
from vidtrans.training.descent import adam, autocast, descend, scaler_for
from vidtrans.training.distributed import ALONE, Team
from vidtrans.training.losses import terms as losses
from vidtrans.training.losses.terms import Judgement
from vidtrans.training.precision import TrainingPrecision
from vidtrans.training.settings import TrainingSettings

BEFORE = 2  # frames of a row that are there before the last
CHANNELS = 3 * (BEFORE + 1)


@dataclass(frozen=True)
class Earlier:
    """The two frames right before some of a batch: of its ``rows`` (M,), what was ``painted`` and the ``targets``.

    Both (M, 6, H, W) float32 in [−1, 1], the older frame first. ``share``: of all triples of a step.
    """

    rows: Tensor
    painted: Tensor
    targets: Tensor
    share: float = 1.0

    def placed(self, device: torch.device, layout: torch.memory_format) -> Earlier:
        painted, targets = (t.to(device, memory_format=layout) for t in (self.painted, self.targets))
        return replace(self, rows=self.rows.to(device), painted=painted, targets=targets)

    def within(self, first: int, stop: int, of: float) -> Earlier | None:
        """Those of the batch's rows ``first`` … ``stop − 1``, counted from there, as a share ``of`` so many."""
        inside = (self.rows >= first) & (self.rows < stop)
        if not (count := int(inside.sum())):
            return None
        return Earlier(self.rows[inside] - first, self.painted[inside], self.targets[inside], count / of)

    def fake(self, outputs: Tensor) -> Tensor:
        """Triples (M, 9, H, W), whose last frames are of the batch's outputs, (N, 3, H, W)."""
        return torch.cat([self.painted, outputs[self.rows]], 1)

    def real(self, targets: Tensor) -> Tensor:
        """The same of the targets."""
        return torch.cat([self.targets, targets[self.rows]], 1)


class TemporalGAN:
    """D_V and its optimiser. ``network`` offers ``judge``, see ``losses``, of ``CHANNELS`` channels."""

    def __init__(
        self,
        network: nn.Module,
        settings: TrainingSettings,
        device: Device,
        precision: TrainingPrecision,
        team: Team = ALONE,
    ) -> None:
        self.network, self.device, self.precision, self.team = network, device, precision, team
        self.objective = ADVERSARIAL.load(settings.adversarial)
        self.optimizer = adam(network, settings)
        self.scaler = scaler_for(device, precision)

    def count(self, earlier: Earlier | None) -> float:
        """How many triples a step has: where several processes share it, their mean. All have to ask."""
        return self.team.mean([float(len(earlier.rows)) if earlier else 0.0])[0]

    def update(self, shown: Sequence[tuple[Tensor, Tensor, Earlier]], lr: float) -> Tensor:
        """One step on outputs, targets and what was earlier; its loss. In a step whose ``count`` is not 0."""
        self.network.train().requires_grad_(True)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device.torch)
        for outputs, targets, earlier in shown:
            on_fake, on_real = self._judge(earlier.fake(outputs), earlier.real(targets))
            loss = losses.discriminator_loss(self.objective, on_fake, on_real) * earlier.share
            self.scaler.scale(loss).backward()
            total += loss.detach()
        self.team.average_gradients(self.network)
        descend(self.optimizer, self.scaler, lr)
        self.network.requires_grad_(False)
        return total

    def of_generator(self, outputs: Tensor, earlier: Earlier) -> Tensor:
        """What G minimises: what these triples add to the mean over all of the step."""
        [on_fake] = self._judge(earlier.fake(outputs))
        return losses.generator_loss(self.objective, on_fake) * earlier.share

    def _judge(self, *triples: Tensor) -> list[Judgement]:
        d: Any = self.network
        with autocast(self.device, self.precision):
            return [d.judge(triple) for triple in triples]

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "discriminator": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.precision == "fp16":
            self.scaler.load_state_dict(state["scaler"])
