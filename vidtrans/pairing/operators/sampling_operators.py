"""Filters and resampling as in OpenCV, as torch operators."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtrans.pairing.operators.base import scripted
from vidtrans.video.colour.conversion import INTEGER_LUMA, INTEGER_LUMA_BITS

FIXED_POINT = 256  # what the weights of OpenCV's blur of 8 bits add up to
LUMA = (0.299, 0.587, 0.114)


def integer_luma(frame: Tensor) -> Tensor:
    """Return the luma, (N, 1, H, W) levels, of (N, 3, H, W) whole levels as ``COLOR_RGB2GRAY`` rounds it.

    The products stay below 2²⁴, so float32 holds them exactly.
    """
    red, green, blue = (frame[:, c : c + 1] * float(INTEGER_LUMA[c]) for c in range(3))
    return torch.floor((red + green + blue + float(1 << (INTEGER_LUMA_BITS - 1))) / float(1 << INTEGER_LUMA_BITS))


def luma(frame: Tensor) -> Tensor:
    """Return the luma, (N, 1, H, W), of (N, 3, H, W), unrounded."""
    return frame[:, :1] * LUMA[0] + frame[:, 1:2] * LUMA[1] + frame[:, 2:3] * LUMA[2]


@scripted
def places(x: Tensor, side: int, beyond: int = 0) -> Tensor:
    """Return the indices along dimension ``side``, (n,) int64, from −``beyond`` to its length + ``beyond`` − 1."""
    return torch.arange(-beyond, x.size(side) + beyond, device=x.device)


def mirror_pad(x: Tensor, width: int, side: int) -> Tensor:
    """Pad (N, C, H, W) by ``width`` pixels at both ends of dimension ``side``, mirrored (REFLECT_101)."""
    last = x.shape[side] - 1
    at = places(x, side, width)
    at = last - (torch.remainder(at, 2 * last) - last).abs()
    return x.index_select(side, at)


def filtered(x: Tensor, kernel: list[float], side: int) -> Tensor:
    """Correlate (N, C, H, W) with a symmetric ``kernel`` of odd length along ``side``, mirrored at the border.

    A sum of shifted pictures instead of a convolution: whole numbers below 2²⁴ stay exact in every library.
    """
    reach = len(kernel) // 2
    padded, length = mirror_pad(x, reach, side), x.shape[side]
    total = padded.narrow(side, reach, length) * kernel[reach]
    for i in range(reach):
        both = padded.narrow(side, i, length) + padded.narrow(side, 2 * reach - i, length)
        total = total + both * kernel[i]
    return total


def fixed_point_kernel(sigma: float) -> list[float]:
    """Return the weights, in 256ths, of the installed OpenCV's Gaussian blur of 8-bit pictures.

    They are measured on steps of all heights, because OpenCV's rounding is not documented.
    """
    reach = round(3 * sigma)
    steps = np.zeros((256, 4 * reach + 8), np.uint8)
    middle = 2 * reach + 4
    steps[:, middle:] = np.arange(256, dtype=np.uint8)[:, None]
    # Rows differ, so blur each by itself: a picture of equal rows, high enough to be blurred along them alone.
    blurred = np.stack(
        [cv2.GaussianBlur(row[None].repeat(3, 0), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)[1] for row in steps]
    )
    shares = np.arange(FIXED_POINT + 1)
    rounded = (np.arange(256)[:, None] * shares + FIXED_POINT // 2) // FIXED_POINT
    places = range(middle - reach - 1, middle + reach + 1)
    reached = [int(shares[(rounded == blurred[:, place, None]).all(axis=0)][0]) for place in places]
    return [float(weight) for weight in np.diff(reached)]


def gaussian_kernel(sigma: float) -> list[float]:
    """Return the weights of OpenCV's Gaussian blur of float pictures."""
    size = round(sigma * 8 + 1) | 1
    return [float(weight) for weight in cv2.getGaussianKernel(size, sigma, cv2.CV_32F)[:, 0]]


def blur_levels(x: Tensor, kernel: list[float]) -> Tensor:
    """Blur (N, C, H, W) whole levels by a ``fixed_point_kernel``, rounded as in OpenCV."""
    both = filtered(filtered(x, kernel, 3), kernel, 2)
    return torch.floor((both + FIXED_POINT**2 / 2) / FIXED_POINT**2)


def blur(x: Tensor, kernel: list[float]) -> Tensor:
    """Blur (N, C, H, W) by a ``gaussian_kernel``."""
    return filtered(filtered(x, kernel, 3), kernel, 2)


