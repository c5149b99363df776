"""Jitter, crop and flip of a batch on the device of the network, as ``data.augment`` does them one picture at a time.

The draws are the loader's. Crops and flips give the same pixels; an enlargement is OpenCV's bicubic one in floating
point, and differs by a level where OpenCV's fixed point rounds otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.data.augment import Geometry


def transform(pictures: Tensor, geometries: Sequence[Geometry]) -> Tensor:
    """Return (N, C, H, W) uint8 as (N, C, crop height, crop width) uint8; a geometry for each, without motion.

    All geometries are of one size: they differ in place and mirroring.
    """
    first = geometries[0]
    pictures = _enlarged(pictures, first.scaled)
    drawn = torch.tensor([(g.y, g.x, g.mirrored) for g in geometries], device=pictures.device)
    y, x, mirrored = drawn.unsqueeze(2).unbind(1)  # (N, 1) each
    width, height = first.crop
    columns = torch.arange(width, device=pictures.device)
    columns = x + torch.where(mirrored > 0, width - 1 - columns, columns)
    rows = y + torch.arange(height, device=pictures.device)
    rows, columns = (_reflected(at, side) for at, side in ((rows, pictures.shape[2]), (columns, pictures.shape[3])))
    number = torch.arange(len(pictures), device=pictures.device)[:, None, None]
    cut = pictures.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2).contiguous()


def _reflected(at: Tensor, length: int) -> Tensor:
    """Return positions beyond the end as those of the mirrored picture, whose last pixel is repeated."""
    at = at % (2 * length)
    return torch.minimum(at, 2 * length - 1 - at)


def _enlarged(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (N, C, H, W) uint8 at ``size``, (width, height), as ``video.images.picture.resize`` grows them."""
    width, height = size
    if tuple(pictures.shape[2:]) == (height, width):
        return pictures
    grown = F.interpolate(pictures.to(torch.float32), (height, width), mode="bicubic", align_corners=False)
    return grown.round_().clamp_(0, 255).to(torch.uint8)
