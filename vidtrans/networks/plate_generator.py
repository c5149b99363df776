"""A generator that paints the foreground onto the background plate of its scene.

The plate comes as three more channels of the input, cut and mirrored as the pair is; a fourth channel of the output, m,
says where something is painted: m·rgb + (1 − m)·plate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidtrans.core.errors import UsageError


class PlateGenerator(nn.Module):
    """``painter`` maps (N, in + 3, H, W) to (N, 4, H, W). The plates of its file are kept as they are, in uint8.

    ``plate`` (H, W, 3) is what is painted on; ``scene``, of its size, is what the frames of such a clip look like (the
    same, unless the model learned from pairs whose targets are other pictures).
    """

    plate: Tensor
    scene: Tensor

    def __init__(self, painter: Any, size: tuple[int, int]) -> None:  # noqa: ANN401  (a generator)
        super().__init__()
        if getattr(painter, "residual", False):
            why = "the generator adds to the frame that it is given, and so keeps its background already"
            raise UsageError(
                "training.background_plate", why, "leave it out, or train with --set generator.residual=false"
            )
        self.painter = painter
        self.multiple: int = painter.multiple
        self.smallest: int = painter.smallest
        for name in ("plate", "scene"):
            self.register_buffer(name, torch.zeros((size[1], size[0], 3), dtype=torch.uint8))

    def forward(self, x: Tensor) -> Tensor:
        """(N, in + 3, H, W), last the plate, → (N, 3, H, W)."""
        painted, plate = self.painter(x), x[:, -3:]
        share = (painted[:, 3:] + 1) / 2
        composed: Tensor = plate + share * (painted[:, :3] - plate)
        return composed

    @property
    def picture(self) -> np.ndarray:
        """The plate, (H, W, 3) uint8."""
        return self.plate.cpu().numpy()

    def set_plate(self, plate: np.ndarray, scene: np.ndarray) -> None:
        """Take these two pictures, (H, W, 3) uint8, of the size that it was made for."""
        self.plate.copy_(torch.from_numpy(plate))
        self.scene.copy_(torch.from_numpy(scene))
