"""Judges painted frames by features of a network that no look is taught with: EfficientNet-Lite2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.perception.efficientnet_lite import STEM, Trunk, find_weights
from vidtrans.perception.measure import FeatureMeasure, Features

SIDES = (128, 181, 256, 362, 512)  # short sides of the style picture: nobody is held to one size of strokes


class Critic(nn.Module, FeatureMeasure):
    """A measure by the ends of EfficientNet-Lite2's first stages and the middle of its fifth."""

    taps: ClassVar[tuple[int, ...]] = (STEM, 0, 3, 6, 12)
    style_weights = (1.0, 1.0, 1.0, 1.0, 0.5)
    content_weights = (0.0, 0.0, 0.5, 1.0, 0.0)

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk(find_weights(2), self.taps[-1])
        self.eval().requires_grad_(False)

    def features(self, pictures: Tensor) -> Features:
        """Return the features at the taps."""
        found: Features = self.trunk(pictures, self.taps)
        return found

    def judge(
        self, frames: Sequence[np.ndarray], painted: Sequence[np.ndarray], style: np.ndarray
    ) -> tuple[float, float]:
        """Return the distance of painted frames from a style picture, at the size that suits them best, and from
        what the frames show; pictures (H, W, 3) uint8.
        """
        manners = [self.manner(tensor(_resized(style, side))) for side in SIDES]
        styles, contents = [], []
        for frame, picture in zip(frames, painted, strict=True):
            seen = self.see(tensor(picture))
            styles.append([float(self.style(seen, manner)) for manner in manners])
            contents.append(float(self.content(seen, self.see(tensor(frame)))))
        return float(np.mean(styles, axis=0).min()), float(np.mean(contents))


def tensor(picture: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) in [−1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 127.5 - 1


def _resized(picture: np.ndarray, side: int) -> np.ndarray:
    scale = side / min(picture.shape[:2])
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
