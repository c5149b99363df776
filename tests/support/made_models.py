"""Model files with weights of chance, of any pairing, for tests in which it does not matter what a model paints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidtrans.core.settings import Table
from vidtrans.interop.cube import write_cube
from vidtrans.models.model_file import save_model
from vidtrans.models.model_record import NORMALISATION, ModelRecord
from vidtrans.networks.init import build_generator, initialise
from vidtrans.networks.painter import ConditionalNorm
from vidtrans.networks.wrappers import CodedNorm
from vidtrans.pairing.pairing_records import make_pairing, pairing_record

TINY_UNET: Table = {"name": "unet-small", "settings": {"channels": 8, "blocks": [0, 0, 0]}}
TINY_PAINTER: Table = {"name": "painter", "settings": {"channels": 4, "blocks": 1}}


def make_model(
    path: str, pairing: str, settings: Table | None = None, *, size: int = 32, seed: int = 0, **record: Any
) -> Path:
    """Write a model of a pairing; ``record``: further tables of its record."""
    made = make_pairing(pairing, settings or {})
    generator = TINY_UNET
    if pairing == "look":
        generator = TINY_PAINTER | {"settings": TINY_PAINTER["settings"] | {"looks": len(made.settings.looks)}}
    network = build_generator(generator["name"], generator["settings"], made.in_channels)
    initialise(network, seed)
    for module in network.modules():  # else all that it paints is nearly grey
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.fill_(0.01)
    _listen(network, seed)
    tables = {"training": {}, "card": {}, **record}
    save_model(
        Path(path),
        network.eval(),
        ModelRecord(generator, pairing_record(made), made.in_channels, 3, size, NORMALISATION, **tables),
    )
    return Path(path)


def make_grade(path: str, gamma: float = 1.4) -> Path:
    """Write a colour table that darkens."""
    steps = np.linspace(0, 1, 9) ** gamma
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    write_cube(Path(path), np.stack([red, 0.9 * green, blue], axis=3), "dark")
    return Path(path)


def make_coded_model(path: str, pairing: str = "edges", *, size: int = 32, seed: int = 0, codes: int = 4) -> Path:
    """Write a model of many looks, whose norms listen to the code as after some training."""
    made = make_pairing(pairing, {})
    network = build_generator(TINY_UNET["name"], TINY_UNET["settings"], made.in_channels, code_size=codes)
    initialise(network, seed)
    _listen(network, seed)
    table = {"size": codes, "mean": [0.1 * n for n in range(codes)], "spread": [1.0 - 0.1 * n for n in range(codes)]}
    record = ModelRecord(
        TINY_UNET, pairing_record(made), made.in_channels, 3, size, NORMALISATION, training={}, card={}, codes=table
    )
    save_model(Path(path), network.eval(), record)
    return Path(path)


def _listen(network: torch.nn.Module, seed: int) -> None:
    """Let norms that have conditions depend on them, as after some training."""
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, CodedNorm | ConditionalNorm):
            for weights in module.parameters():
                weights.data += 0.3 * torch.randn(weights.shape, generator=random)
