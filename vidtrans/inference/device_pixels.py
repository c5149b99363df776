"""Pixels on a device: uint8, and uint16 as int16 of its bits, since torch computes with no uint16."""

from __future__ import annotations

import torch
from torch import Tensor


def levels(bits: Tensor) -> Tensor:
    """Return pictures as torch computes with them: uint8, or int32 of uint16, which came as int16 of its bits."""
    return bits.to(torch.int32) & 0xFFFF if bits.dtype == torch.int16 else bits


def to_bits(values: Tensor, kind: torch.dtype) -> Tensor:
    """Return whole numbers in [0, 255] as uint8, or in [0, 65535] as uint16 in int16 of its bits."""
    return values.to(torch.int32).to(kind) if kind == torch.int16 else values.to(kind)


def eight_bits(pictures: Tensor) -> Tensor:
    """Return pictures of uint8, or of uint16 as int32, as uint8, rounded as ``conversion.to_uint8`` does."""
    return pictures if pictures.dtype == torch.uint8 else ((pictures + 128) // 257).to(torch.uint8)
