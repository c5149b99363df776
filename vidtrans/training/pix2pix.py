"""pix2pix: conditional GAN plus λ·L1 (Isola et al., "Image-to-Image Translation with Conditional Adversarial
Networks", CVPR 2017). Reads like the paper: G maps x to y, D judges (x, y) against (x, G(x)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtrans.errors import DeviceError
from vidtrans.inference.device import Device, Precision, out_of_memory
from vidtrans.training.settings import TrainingSettings


@dataclass(frozen=True)
class Losses:
    """The losses of one step: ``gan`` and ``l1`` of the generator, unweighted, and the discriminator's."""

    gan: float
    l1: float
    discriminator: float

    def generator(self, settings: TrainingSettings) -> float:
        return settings.gan * self.gan + settings.l1 * self.l1


class Pix2Pix:
    """Both networks and both optimisers. ``step`` is one update of D, then one of G."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module | None,
        settings: TrainingSettings,
        device: Device,
        precision: Precision,
    ) -> None:
        self.settings, self.device, self.precision = settings, device, precision
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.generator = self._place(generator)
        self.discriminator = None if discriminator is None else self._place(discriminator)
        self.optimizer_g = self._adam(self.generator)
        self.optimizer_d = None if self.discriminator is None else self._adam(self.discriminator)

    def _place(self, network: nn.Module) -> nn.Module:
        placed: nn.Module = network.to(device=self.device.torch, memory_format=self.layout)  # type: ignore[call-overload]
        return placed

    def _adam(self, network: nn.Module) -> torch.optim.Adam:
        betas = (self.settings.beta1, self.settings.beta2)
        return torch.optim.Adam(network.parameters(), lr=self.settings.lr, betas=betas, fused=True)

    def step(self, inputs: Tensor, targets: Tensor, *, lr: float, seed: int) -> Losses:
        """One step on (N, C, H, W) and (N, 3, H, W) float32 in [−1, 1]; ``seed`` decides the dropout.

        Raises DeviceError when the device's memory does not do.
        """
        try:
            return self._step(inputs, targets, lr, seed)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            remedy = "lower --set training.batch or training.crop, or use --device cpu"
            raise DeviceError(self.device.name, "out of memory while training", remedy) from None

    def _step(self, inputs: Tensor, targets: Tensor, lr: float, seed: int) -> Losses:
        torch.manual_seed(seed)
        x = inputs.to(self.device.torch, memory_format=self.layout)
        y = targets.to(self.device.torch, memory_format=self.layout)
        self.generator.train()
        with self._autocast():
            fake = self.generator(x)
        fake = fake.float()
        loss_d = self._update_discriminator(x, y, fake.detach(), lr)
        gan, l1 = self._update_generator(x, y, fake, lr)
        return Losses(gan, l1, loss_d)

    def _update_discriminator(self, x: Tensor, y: Tensor, fake: Tensor, lr: float) -> float:
        """max log D(x, y) + log(1 − D(x, G(x))), halved to slow D relative to G."""
        if self.discriminator is None or self.optimizer_d is None:
            return 0.0
        self.discriminator.train().requires_grad_(True)
        with self._autocast():
            on_fake = self.discriminator(torch.cat([x, fake], 1))
            on_real = self.discriminator(torch.cat([x, y], 1))
        loss = 0.5 * (_bce(on_fake, real=False) + _bce(on_real, real=True))
        _descend(self.optimizer_d, loss, lr)
        return loss.item()

    def _update_generator(self, x: Tensor, y: Tensor, fake: Tensor, lr: float) -> tuple[float, float]:
        """max log D(x, G(x)), and min λ·|y − G(x)|."""
        l1 = F.l1_loss(fake, y)
        gan = torch.zeros((), device=fake.device)
        if self.discriminator is not None:
            self.discriminator.requires_grad_(False)
            with self._autocast():
                on_fake = self.discriminator(torch.cat([x, fake], 1))
            gan = _bce(on_fake, real=True)
        _descend(self.optimizer_g, self.settings.gan * gan + self.settings.l1 * l1, lr)
        return gan.item(), l1.item()

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.kind, torch.bfloat16, enabled=self.precision == "bf16")

    def state(self) -> dict[str, Any]:
        """All that a step changes: both networks, both optimisers."""
        return {
            "generator": self.generator.state_dict(),
            "optimizer_g": self.optimizer_g.state_dict(),
            "discriminator": self.discriminator.state_dict() if self.discriminator else None,
            "optimizer_d": self.optimizer_d.state_dict() if self.optimizer_d else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.optimizer_g.load_state_dict(state["optimizer_g"])
        if self.discriminator is not None and self.optimizer_d is not None:
            self.discriminator.load_state_dict(state["discriminator"])
            self.optimizer_d.load_state_dict(state["optimizer_d"])

    def is_finite(self) -> bool:
        networks = [n for n in (self.generator, self.discriminator) if n is not None]
        return all(bool(torch.isfinite(p).all()) for n in networks for p in n.state_dict().values())


def _bce(logits: Tensor, *, real: bool) -> Tensor:
    logits = logits.float()
    wanted = torch.ones_like(logits) if real else torch.zeros_like(logits)
    return F.binary_cross_entropy_with_logits(logits, wanted)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor, lr: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
