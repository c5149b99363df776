"""The module that stores small copies of a clip's frames in a network and looks them up by position."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

TOLERANCE = 0.25  # frames by which a told position, of 8 bits, may lie behind a frame that is meant


class FrameMemory(nn.Module):
    """Frames of a clip along its timeline, which runs forwards and back: ``length`` pictures of ``size`` (h, w)."""

    pictures: Tensor

    def __init__(self, length: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("pictures", torch.zeros((length, 3, *size), dtype=torch.uint8))

    def fill(self, pictures: np.ndarray) -> None:
        """Take the frames, (length, h, w, 3) uint8."""
        self.pictures.copy_(torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2))))

    def forward(self, hands: Tensor) -> tuple[Tensor, Tensor]:
        """Return the frames around the told position, (N, 6, h, w), and the frame at it, (N, 3, h, w), in [-1, 1].

        ``hands`` (N, HANDS): see ``pairing.told_planes``. The first three channels are the frame before in the
        direction of the timeline, the others the frame at or after the position. Between two frames both are mixed.
        """
        turn, last = turned(hands), len(self.pictures) - 1
        place = turn.abs() * 2 * last
        forwards = turn >= 0
        after = torch.where(forwards, (place - TOLERANCE).ceil(), (place + TOLERANCE).floor())
        before = after - torch.where(forwards, 1.0, -1.0)
        share = (1 - (after - place).abs()).clamp(0, 1)[:, None, None, None]
        found = self.pictures[torch.stack([before, after]).long().clamp(0, last)].float() / 127.5 - 1
        return torch.cat([found[0], found[1]], 1), torch.lerp(found[0], found[1], share)


def views(planes: Tensor) -> Tensor:
    """Return the told views, (N, 2, 3) float32, of their planes' values, (N, VIEW): see ``pairing.told_planes``."""
    high, low = (((planes[:, k::2].float() + 1) * 127.5).round() for k in (0, 1))
    return ((256 * high + low) * (4 / 65535) - 2).reshape(-1, 2, 3)


def seen(pictures: Tensor, view: Tensor, height: int, width: int) -> Tensor:
    """Return what is seen of (N, C, h, w) through views (N, 2, 3): (N, C, height, width) float32, by bicubic sampling.

    Beyond its edges a picture is mirrored.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        grid = F.affine_grid(view.float(), [len(pictures), 1, height, width], align_corners=False)
        return F.grid_sample(pictures.float(), grid, "bicubic", "reflection", align_corners=False)


def turned(hands: Tensor) -> Tensor:
    """Return the position, (N,) float32 in turns from −½ to ½; ``hands`` (N, HANDS) are its sines and cosines.

    Hands are sines and cosines of 1, 2, 4, … times the position, possibly quantised to 8 bits; faster ones refine it.
    """
    angles = torch.atan2(hands[:, 0::2].float(), hands[:, 1::2].float()) / (2 * math.pi)
    turn = angles[:, 0]
    for number in range(1, angles.shape[1]):
        off = angles[:, number] - 2**number * turn
        turn = turn + (off - off.round()) / 2**number
    return (turn - turn.round()).float()
