"""Compose painted frames: transferred paint where it is reliable, a network's picture in all other places."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from vidtrans.core.settings import Table
from vidtrans.flow.warping import blur, grow, shrink
from vidtrans.painting.blending import Blend, Painting, blend
from vidtrans.painting.maps import NEAREST, KeyMaps

VERSION = 3
SURE = 1.5  # times the trust: from ⅔ on nothing is left of what lies below
LEVELS = (0.0, 0.075, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.825, 0.875, 0.925, 0.9625, 1.0)  # of trust
MOTION = tuple(min(1.0, SURE * level) for level in LEVELS)  # shares where the motion is followed
LOOK = (0.0,) * len(LEVELS)  # where only the network paints
FEATHER = 270  # lines of a frame, for each pixel by which what is sure is narrowed, and its edge softened
FAINT = 8 / 255  # by which a network's picture of what is not painted may differ from the frame
BYTES = 32  # of a pixel of a painting
LOADED_BYTES, LEAST_LOADED = 1 << 30, 2 * NEAREST + 1  # paintings in memory, and those that one frame needs


class PaintSource(Protocol):
    """The interface of a painting that is loaded on demand."""

    @property
    def frame(self) -> int:
        """Return the number of the frame that it was painted on."""
        ...

    @property
    def digest(self) -> str:
        """Return the digest of its content."""
        ...

    @property
    def is_whole(self) -> bool:
        """Return whether all of the frame is painted."""
        ...

    def painting(self, size: tuple[int, int]) -> Painting:
        """Return the painting at a (width, height)."""
        ...


@dataclass(frozen=True)
class Reliance:
    """How much the transferred paint is used, depending on the trust in it.

    Attributes:
        shares: The paint's share at each of ``LEVELS`` of trust; the rest is the network's.
        has_network: Whether a network paints the rest; if not, all available paint is used.
        over_source: Whether the source shows through the unpainted areas of every key frame.
    """

    shares: tuple[float, ...] = MOTION
    has_network: bool = True
    over_source: bool = False


class FramePainter(Protocol):
    """The interface of what paints the frames of a clip at one size."""

    def __call__(self, frame: int, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the picture of a frame, of the output's dtype; see ``PaintComposer``."""
        ...

    def lift(
        self,
        frame: int,
        picture: np.ndarray,
        source: np.ndarray,
        matte: np.ndarray | None = None,
        working_size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Return a layer, (H, W, 4) of the picture's dtype; see ``PaintComposer``."""
        ...


class ClipPaint(Protocol):
    """The interface of what is painted over a clip: ``layer``: the result is a layer with alpha."""

    @property
    def layer(self) -> bool:
        """Return whether the result is a layer with alpha."""
        ...

    def painter(self, size: tuple[int, int]) -> FramePainter:
        """Return what paints frames of a (width, height)."""
        ...

    def for_key(self) -> Table:
        """Return the properties that affect the result, for its cache key."""
        ...


class PaintComposer:
    """Paints the frames of a clip at one (width, height) ``size``."""

    def __init__(
        self, sources: Sequence[PaintSource], maps: KeyMaps, size: tuple[int, int], reliance: Reliance
    ) -> None:
        self._sources = {source.frame: source for source in sources}
        self.size, self._maps, self._reliance = size, maps, reliance
        self._loaded: OrderedDict[int, Painting] = OrderedDict()

    def __call__(self, frame: int, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the painted picture of a frame.

        Args:
            frame: The frame's number.
            output: A network's picture, or the source without a network: (H, W, 3) uint8 or uint16.
            source: The frame, (H, W, 3) uint8 or uint16.

        Returns:
            (H, W, 3), of the output's dtype.
        """
        brought = self.blend(frame, source)
        if brought is None:
            return output
        share = self._share(brought)[..., None]
        full = np.iinfo(output.dtype).max
        picture = full * (share * brought.rgb) + (1 - share) * output
        return np.clip(np.rint(picture), 0, full).astype(output.dtype)

    def blend(self, frame: int, source: np.ndarray | None = None, without: Sequence[int] = ()) -> Blend | None:
        """Return the blended paint of a frame from its key frames except ``without``; None if no paint is transferred.

        ``source``: the frame, (H, W, 3) uint8 or uint16, read only if it shows through unpainted areas
        (``over_source``).
        """
        if not any(self._reliance.shares):
            return None
        brought = [(self.painting(key), c) for key, c in self._maps.at(frame, *self.size) if key not in without]
        under = None
        if self._reliance.over_source and source is not None:
            under = source.astype(np.float32) / np.iinfo(source.dtype).max
        return blend(frame, brought, under) if brought else None

    def lift(
        self,
        frame: int,
        picture: np.ndarray,
        source: np.ndarray,
        matte: np.ndarray | None = None,
        working_size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Return only the paint of a painted frame, as a layer (H, W, 4) of the picture's dtype, not premultiplied.

        Composited over ``source``, (H, W, 3) like the picture, the layer gives the picture again, except for invisible
        differences. Network paint outside the transferred paint has the alpha that its colours need. ``matte``: (H, W)
        uint8, white where paint is allowed. ``working_size``: (width, height) of the picture before it was enlarged;
        paint is found at that size, because detail lost since then is not paint.
        """
        full = np.iinfo(picture.dtype).max
        found = self.blend(frame, source)
        below, above = source.astype(np.float32) / full, picture.astype(np.float32) / full
        alpha = _needed_alpha(below, above, 1 / full, working_size or self.size)
        if found is not None:
            cover = found.cover if matte is None else found.cover * (matte.astype(np.float32) / 255)
            alpha = np.maximum(alpha, cover)
        alpha = np.rint(full * alpha)
        colours = full * (below + (above - below) * (full / np.maximum(alpha, 1))[..., None])
        return np.dstack([np.clip(np.rint(colours), 0, full), alpha]).astype(picture.dtype)

    def completed(self, key: int, source: np.ndarray) -> np.ndarray:
        """Return the painting of a key frame, (H, W, 3) float32 in [0, 1], with unpainted areas filled.

        They are filled with paint from other key frames, or else with the frame itself, ``source``, (H, W, 3) uint8 or
        uint16.
        """
        painting = self.painting(key)
        if self._sources[key].is_whole:
            return painting.rgb
        under = source.astype(np.float32) / np.iinfo(source.dtype).max
        if not self._reliance.over_source and (others := self.blend(key, source, without=[key])) is not None:
            under += others.cover[..., None] * (others.rgb - under)
        return under + painting.cover[..., None] * (painting.rgb - under)

    def _share(self, brought: Blend) -> np.ndarray:
        """Return the share of the transferred paint, 0 to 1, (H, W) float32."""
        if not self._reliance.has_network:
            return np.ones_like(brought.cover) if self._reliance.over_source else brought.cover
        sure = np.interp(brought.trust, LEVELS, self._reliance.shares).astype(np.float32)
        width = max(1, round(min(sure.shape) / FEATHER))
        eroded = cv2.erode(sure, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
        return blur(eroded, float(width))

    def painting(self, key: int) -> Painting:
        """Return the painting of a key frame at the composer's size, loaded if it is not in memory."""
        if key not in self._loaded:
            self._loaded[key] = self._sources[key].painting(self.size)
            width, height = self.size
            most = max(LEAST_LOADED, LOADED_BYTES // (width * height * BYTES))
            while len(self._loaded) > most:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def _needed_alpha(below: np.ndarray, above: np.ndarray, step: float, size: tuple[int, int]) -> np.ndarray:
    """Return the alpha, (H, W) 0 to 1, that visible paint needs to turn ``below`` into ``above``, (H, W, 3) 0 to 1.

    ``step``: one level. ``size``: the (width, height) at which the two are compared, if it is smaller.
    """
    whole = below.shape[1], below.shape[0]
    if min(size) < min(whole):
        below, above = shrink(below, size), shrink(above, size)
    difference = above - below
    needed = (np.abs(difference) / np.maximum(np.where(difference > 0, 1 - below, below), step)).max(2)
    alpha: np.ndarray = np.clip((np.abs(difference).max(2) - FAINT) / FAINT, 0, 1) * np.clip(needed, 0, 1)
    return alpha if (alpha.shape[1], alpha.shape[0]) == whole else grow(alpha, whole)
