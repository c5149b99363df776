"""Models that dream, made by hand: what the tests of dreams share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from clips import moving_frames
from torch import Tensor, nn

from vidtrans.core.registry import Entry
from vidtrans.core.settings import Table
from vidtrans.dreaming.drift_correction import frame_statistics
from vidtrans.models.model_file import save_model
from vidtrans.models.model_record import ModelRecord
from vidtrans.networks import GENERATORS
from vidtrans.networks.init import build_generator, initialise
from vidtrans.pairing.next_frame import CHANNELS

POSITIONS = 40
TINY_UNET = {"name": "unet-small", "settings": {"channels": 8, "blocks": [0, 0, 0]}}


@dataclass(frozen=True)
class ToySettings:
    """None."""


class Toy(nn.Module):
    """Does what is known: mixes its newest frame with a ramp that turns with the clock (without one: with grey)."""

    Settings = ToySettings
    multiple = 4
    smallest = 4

    def __init__(self, in_channels: int, out_channels: int, settings: ToySettings) -> None:
        super().__init__()
        self.pictures = in_channels - in_channels % 3 if in_channels < CHANNELS else in_channels - CHANNELS
        self.leak = nn.Parameter(torch.full((out_channels,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        newest, leak = x[:, self.pictures - 3 : self.pictures], self.leak[:, None, None]
        wanted = torch.zeros_like(newest)
        if x.shape[1] > self.pictures:
            sine, cosine = x[:, self.pictures, 0, 0], x[:, self.pictures + 1, 0, 0]
            across = torch.linspace(-0.6, 0.6, x.shape[3], dtype=x.dtype, device=x.device)
            down = torch.linspace(-0.6, 0.6, x.shape[2], dtype=x.dtype, device=x.device)[:, None]
            wanted = (sine * across + cosine * down).expand_as(newest)
        return newest + leak * (wanted - newest)


@contextmanager
def with_toys() -> Iterator[None]:
    """The generator "toy" is known."""
    known = dict(GENERATORS._entries)
    GENERATORS._entries["toy"] = Entry("dreams:Toy", "for tests")
    try:
        yield
    finally:
        GENERATORS._entries.clear()
        GENERATORS._entries.update(known)


def make_dreamer(
    path: Path, *, generator: Table | None = None, seed: int = 0, size: int = 32, leak: float = 0.5, **pairing: Any
) -> Path:
    """A model that predicts frames, with weights of chance (of a toy: its ``leak``); ``pairing``: its settings."""
    settings = {"step": 1, "context_frames": 1, **pairing}
    chosen = generator or TINY_UNET
    channels = 3 * settings["context_frames"] + (CHANNELS if settings.get("position", "none") != "none" else 0)
    network = build_generator(chosen["name"], chosen["settings"], channels)
    if chosen["name"] == "toy":
        network.leak.data.fill_(leak)
    else:
        initialise(network, seed)
        for parameter in network.parameters():
            parameter.data *= 12 if parameter.ndim > 1 else 1  # so lively that no frame is like the one before
    kept = getattr(network, "frame_memory", None)
    if kept is not None:
        count, _, height, across = kept.pictures.shape
        kept.fill(np.stack([cv2.resize(picture, (across, height)) for picture in moving_frames(count)]))
    dream = {
        "runs": [] if kept is None else [len(kept.pictures)],
        "positions": POSITIONS if settings.get("position") == "clock" else 0,
        "rate": "20",
        "statistics": frame_statistics(moving_frames(10)),
    }
    pairing_table = {"name": "next-frame", "settings": settings}
    record = ModelRecord(chosen, pairing_table, channels, 3, size, "[-1, 1]", {}, {}, dream=dream)
    save_model(path, network, record)
    return path


def toy(path: Path, leak: float = 0.5, **pairing: Any) -> Path:
    """A toy with its clock."""
    return make_dreamer(path, generator={"name": "toy", "settings": {}}, leak=leak, **{"position": "clock", **pairing})


def rememberer(path: Path, position: str = "nearest", frames: int = 40, **pairing: Any) -> Path:
    """A model that keeps frames of its clip."""
    kept = {"told_channels": CHANNELS, "memory_frames": frames, "memory_size": [24, 32]}
    generator = {"name": "warp-mix", "settings": {"channels": 8, "blocks": [0, 0, 0], **kept}}
    return make_dreamer(path, generator=generator, position=position, context_frames=2, **pairing)


def jumps(frames: list[np.ndarray]) -> tuple[list[float], float]:
    """(the steps between neighbours, the step from the last to the first), mean absolute, in levels."""
    steps = [float(np.abs(a.astype(float) - b).mean()) for a, b in pairwise(frames)]
    return steps, float(np.abs(frames[-1].astype(float) - frames[0]).mean())


@pytest.fixture
def toys() -> Iterator[None]:
    with with_toys():
        yield
