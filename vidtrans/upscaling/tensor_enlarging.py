"""Enlarging in torch, for pictures on a GPU: the same picture as from arrays, within rounding.

Pictures are (N, C, H, W) float32 from 0 to 1; a size is (width, height). Each function is the one of the same name for
arrays, in ``resampling``, ``guidance`` and ``enlarging``, which say what it does.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.upscaling import enlarging, guidance
from vidtrans.upscaling.resampling import BACK_PROJECTIONS, Size


def upscale(output: Tensor, source: Tensor, mode: str = "guided") -> Tensor:
    """Return a network's output at its source's size: see ``enlarging.upscale``."""
    size = _size_of(source)
    if _size_of(output) == size:
        return output
    x = output
    if size[0] <= x.shape[3] or size[1] <= x.shape[2]:
        is_smaller = size[0] <= x.shape[3] and size[1] <= x.shape[2]
        made = _shrink(x, size) if is_smaller else _enlarge(x, size)
    elif mode == "bicubic":
        made = _enlarge(x, size)
    elif mode == "faithful":
        made = _enlarge(_back_project(x, size, BACK_PROJECTIONS), size)
    else:
        made = _by_guide(x, source)
    return made.clamp(0, 1)


def _size_of(picture: Tensor) -> Size:
    return picture.shape[3], picture.shape[2]


def _shrink(picture: Tensor, size: Size) -> Tensor:
    across, down = (_averages(old, new, str(picture.device)) for old, new in zip(_size_of(picture), size, strict=True))
    return down @ (picture @ across.T)


@lru_cache(maxsize=32)
def _averages(old: int, new: int, device: str) -> Tensor:
    """Return the weights, (new, old), with which area averaging makes new pixels of a row from old ones."""
    edges = torch.arange(new + 1, dtype=torch.float64) * (old / new)
    pixels = torch.arange(old, dtype=torch.float64)
    begin = torch.maximum(edges[:-1, None], pixels)
    end = torch.minimum(edges[1:, None], pixels + 1)
    return ((end - begin).clamp(min=0) * (new / old)).to(torch.float32).to(device)


def _enlarge(picture: Tensor, size: Size) -> Tensor:
    return F.interpolate(picture, size[::-1], mode="bicubic", align_corners=False)


def _spread(picture: Tensor, size: Size) -> Tensor:
    return F.interpolate(picture, size[::-1], mode="bilinear", align_corners=False)


def _back_project(picture: Tensor, size: Size, times: int) -> Tensor:
    corrected = picture
    for _ in range(times):
        corrected = corrected + (picture - _shrink(_enlarge(corrected, size), _size_of(picture)))
    return corrected


def _unseen(picture: Tensor, size: Size) -> Tensor:
    whole = _size_of(picture)
    return picture - _enlarge(_back_project(_shrink(picture, size), whole, 1), whole)


def _extremes(picture: Tensor) -> tuple[Tensor, Tensor]:
    return -F.max_pool2d(-picture, 3, 1, 1), F.max_pool2d(picture, 3, 1, 1)


def _guided(small_guide: Tensor, small: Tensor, guide: Tensor) -> Tensor:
    size = _size_of(guide)
    planes = guide.split(1, dim=1)
    made = []
    for *factors, shift in guidance.local_maps(small_guide.split(1, dim=1), small.split(1, dim=1), _mean):
        scaled = (_spread(factor, size) * plane for factor, plane in zip(factors, planes, strict=True))
        made.append(_spread(shift, size) + sum(scaled))
    return torch.cat(made, dim=1)


def _mean(picture: Tensor) -> Tensor:
    reach = guidance.RADIUS
    return F.avg_pool2d(F.pad(picture, (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)


def _by_guide(x: Tensor, source: Tensor) -> Tensor:
    size, small = _size_of(source), _size_of(x)
    small_source = _shrink(source, small)
    twice = _back_project(x, size, BACK_PROJECTIONS - 1)
    base = _enlarge(twice + (x - _shrink(_enlarge(twice, size), small)), size)
    by_guide, by_edges = _measure(x, small_source)
    made = base + _unseen(_guided(small_source, x, source), small) * _spread(by_guide, size)
    made = made + _unseen(_sharpened(x, twice, size), small) * _spread(by_edges, size)
    low, high = _extremes(x)
    span = high - low
    return torch.maximum(torch.minimum(made, _spread(high + span, size)), _spread(low - span, size))


def _sharpened(x: Tensor, projected: Tensor, size: Size) -> Tensor:
    enlarged = _enlarge(projected, size)
    blurred = _blur(enlarged, enlarging.SHARPENED * size[0] / x.shape[3])
    low, high = _extremes(x)
    sharp = enlarged * (1 + enlarging.SHARPENING) - blurred * enlarging.SHARPENING
    return torch.maximum(torch.minimum(sharp, _spread(high, size)), _spread(low, size))


def _measure(x: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    size = _size_of(x)
    half = max(1, size[0] // 2), max(1, size[1] // 2)
    smaller, smaller_source = _shrink(x, half), _shrink(source, half)
    from_guide = _unseen(_guided(smaller_source, smaller, source), half)
    from_edges = _unseen(_sharpened(smaller, _back_project(smaller, size, BACK_PROJECTIONS - 1), size), half)
    truth = x - _enlarge(_back_project(smaller, size, 1), size)
    by_guide, by_edges = enlarging.gains(from_guide, from_edges, truth, _shared)
    return by_guide.clamp(0, 1), by_edges.clamp(0, 1)


def _shared(one: Tensor, other: Tensor) -> Tensor:
    return _blur((one * other).sum(dim=1, keepdim=True), enlarging.WINDOW)


def _blur(picture: Tensor, deviation: float) -> Tensor:
    taps = round(8 * deviation + 1) | 1  # as many as OpenCV takes
    weights = torch.from_numpy(cv2.getGaussianKernel(taps, deviation, cv2.CV_32F)[:, 0]).to(picture.device)
    reach, channels = taps // 2, picture.shape[1]
    padded = F.pad(picture, (reach,) * 4, mode="replicate")
    kernel = weights.expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(padded, kernel, groups=channels), kernel.transpose(2, 3), groups=channels)
