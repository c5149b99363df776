"""The camera between two frames. Past frames are rendered from their original pictures, so each is resampled once.

A view is a 3 × 3 matrix, float64, from pixels of the view to pixels of the picture, both from the centre, y down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

IDENTITY = np.eye(3)

# Luma and the two colour differences of BT.709; a hue turns in the plane of the latter, grey stays grey.
_LUMA = (0.2126, 0.7152, 0.0722)
_TO_CHROMA = np.array(
    [
        _LUMA,
        [-_LUMA[0] / 1.8556, -_LUMA[1] / 1.8556, (1 - _LUMA[2]) / 1.8556],
        [(1 - _LUMA[0]) / 1.5748, -_LUMA[1] / 1.5748, -_LUMA[2] / 1.5748],
    ]
)
_FROM_CHROMA = np.linalg.inv(_TO_CHROMA)


@dataclass(frozen=True)
class CameraMove:
    """A change of the picture between two frames: ``zoom`` is a factor, the rest as in ``DreamingSettings``."""

    zoom: float = 1.0
    rotate: float = 0.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    hue: float = 0.0

    def view(self, width: int, height: int) -> np.ndarray:
        """Return the view after the move, (3, 3) float64."""
        if (self.zoom, self.rotate, self.pan_x, self.pan_y) == (1.0, 0.0, 0.0, 0.0):
            return IDENTITY
        angle = np.deg2rad(self.rotate)
        cosine, sine = np.cos(angle) / self.zoom, np.sin(angle) / self.zoom
        rotation = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        shift = np.array([[1.0, 0.0, -self.pan_x * width], [0.0, 1.0, -self.pan_y * height], [0.0, 0.0, 1.0]])
        view: np.ndarray = rotation @ shift
        return view

    def colours(self) -> np.ndarray:
        """Return the hue's rotation of RGB, (3, 3) float64. Its rows add up to 1, so it is valid for [-1, 1] too."""
        if self.hue == 0.0:
            return IDENTITY
        angle = np.deg2rad(self.hue)
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
        matrix: np.ndarray = _FROM_CHROMA @ turn @ _TO_CHROMA
        return matrix


def transform(picture: Tensor, view: np.ndarray, colours: np.ndarray) -> Tensor:
    """Render (3, H, W) float32 in [-1, 1] through a view and with other colours.

    Bicubic (Keys, 1981), mirrored beyond the border. Without a move nothing is resampled.
    """
    result = picture
    if not np.array_equal(view, IDENTITY):
        grid = _grid(view, picture.shape[2], picture.shape[1], picture.device)
        result = F.grid_sample(result[None], grid, "bicubic", "reflection", align_corners=False)[0]
    if not np.array_equal(colours, IDENTITY):
        matrix = torch.from_numpy(colours.astype(np.float32)).to(result)
        result = torch.einsum("ij,jhw->ihw", matrix, result)
    return result if result is picture else result.clamp(-1, 1)


def _grid(view: np.ndarray, width: int, height: int, device: torch.device) -> Tensor:
    """Return sampling positions, (1, H, W, 2) float32, from -1 to 1 between the picture's edges."""
    across = torch.arange(width, device=device, dtype=torch.float32) + (0.5 - width / 2)
    down = (torch.arange(height, device=device, dtype=torch.float32) + (0.5 - height / 2))[:, None]
    x = (across * float(view[0, 0]) + down * float(view[0, 1]) + float(view[0, 2])) * (2 / width)
    y = (across * float(view[1, 0]) + down * float(view[1, 1]) + float(view[1, 2])) * (2 / height)
    return torch.stack([x, y], dim=-1)[None]
