"""The pairing "another network's output for a frame (lines, depth, a pose, a matte …) → the frame".

The pairing names this network, the extractor, in ``Pairing.extraction``, and receives its picture as the last of a
frame's pictures. ``models.loaded_model`` finds the network and rejects unsuitable ones. A loaded model has its
extractor (``LoadedModel.extractor``), found by the recorded digest or embedded in its file. ``rendering.extraction``
makes the pictures by the usual frame renderer: of clips as an ``infer`` stage of the extractor, whose key is part of
the key of the model's outputs; of single frames immediately. ``data`` stores the pictures next to the frames, like
guides, so that training needs no extractor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.options import option
from vidtrans.core.settings import LARGEST_SIDE
from vidtrans.pairing.base import Extraction, Pairing
from vidtrans.pairing.drawings import ink


@dataclass(frozen=True)
class ExtractedSettings:
    """Settings of ``Extracted``: the extractor network, its working size, and how its picture becomes the input."""

    model: str = option("", "file or name of the network")
    digest: str = option("", "SHA-256 of the network's file; an empty value is computed, a given value is checked")
    channels: str = option(
        "rgb",
        "output of the network: rgb (the picture) or grey (only the luminance, for lines)",
        choices=("rgb", "grey"),
    )
    invert: bool = option(False, "invert the output: light lines on black become dark lines on white, as in drawings")
    size: int = option(
        0, "working size of the network: short side in pixels; 0: the network's own", bounds=(0, LARGEST_SIDE)
    )


class Extracted(Pairing):
    """A pairing of the picture that another network (an extractor) makes of a frame, in RGB or grey, with the frame."""

    name = "model"
    pointwise = True
    operators_refusal = "another network makes the input"
    Settings = ExtractedSettings
    settings: ExtractedSettings

    def __init__(self, settings: ExtractedSettings) -> None:
        super().__init__(settings)
        self.in_channels = 1 if settings.channels == "grey" else 3
        self.extraction = Extraction(settings.model, settings.digest, settings.size)
        # Only inverted grey pictures are certain to be dark lines on white.
        self.drawing_kind = "lines" if settings.invert and settings.channels == "grey" else ""

    def input(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """Convert the extracted picture, the last of ``frames``, to the input, (H, W, in_channels) uint8."""
        picture = frames[-1]
        if self.settings.channels == "grey":
            picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]
        return 255 - picture if self.settings.invert else picture

    def drawing_input(self, picture: np.ndarray) -> np.ndarray:
        """Convert a drawing, (H, W, 3) uint8, to dark strokes on white, (H, W, 1) uint8."""
        return (255 - ink(picture))[..., None]
