"""Judges painted frames by features of a network that no look is taught with: EfficientNet-Lite2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from vidtrans.perception.efficientnet_lite import STEM_TAP, EfficientNetLite
from vidtrans.perception.measure import Style, to_signed

CPU = torch.device("cpu")
SIDES = (128, 181, 256, 362, 512)  # short sides of the style picture: nobody is held to one size of strokes


class Critic(EfficientNetLite):
    """A measure by the ends of EfficientNet-Lite2's first stages and the middle of its fifth."""

    size: ClassVar[int] = 2
    taps: ClassVar[tuple[int, ...]] = (STEM_TAP, 0, 3, 6, 12)

    def judge(
        self, frames: Sequence[np.ndarray], painted: Sequence[np.ndarray], style: np.ndarray
    ) -> tuple[float, float]:
        """Return the distance of painted frames from a style picture, at the size that suits them best, and from
        what the frames show; pictures (H, W, 3) uint8.
        """
        targets = [Style.of(style, side, self).statistics for side in SIDES]
        styles, contents = [], []
        for frame, picture in zip(frames, painted, strict=True):
            seen = self.see(to_signed(picture, CPU))
            styles.append([float(self.style(seen, statistics)) for statistics in targets])
            contents.append(float(self.content(seen, self.see(to_signed(frame, CPU)))))
        return float(np.mean(styles, axis=0).min()), float(np.mean(contents))
