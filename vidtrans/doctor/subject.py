"""The subject of a self-test: a device, the scale of the test, synthetic pictures and networks, and comparisons.

Pictures and networks are the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from vidtrans.inference.device import Device
from vidtrans.networks.init import build_generator, initialise
from vidtrans.rendering.benchmark import pictures
from vidtrans.temporal.stream import Sample

GENERATOR = ("unet-small", {"channels": 16})  # The generator of most presets
FLICKER_LEVELS = 12  # Maximum change of a frame's brightness, in grey levels
GRAIN_LEVELS = 6.0  # Standard deviation of the grain, in grey levels


@dataclass(frozen=True)
class SelfTestScale:
    """The amount of work in a self-test.

    Attributes:
        side: Side in pixels of the synthetic pictures.
        frames: Number of frames of the synthetic clip.
        large_side: Side in pixels of the picture for the memory check; above 256, the smallest side of tiles.
        training_side: Side in pixels of the training pictures.
        training_steps: Number of steps of the training check.
        rate_sizes: (width, height) in pixels of the clips in the speed check; on a CPU only the first is used.
        rate_frames: Number of frames of these clips on a CPU.
        rate_frames_on_gpu: Number of frames of these clips on a GPU.
    """

    side: int = 256
    frames: int = 10
    large_side: int = 640
    training_side: int = 64
    training_steps: int = 50
    rate_sizes: tuple[tuple[int, int], ...] = ((256, 256), (1280, 720))
    rate_frames: int = 12
    rate_frames_on_gpu: int = 96


@dataclass(frozen=True)
class SelfTestSubject:
    """The device under test, a folder for temporary files, and the scale of the test."""

    device: Device
    folder: Path
    scale: SelfTestScale = field(default_factory=SelfTestScale)


def psnr(output: np.ndarray, expected: np.ndarray) -> float:
    """Return the PSNR in dB of two arrays of equal shape and integer type; 200 for equal arrays.

    Raises ValueError for unequal shapes or types, which NumPy would broadcast.
    """
    if (output.shape, output.dtype) != (expected.shape, expected.dtype):
        raise ValueError(f"{output.shape} {output.dtype} instead of {expected.shape} {expected.dtype}")
    full = float(np.iinfo(expected.dtype).max)
    error = float(np.mean((output.astype(np.float64) - expected) ** 2))
    return round(float(min(200.0, 10 * np.log10(full**2 / max(error, 1e-20)))), 2)


def are_equal(first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two arrays have the same dtype and equal values."""
    return first.dtype == second.dtype and np.array_equal(first, second)


def make_frames(side: int, count: int) -> np.ndarray:
    """Return a synthetic clip with motion, (count, side, side, 3) uint8."""
    return np.stack(list(pictures(side, side, count)))


def make_texture(side: int) -> np.ndarray:
    """Return a picture with detail everywhere, which flow methods need, (side, side, 3) uint8."""
    noise = np.random.default_rng(2).normal(0, 1, (side, side, 3)).astype(np.float32)
    layers = [cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (2.0, 8.0)]
    levels = sum(layer * (28 / layer.std()) for layer in layers) + 128
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def make_generator(name: str = GENERATOR[0], table: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
    """Return the generator ``name`` with settings ``table``, 3 channels, random weights and realistic batch norms.

    The batch norms have the statistics of the synthetic clip. With other statistics, activations would vanish or
    saturate, and a comparison of precisions would show nothing.
    """
    generator = build_generator(name, GENERATOR[1] if table is None else table, 3)
    initialise(generator, 0)
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        generator.train()(to_network_input(make_frames(max(256, generator.multiple), 2)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return generator.eval()


def to_network_input(clip: np.ndarray) -> torch.Tensor:
    """Convert pictures, (N, H, W, C) uint8, to a network's input, (N, C, H, W) float32 in [−1, 1]."""
    return torch.from_numpy(clip).permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1


def make_flickering_clip(clip: np.ndarray) -> tuple[np.ndarray, list[Sample]]:
    """Return a steady stylised clip, (N, H, W, 3) uint16, and filter samples of it with added flicker and grain."""
    steady = 15 + 0.8 * 255 * (clip[..., ::-1].astype(np.float32) / 255) ** 1.4
    rng = np.random.default_rng(1)
    brighter = rng.uniform(-FLICKER_LEVELS, FLICKER_LEVELS, (len(clip), 1, 1, 1)).astype(np.float32)
    grain = rng.normal(0, GRAIN_LEVELS, (*clip.shape[:3], 1)).astype(np.float32)
    outputs = _to_uint16(steady + brighter + grain)
    samples = [Sample(i, i, guide, output, i == 0) for i, (guide, output) in enumerate(zip(clip, outputs, strict=True))]
    return _to_uint16(steady), samples


def _to_uint16(levels: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(levels, 0, 255) * 257).astype(np.uint16)
