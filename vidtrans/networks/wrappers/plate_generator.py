"""A generator that paints the foreground onto the background plate of its scene.

The plate comes as three more channels of the input, cropped and mirrored like the training pair; a fourth channel of
the output, m, is the foreground mask: m·rgb + (1 − m)·plate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import UsageError


class PlateGenerator(nn.Module):
    """A generator that composes the output of ``painter``, (N, in + 3, H, W) → (N, 4, H, W), onto a background plate.

    ``plate`` (H, W, 3) uint8 is the background of the targets; ``scene``, of the same shape, is the background of the
    source frames (equal to the plate unless the training pairs have targets of another appearance).
    """

    plate: Tensor
    scene: Tensor

    def __init__(self, painter: Any, size: tuple[int, int]) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        if getattr(painter, "residual", False):
            why = "the generator adds to its input frame, so it keeps the background already"
            raise UsageError(
                "training.background_plate", why, "leave it out, or train with --set generator.residual=false"
            )
        self.painter = painter
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        for name in ("plate", "scene"):
            self.register_buffer(name, torch.zeros((size[1], size[0], 3), dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + 3, H, W), of which the last three channels are the plate → (N, 3, H, W)."""
        painted, plate = self.painter(x), x[:, -3:]
        share = (painted[:, 3:] + 1) / 2
        composed: Tensor = plate + share * (painted[:, :3] - plate)
        return composed

    @property
    def picture(self) -> np.ndarray:
        """The background plate, (H, W, 3) uint8."""
        return self.plate.cpu().numpy()

    def set_plate(self, plate: np.ndarray, scene: np.ndarray) -> None:
        """Set both backgrounds, (H, W, 3) uint8 each, in the size given at construction."""
        self.plate.copy_(torch.from_numpy(plate))
        self.scene.copy_(torch.from_numpy(scene))
