"""Pictures of samples, numpy arrays or tensors, in one tensor on a device, and back."""

from __future__ import annotations

import numpy as np
import torch

from vidtrans.core.concurrency.transfers import as_bits, from_bits

Picture = np.ndarray | torch.Tensor  # (H, W, 3) uint8 or uint16; tensors may have 16 bits in int16


def to_batch(pictures: list[Picture], device: torch.device) -> torch.Tensor:
    """Return pictures (H, W, 3) in one tensor on the device, (n, H, W, 3) uint8, or 16 bits in int16: one upload."""
    if isinstance(pictures[0], np.ndarray):
        batch = as_bits(np.stack(pictures))
        return batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch.to(device)
    batch = torch.stack(pictures).to(device)  # type: ignore[arg-type]
    return batch.view(torch.int16) if batch.dtype == torch.uint16 else batch


def from_batch(pictures: torch.Tensor, like: Picture) -> list[Picture]:
    """Return the pictures of a batch as they came: one download."""
    if isinstance(like, np.ndarray):
        return list(from_bits(pictures.contiguous()))
    return list(pictures.contiguous().view(like.dtype).to(like.device))
