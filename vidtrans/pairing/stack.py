"""The pairing "guides from a 3D program or other tools, stacked as channels → picture"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.pairing.base import Pairing


@dataclass(frozen=True)
class StackSettings:
    """Settings of ``Stack``: the names of the guides (depth, normals …), in the order of their input channels."""

    guides: tuple[str, ...] = option(
        (),
        'names of the guides, with ":1" for a grey one, as in ["depth:1", "normals"]; empty: all guides in the folder',
    )

    def __post_init__(self) -> None:
        names = [g.removesuffix(":1").removesuffix(":3") for g in self.guides]
        if len(set(names)) != len(names) or not all(names):
            raise ValueError(f"pairing.guides = {list(self.guides)}: each needs a name of its own")
        if "target" in names:
            raise ValueError("pairing.guides: 'target' is what the guides lead to; give it with --target")


class Stack(Pairing):
    """A pairing of guides (depth, normals, mattes …) of one channel (grey) or three channels each, with a picture."""

    name = "stack"
    needs_target = True
    pointwise = True
    operators_refusal = "the input has several pictures for each frame"
    Settings = StackSettings
    settings: StackSettings

    def __init__(self, settings: StackSettings) -> None:
        super().__init__(settings)
        self.in_channels = sum(1 if g.endswith(":1") else 3 for g in settings.guides) or 3
        self.guides = tuple(g.removesuffix(":1").removesuffix(":3") for g in settings.guides)

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Concatenate the pictures of all guides, (H, W, 3) uint8 each, in order, to (H, W, in_channels) uint8."""
        kinds = self.settings.guides or ("",)
        channels = [
            cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] if kind.endswith(":1") else picture
            for kind, picture in zip(kinds, frames, strict=True)
        ]
        return np.concatenate(channels, axis=2)

    def preview(self, net_input: np.ndarray) -> np.ndarray:
        """Return the guides as vertical strips from left to right, (H, W, 3) uint8."""
        kinds, width = self.settings.guides or ("",), net_input.shape[1]
        picture, channel = np.empty((*net_input.shape[:2], 3), np.uint8), 0
        for at, kind in enumerate(kinds):
            count = 1 if kind.endswith(":1") else 3
            strip = slice(at * width // len(kinds), (at + 1) * width // len(kinds))
            picture[:, strip] = net_input[:, strip, channel : channel + count]
            channel += count
        return picture
