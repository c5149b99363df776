"""Build networks by name and initialise their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from vidtrans.core.registry import Entry, Registry
from vidtrans.core.settings import Table, from_table, record_table
from vidtrans.networks import DISCRIMINATORS, GENERATORS, ONNX_GRAPH, UNTRAINED
from vidtrans.networks.ports import PortSettings
from vidtrans.networks.wrappers import (
    AdaptedGenerator,
    ClassGenerator,
    CodedGenerator,
    PlateGenerator,
    RecurrentGenerator,
)

# Wrappers that contain the wrapped generator as their attribute ``painter``
_WITH_PAINTER = PlateGenerator | RecurrentGenerator | CodedGenerator | ClassGenerator


def initialise(network: nn.Module, seed: int) -> None:
    """Draw weights like pix2pix: N(0, 0.02) for convolutions, N(1, 0.02) for the scales of norms; biases are 0.

    Embeddings are drawn like convolutions; linear layers, which pix2pix does not have, from N(0, 1/√inputs), which
    preserves the signal's scale. The gates of attention layers stay at 0. A network with ``draw_weights(generator)``
    draws its own weights. Torch's global random state is neither used nor changed.
    """
    _draw(network, torch.Generator().manual_seed(seed))


def _draw(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of a network in place with a random generator."""
    if isinstance(network, CodedGenerator):
        _draw(network.painter, generator)
        network.encoder.draw_weights(generator)
        return
    if draw_weights := getattr(network, "draw_weights", None):
        draw_weights(generator)
        return
    module: Any
    for module in network.modules():
        mean, deviation = 0.0, 0.02
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d) and module.affine:
            mean = 1.0
        elif isinstance(module, nn.Linear):
            deviation = module.in_features**-0.5
        elif not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
            continue
        if parametrize.is_parametrized(module):  # The weight is computed from the parameter ``original``
            weight = module.parametrizations.weight.original
            nn.init.normal_(weight, mean, deviation, generator=generator)
            module.parametrizations.weight[0].restart(weight)
        else:
            nn.init.normal_(module.weight, mean, deviation, generator=generator)
        if getattr(module, "bias", None) is not None:
            nn.init.zeros_(module.bias)


def build_generator(
    name: str,
    table: Table,
    in_channels: int,
    out_channels: int = 3,
    plate: tuple[int, int] | None = None,
    memory: bool = False,
    ports: Table | None = None,
    code_size: int = 0,
    classes: np.ndarray | None = None,
) -> Any:  # noqa: ANN401  (a module with ``multiple`` and ``smallest``, see the room's docstring)
    """Build the generator ``name`` with the settings ``table``, and add the wrappers that the other arguments name.

    ``plate`` (width, height) adds a background plate, ``memory`` makes the generator recurrent. ``ports`` adapts a
    network of another tool (``PortSettings`` as a table). With a ``code_size`` above 0, code planes in the generator's
    input select its style. ``classes``: the colours of classes, (K, 3) uint8, to which output pixels are restricted.
    The attribute ``input_channels`` is the number of input channels without those of a plate or a history. Raises
    UsageError for unknown names and settings.
    """
    cls = (UNTRAINED if name in UNTRAINED else GENERATORS).load(name)
    settings = from_table(cls.Settings, table, "generator")
    generator: Any
    if name == ONNX_GRAPH and not ports:  # The graph of an exported model contains its wrappers
        generator = cls(in_channels, out_channels, settings)
    elif ports:
        own = from_table(PortSettings, ports, "ports")
        generator = AdaptedGenerator(cls(own.in_channels, own.out_channels, settings), in_channels, own)
    elif classes is not None:
        generator = ClassGenerator(cls(in_channels, len(classes), settings), classes)
    elif code_size:
        generator = CodedGenerator(cls(in_channels + code_size, out_channels, settings), in_channels, code_size)
    elif plate is not None:
        generator = PlateGenerator(cls(in_channels + 3, out_channels + 1, settings), plate)
    else:
        generator = cls(in_channels, out_channels, settings)
        if memory and not getattr(cls, "remembers", False):
            generator = RecurrentGenerator(generator, in_channels)
    generator.input_channels = in_channels + code_size
    return generator


def inner_generator(generator: nn.Module) -> nn.Module:
    """Return the generator inside its wrappers (background plate, recurrence, ports, style codes, classes)."""
    if isinstance(generator, AdaptedGenerator):
        return generator.network
    return generator.painter if isinstance(generator, _WITH_PAINTER) else generator


def build_discriminator(name: str, table: Table, channels: int) -> Any:  # noqa: ANN401  (as above)
    """Build the discriminator ``name``. Raises UsageError for unknown names and settings."""
    cls = DISCRIMINATORS.load(name)
    return cls(channels, from_table(cls.Settings, table, "discriminator"))


def complete_settings(registry: Registry[Entry], name: str, table: Table, where: str) -> Table:
    """Return the complete settings of a network; ``where``: the table's name in errors. Raises UsageError."""
    return record_table(from_table(registry.load(name).Settings, table, where))
