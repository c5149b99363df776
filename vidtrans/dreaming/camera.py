"""The camera between two frames: what is held is looked at anew, from its raw picture, so it is resampled once.

Views are 3 × 3 matrices, float64, that say where on a held picture each pixel of the view lies, both in pixels from
the centre, y down. They add up: after a second move a point is looked for where the first move looks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

UNMOVED = np.eye(3)

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
    """What happens to the picture between two frames: ``zoom`` is a factor, the rest as in ``DreamingSettings``."""

    zoom: float = 1.0
    rotate: float = 0.0
    pan_x: float = 0.0
    pan_y: float = 0.0
    hue: float = 0.0

    def view(self, width: int, height: int) -> np.ndarray:
        """(3, 3) float64: where on the picture before it lies what is seen after it."""
        if (self.zoom, self.rotate, self.pan_x, self.pan_y) == (1.0, 0.0, 0.0, 0.0):
            return UNMOVED
        angle = np.deg2rad(self.rotate)
        cosine, sine = np.cos(angle) / self.zoom, np.sin(angle) / self.zoom
        turned = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        shifted = np.array([[1.0, 0.0, -self.pan_x * width], [0.0, 1.0, -self.pan_y * height], [0.0, 0.0, 1.0]])
        made: np.ndarray = turned @ shifted
        return made

    def colours(self) -> np.ndarray:
        """(3, 3) float64: what the hue's turn makes of RGB. Its rows add up to 1, so it holds for [-1, 1] too."""
        if self.hue == 0.0:
            return UNMOVED
        angle = np.deg2rad(self.hue)
        cosine, sine = np.cos(angle), np.sin(angle)
        turn = np.array([[1.0, 0.0, 0.0], [0.0, cosine, -sine], [0.0, sine, cosine]])
        made: np.ndarray = _FROM_CHROMA @ turn @ _TO_CHROMA
        return made


def seen(picture: Tensor, view: np.ndarray, colours: np.ndarray) -> Tensor:
    """(3, H, W) float32 in [-1, 1] → the same through a view and with other colours, resampled once.

    Bicubic (Keys, 1981), mirrored beyond the border. Without a move nothing is resampled at all.
    """
    made = picture
    if not np.array_equal(view, UNMOVED):
        grid = _grid(view, picture.shape[2], picture.shape[1], picture.device)
        made = F.grid_sample(made[None], grid, "bicubic", "reflection", align_corners=False)[0]
    if not np.array_equal(colours, UNMOVED):
        made = torch.einsum("ij,jhw->ihw", torch.from_numpy(colours.astype(np.float32)).to(made), made)
    return made if made is picture else made.clamp(-1, 1)


def _grid(view: np.ndarray, width: int, height: int, device: torch.device) -> Tensor:
    """(1, H, W, 2) float32: where to look, from -1 to 1 between the picture's edges."""
    across = torch.arange(width, device=device, dtype=torch.float32) + (0.5 - width / 2)
    down = (torch.arange(height, device=device, dtype=torch.float32) + (0.5 - height / 2))[:, None]
    x = (across * float(view[0, 0]) + down * float(view[0, 1]) + float(view[0, 2])) * (2 / width)
    y = (across * float(view[1, 0]) + down * float(view[1, 1]) + float(view[1, 2])) * (2 / height)
    return torch.stack([x, y], dim=-1)[None]
