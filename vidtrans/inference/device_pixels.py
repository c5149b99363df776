"""Pixel levels as tensors: uint8, and uint16 as int16 of the same bits, since torch has no uint16 arithmetic."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidtrans.video.images.picture import resize


def levels(bits: Tensor) -> Tensor:
    """Return pictures in a type that torch computes with: uint8, or int32 for uint16 stored as int16 bits."""
    return bits.to(torch.int32) & 0xFFFF if bits.dtype == torch.int16 else bits


def to_bits(values: Tensor, kind: torch.dtype) -> Tensor:
    """Return whole numbers in [0, 255] as uint8, or in [0, 65535] as uint16 stored as int16 bits."""
    return values.to(torch.int32).to(kind) if kind == torch.int16 else values.to(kind)


def eight_bits(pictures: Tensor) -> Tensor:
    """Return pictures, uint8 or uint16 as int32, as uint8, rounded as ``conversion.to_uint8`` does."""
    return pictures if pictures.dtype == torch.uint8 else ((pictures + 128) // 257).to(torch.uint8)


def to_levels_serially(output: Tensor, *, deep: bool) -> Tensor:
    """Return the result of ``torch_engine.to_levels`` for a CPU tensor, computed by numpy in this thread alone.

    torch's threads spin while they wait for work, which slows down the threads of a library that runs a network.
    """
    top = 65535 if deep else 255
    levels = output.numpy() + np.float32(1)
    levels *= np.float32(top / 2)
    np.rint(levels, out=levels).clip(0, top, out=levels)
    pictures = levels.astype(np.uint16).view(np.int16) if deep else levels.astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)))


def from_levels_serially(levels: Tensor, middle: float) -> Tensor:
    """Return (N, C, H, W) levels on the CPU as float32 in [−1, 1], by numpy; ``middle``: 127.5 or 32767.5."""
    values = np.ascontiguousarray(levels.numpy()).astype(np.float32)
    values /= np.float32(middle)
    values -= np.float32(1)
    return torch.from_numpy(values)


def plate_as(plate: np.ndarray, inputs: Tensor) -> Tensor:
    """Return a background plate, (h, w, 3) uint8, as (N, H, W, 3): of the inputs' size, dtype and device."""
    height, width = inputs.shape[1:3]
    found = torch.from_numpy(resize(plate, width, height)).to(inputs)
    return (found if inputs.dtype == torch.uint8 else found * 257).expand(len(inputs), -1, -1, -1)
