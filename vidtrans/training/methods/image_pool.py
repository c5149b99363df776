"""A pool of earlier outputs that discriminators see beside new ones: Shrivastava et al., CVPR 2017."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class ImagePool:
    """At most ``size`` pictures of equal shape, on a device; at ``size`` 0 ``exchange`` returns its input."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size, self.device = size, device
        self._pictures: list[Tensor] = []

    def exchange(self, pictures: Tensor, random: torch.Generator) -> Tensor:
        """Insert pictures (N, C, H, W), and return as many; once the pool is full, about half are earlier pictures."""
        if self._pictures and self._pictures[0].shape != pictures[0].shape:
            self._pictures = []  # a run that grows has begun with larger pictures
        if not self.size:
            return pictures
        return torch.stack([self._exchanged(picture, random) for picture in pictures])

    def _exchanged(self, picture: Tensor, random: torch.Generator) -> Tensor:
        if len(self._pictures) < self.size:
            self._pictures.append(picture)
            return picture
        if float(torch.rand((), generator=random)) < 0.5:
            return picture
        place = int(torch.randint(self.size, (), generator=random))
        earlier, self._pictures[place] = self._pictures[place], picture
        return earlier

    def state(self) -> dict[str, Any]:
        """Return the pictures, in order."""
        return {"pictures": list(self._pictures)}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state returned by ``state``."""
        self._pictures = [picture.to(self.device) for picture in state["pictures"]]
