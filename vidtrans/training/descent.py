"""How a network goes down its gradients: Adam, and the precision that they are worked out in."""

from __future__ import annotations

import torch
from torch import nn

from vidtrans.inference.device import Device
from vidtrans.training.precision import TrainingPrecision
from vidtrans.training.settings import TrainingSettings

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def adam(network: nn.Module, settings: TrainingSettings) -> torch.optim.Adam:
    """For what of the network is not frozen."""
    learning = [p for p in network.parameters() if p.requires_grad]
    return torch.optim.Adam(learning, lr=settings.lr, betas=(settings.beta1, settings.beta2), fused=True)


def scaler_for(device: Device, precision: TrainingPrecision) -> torch.amp.GradScaler:
    """In fp16, gradients would be lost below 6e-8: the loss is scaled up by what they can bear."""
    return torch.amp.GradScaler(device.kind, enabled=precision == "fp16")


def autocast(device: Device, precision: TrainingPrecision) -> torch.autocast:
    return torch.autocast(device.kind, _DTYPES[precision], enabled=precision != "fp32")


def descend(optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, lr: float) -> None:
    """One step down the gradients that are there; in fp16 none, where one of them was too large."""
    for group in optimizer.param_groups:
        group["lr"] = lr
    scaler.step(optimizer)
    scaler.update()