def sobel(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Sobel slopes (eight times the slope) of (N, C, H, W) to the right and downwards, same shape."""
    height, width = x.shape[2], x.shape[3]
    across, down = mirror_pad(x, 1, 3), mirror_pad(x, 1, 2)
    dx = across.narrow(3, 2, width) - across.narrow(3, 0, width)
    dy = down.narrow(2, 2, height) - down.narrow(2, 0, height)
    return filtered(dx, [1.0, 2.0, 1.0], 2), filtered(dy, [1.0, 2.0, 1.0], 3)


def shrink(x: Tensor, height: int, width: int, taps: int) -> Tensor:
    """Shrink (N, C, H, W) by area averaging (INTER_AREA); ``taps``: the most pixels averaged per side."""
    return _shrink_side(_shrink_side(x, height, 2, taps), width, 3, taps)


def _shrink_side(x: Tensor, size: int, side: int, taps: int) -> Tensor:
    length = x.shape[side]
    number = places(x, side)[:size]
    # A pixel of the result begins at number · length / size: in whole numbers, so that no rounding moves it.
    begin, total = number * length, None
    first = torch.div(begin, size, rounding_mode="floor")
    for tap in range(taps):
        at = first + tap
        # The overlap of source pixel ``at`` with the result's pixel, in units of 1 / size of a pixel.
        left = torch.maximum(begin, at * size)
        right = torch.minimum(begin + length, (at + 1) * size)
        weight = (right - left).clamp(min=0).to(x.dtype) / length
        shape = (1, 1, -1, 1) if side == 2 else (1, 1, 1, -1)
        part = x.index_select(side, at.clamp(max=length - 1)) * weight.reshape(shape)
        total = part if total is None else total + part
    assert total is not None
    return total


def interpolate(x: Tensor, height: int, width: int) -> Tensor:
    """Resize (N, C, H, W) by linear interpolation (INTER_LINEAR)."""
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)


def enlarge(x: Tensor, factor: int) -> Tensor:
    """Enlarge (N, C, H, W) by ``factor``, bicubic as in OpenCV (Keys 1981, a = −0.75), with the border repeated.

    Libraries round positions between pixels differently; here each phase is a sum with fixed weights.
    """
    for side in (3, 2):
        at, last = places(x, side, 2), x.shape[side] - 1
        padded = x.index_select(side, at.clamp(min=0).minimum(torch.as_tensor(last)))
        phases = []
        for number in range(factor):
            place = (number + 0.5) / factor - 0.5
            before = math.floor(place)
            parts = [
                padded.narrow(side, 2 + before + tap, x.shape[side]) * _cubic(place - before - tap)
                for tap in range(-1, 3)
            ]
            phases.append(parts[0] + parts[1] + parts[2] + parts[3])
        x = torch.stack(phases, side + 1).flatten(side, side + 1)
    return x


def _cubic(distance: float, a: float = -0.75) -> float:
    """Return the bicubic weight of a pixel at a distance of at most two pixels."""
    d = abs(distance)
    return ((a + 2) * d - (a + 3)) * d * d + 1 if d <= 1 else ((a * d - 5 * a) * d + 8 * a) * d - 4 * a


def sample(x: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """Return (N, 1, H, W) sampled at positions (N, H, W) in pixels, bilinear and mirrored at the border."""
    height, width = x.shape[2], x.shape[3]
    grid = torch.stack([column * 2 / (width - 1) - 1, row * 2 / (height - 1) - 1], dim=-1)
    return F.grid_sample(x, grid, "bilinear", padding_mode="reflection", align_corners=True)


def blur_by_matrix(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur (N, C, h, w) by a Gaussian of ``sigma``, a scalar tensor; its kernel's radius is less than a side.

    For a σ that grows with the picture: a product with a matrix for each side, computed at run time.
    """
    reach = torch.div(torch.round(8 * sigma + 1), 2, rounding_mode="floor")
    down, right = (_blur_matrix(places(x, side).to(x.dtype), sigma, reach) for side in (2, 3))
    return torch.matmul(torch.matmul(down, x), right.transpose(0, 1))


def _blur_matrix(at: Tensor, sigma: Tensor, reach: Tensor) -> Tensor:
    """Return the blur's weights (n, n) along one side: row per output pixel, mirrored pixels included."""
    offsets = at[None] - at[:, None], at[None] + at[:, None], 2 * at[-1] - at[None] - at[:, None]

    def weight(offset: Tensor) -> Tensor:
        return torch.exp(-0.5 * (offset / sigma) ** 2) * (offset <= reach) * (offset >= -reach)

    direct, before, after = (weight(offset) for offset in offsets)
    total = direct + before * (at[None] > 0) + after * (at[None] < at[-1])
    return total / total.sum(1, keepdim=True)
