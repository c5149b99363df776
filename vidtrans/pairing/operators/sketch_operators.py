"""The strokes of the pairing 'sketch' as operators: the same steps, within rounding."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vidtrans.pairing.base import Pairing
from vidtrans.pairing.operators.base import PairingOperators
from vidtrans.pairing.operators.sampling_operators import (
    blur,
    blur_by_matrix,
    gaussian_kernel,
    interpolate,
    luma,
    places,
    sample,
    shrink,
    sobel,
)
from vidtrans.pairing.sketch import DARKEST, FAINTEST, FULL, HIDDEN, RATIO, REACH, SURROUNDINGS, TAPS

SMALLER = 4  # the surroundings' strength is computed at this part of the size
HALF_TAPS, SMALLER_TAPS = 3, 9  # pixels that one of half and of a quarter of the size covers at most, odd sides too


class SketchOperators(PairingOperators):
    """The strokes of ``Sketch.input``, within a grey level."""

    smallest = 16

    def __init__(self, pairing: Pairing, conditions: tuple[float, ...] = ()) -> None:
        super().__init__(pairing, conditions)
        width = self.settings.sigma
        self.fine, self.coarse, self.tensor, self.tone = (
            gaussian_kernel(sigma) for sigma in (width, RATIO * width, 1.25 * width, 3 * width)
        )

    def forward(self, frame: Tensor) -> Tensor:
        """Return strokes, dark (0) on white (255), (N, 1, H, W) levels, for (N, 3, H, W) levels."""
        picture = torch.sqrt(torch.round(frame) / 255.0)
        fine = blur(picture, self.fine)
        response = _darker_side(blur(picture, self.coarse) - fine)
        strokes = _along(response, *_flow(fine, self.tensor), self.settings.sigma)
        strength = strokes / (_level(strokes) + self.settings.min_contrast)
        pressed = ((strength - FAINTEST) / (FULL - FAINTEST)).clamp(0.0, 1.0)
        light = 1 - DARKEST * torch.tanh(1.6 * pressed) / float(np.tanh(1.6))
        if self.settings.shading > 0:
            tone = blur(luma(picture), self.tone)
            light = light * (1 - self.settings.shading * (1 - tone / 0.75).clamp(0.0, 1.0))
        return torch.round(255.0 * light)


def _darker_side(difference: Tensor) -> Tensor:
    lightness = luma(difference)
    strongest = torch.amax(difference, 1, keepdim=True)
    return lightness + HIDDEN * (strongest - lightness)


def _flow(picture: Tensor, kernel: list[float]) -> tuple[Tensor, Tensor]:
    """Return unit vectors along the edges of (N, 3, H, W): x and y components, (N, 1, H, W) each."""
    height, width = picture.shape[2], picture.shape[3]
    dx, dy = sobel(shrink(picture, (height + 1) // 2, (width + 1) // 2, HALF_TAPS))
    parts = [part.sum(1, keepdim=True) for part in (dx * dx - dy * dy, 2 * dx * dy)]
    cosine, sine = (interpolate(blur(part, kernel), height, width) for part in parts)
    cosine = cosine / (torch.sqrt(cosine * cosine + sine * sine) + 1e-12)
    along_x = torch.sqrt(((1 - cosine) / 2).clamp(min=0.0))
    return torch.where(sine < 0, along_x, -along_x), torch.sqrt(((1 + cosine) / 2).clamp(min=0.0))


def _along(response: Tensor, along_x: Tensor, along_y: Tensor, width: float) -> Tensor:
    """Return (N, 1, H, W) averaged along the edges' unit vectors; ``width``: the strokes' σ in pixels."""
    x = places(response, 3).to(response.dtype)
    y = places(response, 2).to(response.dtype)[:, None]
    total, weights = response, 1.0
    for tap in range(1, TAPS + 1):
        weight = float(np.exp(-0.5 * (1.5 * tap / TAPS) ** 2))
        for step in (-REACH * width * tap / TAPS, REACH * width * tap / TAPS):
            there = sample(response, x + step * along_x[:, 0], y + step * along_y[:, 0])
            total = total + weight * there
            weights += weight
    return total / weights


def _level(response: Tensor) -> Tensor:
    """Return the root mean square of (N, 1, H, W) within a wide Gaussian window, same shape."""
    height, width = response.shape[2], response.shape[3]
    small = shrink(response * response, height // SMALLER, width // SMALLER, SMALLER_TAPS)
    short = torch.minimum(torch.as_tensor(height), torch.as_tensor(width)).to(response.dtype)
    smooth = blur_by_matrix(small, (SURROUNDINGS / SMALLER * short).clamp(min=0.5))
    return torch.sqrt(interpolate(smooth, height, width))
