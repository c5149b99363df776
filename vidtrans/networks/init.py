"""Weights to start from, and building networks by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.settings import Table, from_table, to_table


def initialise(network: nn.Module, seed: int) -> None:
    """The paper's start: N(0, 0.02) for convolutions, N(1, 0.02) for BatchNorm scales, biases 0."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
            nn.init.zeros_(module.bias)


def build_generator(name: str, table: Table, in_channels: int, out_channels: int = 3) -> Any:
    """The generator ``name``; raises UsageError on unknown names and settings."""
    cls = GENERATORS.load(name)
    return cls(in_channels, out_channels, from_table(cls.Settings, table, "generator"))


def build_discriminator(name: str, table: Table, channels: int) -> Any:
    """The discriminator ``name``; raises UsageError on unknown names and settings."""
    cls = DISCRIMINATORS.load(name)
    return cls(channels, from_table(cls.Settings, table, "discriminator"))


def full_table(registry: Any, name: str, table: Table, where: str) -> Table:
    """A network's settings with the defaults filled in, for records and cache keys."""
    return to_table(from_table(registry.load(name).Settings, table, where))
