"""The painted frames of a clip: what paints its frames, and what corrects the pictures of a result."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vidtrans.core.settings import Table, to_table
from vidtrans.painting.composing import FAINT, SURE, VERSION, PaintComposer, PaintSource, Reliance
from vidtrans.painting.maps import KeyMaps
from vidtrans.video.images.picture import resize


class Mattes(Protocol):
    """The interface of an open mask: called with a frame's number, it returns its matte, (H, W) uint8."""

    def __call__(self, frame: int) -> np.ndarray:
        """Return the matte of a frame."""
        ...

    def close(self) -> None:
        """Close its file."""
        ...


class Within(Protocol):
    """The interface of a mask within which paint is seen."""

    def mattes(self, size: tuple[int, int], threads: int) -> Mattes:
        """Open the mask at a (width, height)."""
        ...

    def for_key(self) -> Table:
        """Return the values that identify it, for cache keys."""
        ...


class Corrector:
    """Composites corrections over the pictures of a result where the flow is trusted; other pixels stay unchanged.

    ``mattes``: where corrections are seen, for frames in order.
    """

    def __init__(self, painter: PaintComposer, mattes: Mattes | None = None) -> None:
        self._painter, self._mattes = painter, mattes

    def __call__(self, frame: int, picture: np.ndarray) -> np.ndarray:
        """Return a picture (H, W, 3 or 4) uint8 or uint16 with the corrections, resized to the corrector's size.

        A picture that no correction reaches is returned unchanged, at its own size.
        """
        found, matte = self._painter.blend(frame), self._mattes(frame) if self._mattes else None
        if found is None:
            return picture
        # Sampling rings about edges, faintly: what paint cannot be seen in stays as it is.
        share = np.maximum(np.minimum(found.cover, SURE * found.trust) - FAINT, 0)[..., None] / (1 - FAINT)
        if matte is not None:
            share = share * (matte.astype(np.float32) / 255)[..., None]
        if not share.any():
            return picture
        picture = resize(picture, *self._painter.size)
        full = np.iinfo(picture.dtype).max
        corrected = picture.copy()
        corrected[..., :3] = np.rint(picture[..., :3] + share * (full * found.rgb - picture[..., :3]))
        if picture.shape[2] == 4:  # paint is seen, whatever was transparent there
            corrected[..., 3] = np.maximum(picture[..., 3], np.rint(full * share[..., 0]))
        return corrected


@dataclass(frozen=True)
class Paint:
    """The painted key frames of a clip, and how they are used; it makes the composer for a size.

    Attributes:
        sources: The painted key frames.
        maps: The flow from the clip's frames to the key frames.
        reliance: The share of transferred paint in a result, by the trust in it.
        layer: Whether the result is only the paint, transparent where nothing is painted.
        within: Where corrections are seen; None: everywhere.
    """

    sources: Sequence[PaintSource]
    maps: KeyMaps
    reliance: Reliance
    layer: bool = False
    within: Within | None = None

    def painter(self, size: tuple[int, int]) -> PaintComposer:
        """Return the composer for frames of a (width, height)."""
        return PaintComposer(self.sources, self.maps, size, self.reliance)

    def corrector(self, size: tuple[int, int], stack: ExitStack, threads: int = 0) -> Corrector:
        """Return the corrector for results of a (width, height), for frames in order; ``stack`` closes its mask."""
        mattes = stack.enter_context(closing(self.within.mattes(size, threads))) if self.within else None
        return Corrector(self.painter(size), mattes)

    def for_key(self) -> Table:
        """Return the properties that affect the result, for its cache key."""
        return {
            "version": [VERSION, *self.maps.version],
            "pictures": [[source.frame, source.digest] for source in self.sources],
            "reliance": to_table(self.reliance),
            **({"within": self.within.for_key()} if self.within else {}),
        }
