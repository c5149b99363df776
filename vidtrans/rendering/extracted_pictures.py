"""The interface of the pictures that another network makes of a plan's frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from vidtrans.rendering.skipped_frames import RenderCount
from vidtrans.store.chunking import Chunk


class StoredPictures(Protocol):
    """A reader of pictures by frame, in order."""

    def read(self, frame: int) -> np.ndarray | None:
        """Return the picture of a frame, (H, W, 3) uint8; None where it is not stored."""


class ExtractedPictures(Protocol):
    """The extractor's pictures of a plan's frames, stored in chunks; ``count`` counts the frames it rendered."""

    count: RenderCount

    def make(self, chunks: Sequence[Chunk]) -> None:
        """Make the pictures of the given chunks that are not stored yet."""

    def pictures(self) -> StoredPictures:
        """Return a reader of the stored pictures."""
