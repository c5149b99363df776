"""Pixel values as tensors: uint8, or uint16 stored as int16 with the same bits, as torch has no uint16 arithmetic."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidtrans.video.images.picture import resize


def bits_to_levels(bits: Tensor) -> Tensor:
    """Return pictures in a dtype with which torch can compute: uint8 unchanged, int16 (the bits of uint16) as int32."""
    return bits.to(torch.int32) & 0xFFFF if bits.dtype == torch.int16 else bits


def to_bits(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return whole numbers in [0, 255] as uint8, or in [0, 65535] as int16 with the bits of uint16."""
    return values.to(torch.int32).to(dtype) if dtype == torch.int16 else values.to(dtype)


def to_8_bit_levels(pictures: Tensor) -> Tensor:
    """Return pictures as uint8, from uint8 or from 16-bit levels in int32, rounded like ``conversion.to_uint8``."""
    return pictures if pictures.dtype == torch.uint8 else ((pictures + 128) // 257).to(torch.uint8)


def to_levels_serially(output: Tensor, *, deep: bool) -> Tensor:
    """Round (N, 3, H, W) on the CPU like ``torch_engine.to_levels``, with NumPy in this thread; ``deep``: to 16 bits.

    The result is (N, H, W, 3) uint8, or if ``deep`` uint16 stored as int16. Idle threads of torch use CPU time, which
    slows down the threads of another library that runs the network.
    """
    top = 65535 if deep else 255
    values = output.numpy() + np.float32(1)
    values *= np.float32(top / 2)
    np.rint(values, out=values).clip(0, top, out=values)
    pictures = values.astype(np.uint16).view(np.int16) if deep else values.astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 2, 3, 1)))


def from_levels_serially(pixels: Tensor, middle: float) -> Tensor:
    """Return levels (N, C, H, W) on the CPU as float32 in [−1, 1], by NumPy; ``middle`` is 127.5 or 32767.5."""
    values = np.ascontiguousarray(pixels.numpy()).astype(np.float32)
    values /= np.float32(middle)
    values -= np.float32(1)
    return torch.from_numpy(values)


def expand_plate(plate: np.ndarray, inputs: Tensor) -> Tensor:
    """Return a background plate, (h, w, 3) uint8, as (N, H, W, 3) for the inputs (N, H, W, C), on their device.

    The result has the size and the dtype of ``inputs``.
    """
    height, width = inputs.shape[1:3]
    picture = torch.from_numpy(resize(plate, width, height)).to(inputs)
    return (picture if inputs.dtype == torch.uint8 else picture * 257).expand(len(inputs), -1, -1, -1)
