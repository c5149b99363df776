"""Weights to start from, and building networks by name."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.plate_generator import PlateGenerator
from vidtrans.networks.recurrent import RecurrentGenerator
from vidtrans.settings import Table, from_table, record_table


def initialise(network: nn.Module, seed: int) -> None:
    """The paper's start: N(0, 0.02) for convolutions, N(1, 0.02) for the scales of norms, biases 0.

    Of linear layers, which the paper has none of, N(0, 1/√inputs): a signal keeps its size. Embeddings begin as
    convolutions do.

    What ``seed`` gives is the same whatever the global generator's state is. Gates (of attention) stay at 0.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            held: Any = module
            if parametrize.is_parametrized(module):  # its weight is made of what training changes
                nn.init.normal_(held.parametrizations.weight.original, 0.0, 0.02, generator=generator)
                held.parametrizations.weight[0].restart(held.parametrizations.weight.original)
            else:
                nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, module.in_features**-0.5, generator=generator)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
            nn.init.zeros_(module.bias)


def build_generator(
    name: str,
    table: Table,
    in_channels: int,
    out_channels: int = 3,
    plate: tuple[int, int] | None = None,
    memory: bool = False,
) -> Any:
    """The generator ``name``, on a plate where the (width, height) of one is given, or with a ``memory``.

    Raises UsageError on unknown names and settings.
    """
    cls = GENERATORS.load(name)
    settings = from_table(cls.Settings, table, "generator")
    if plate is not None:
        return PlateGenerator(cls(in_channels + 3, out_channels + 1, settings), plate)
    if memory:
        return RecurrentGenerator(cls(in_channels, out_channels, settings), in_channels)
    return cls(in_channels, out_channels, settings)


def inner_generator(generator: nn.Module) -> nn.Module:
    """What learns of a generator, with or without a plate or a memory."""
    return generator.painter if isinstance(generator, PlateGenerator | RecurrentGenerator) else generator


def build_discriminator(name: str, table: Table, channels: int) -> Any:
    """The discriminator ``name``; raises UsageError on unknown names and settings."""
    cls = DISCRIMINATORS.load(name)
    return cls(channels, from_table(cls.Settings, table, "discriminator"))


def complete_settings(registry: Any, name: str, table: Table, where: str) -> Table:
    """A network's settings with the defaults filled in, for records and cache keys."""
    return record_table(from_table(registry.load(name).Settings, table, where))
