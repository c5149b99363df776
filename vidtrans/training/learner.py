"""How a network goes down its gradients: Adam, and the precision that they are worked out in."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vidtrans.inference.device import Device
from vidtrans.training.distributed import SINGLE_PROCESS, DistContext
from vidtrans.training.precision import TrainingPrecision
from vidtrans.training.settings import TrainingSettings

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: Device, precision: TrainingPrecision) -> torch.autocast:
    """Return the context in which a network is computed at a precision."""
    return torch.autocast(device.kind, _DTYPES[precision], enabled=precision != "fp32")


class Learner:
    """A network with its optimizer, which takes what of it is not frozen. ``dist``: who shares every batch with it."""

    def __init__(
        self,
        network: Any,
        settings: TrainingSettings,
        device: Device,
        precision: TrainingPrecision,
        dist: DistContext = SINGLE_PROCESS,
    ) -> None:
        self.network, self.settings, self.device, self.precision, self.dist = network, settings, device, precision, dist
        learning = [p for p in network.parameters() if p.requires_grad]
        betas = (settings.beta1, settings.beta2)
        self.optimizer = torch.optim.Adam(learning, lr=settings.lr, betas=betas, fused=True)
        # In fp16, gradients would be lost below 6e-8: the loss is scaled up by what they can bear.
        self.scaler = torch.amp.GradScaler(device.kind, enabled=precision == "fp16")

    def zero_grad(self) -> None:
        """Discard the gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those that are there."""
        self.scaler.scale(loss).backward()

    def optimizer_step(self, lr: float) -> None:
        """Take one step down the dist's gradients; in fp16 none, where one of them was too large."""
        self.dist.average_gradients(self.network)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """Return all that a step changes."""
        return {part: getattr(self, part).state_dict() for part in ("network", "optimizer", "scaler")}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned."""
        for part, held in state.items():
            getattr(self, part).load_state_dict(held)
