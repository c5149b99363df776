"""Compose painted frames: transferred paint where it is reliable, a network's picture in all other places.

The paint of several key frames is blended; ``Paint`` is all that is painted over a clip, and makes what composes its
frames, or corrects the pictures of a result.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np

from vidtrans.clips.masks import Mask, MatteReader
from vidtrans.core.settings import Table, to_table
from vidtrans.flow.warping import blur, grow, shrink, warp
from vidtrans.painting.maps import NEAREST, Carried, KeyMaps
from vidtrans.video.images.picture import resize

LEAST_COVER, LEAST_WEIGHT = 1e-3, 1e-6
LINES = 270  # of a frame, to which the next lengths in pixels belong
DETAIL, SEAM = 1.5, 2.0  # σ of what is more than tone, and by which seams between key frames are softened
SHARPNESS = 4  # power of the weights by which the best key frame is chosen
LEAST_TRUST, LEAST_SHARE = 0.003, 0.02  # where no key frame is trusted, the nearest ones are blended
WHOLE = 0.995  # of a frame that is painted is all of it: paint programs leave seams
VERSION = 3
SURE = 1.5  # times the trust: from ⅔ on nothing is left of what lies below
LEVELS = (0.0, 0.075, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.825, 0.875, 0.925, 0.9625, 1.0)  # of trust
MOTION = tuple(min(1.0, SURE * level) for level in LEVELS)  # shares where the motion is followed
LOOK = (0.0,) * len(LEVELS)  # where only the network paints
FEATHER = 270  # lines of a frame, for each pixel by which what is sure is narrowed, and its edge softened
FAINT = 8 / 255  # by which a network's picture of what is not painted may differ from the frame
BYTES = 32  # of a pixel of a painting
LOADED_BYTES, LEAST_LOADED = 1 << 30, 2 * NEAREST + 1  # paintings in memory, and those that one frame needs


@dataclass(frozen=True)
class Painting:
    """A painted key frame. Where ``cover`` is 0 the colours have no meaning."""

    frame: int  # its number
    rgb: np.ndarray  # (H, W, 3) float32 in [0, 1]
    cover: np.ndarray  # its opacity, (H, W), 0 to 1

    @cached_property
    def packed(self) -> np.ndarray:
        """Return colours multiplied by cover, and cover, as (H, W, 4) float32."""
        return np.dstack([self.rgb * self.cover[..., None], self.cover]).astype(np.float32)

    @property
    def is_whole(self) -> bool:
        """Return whether the whole frame is painted."""
        return float(self.cover.mean()) > WHOLE


def shares(frame: int, keys: Sequence[int]) -> np.ndarray:
    """Return the weight of each key frame by its distance from ``frame``, in frames: (N,), of sum 1."""
    near = LEAST_SHARE + 1 / (1 + np.abs(np.subtract(keys, frame)))
    found: np.ndarray = near / near.sum()
    return found


def weigh(trust: np.ndarray | np.float32, share: float) -> np.ndarray:
    """Return a key frame's weight from the trust in its paint, (H, W) or a number, and its share by distance."""
    return np.asarray((trust + np.float32(LEAST_TRUST)) * np.float32(share + LEAST_SHARE))


@dataclass(frozen=True)
class Blend:
    """The blended paint of a frame from several key frames."""

    rgb: np.ndarray  # (H, W, 3) float32 in [0, 1]
    trust: np.ndarray  # in the colours, (H, W) float32, 0 to 1
    cover: np.ndarray  # the opacity of the paint, (H, W) float32, 0 to 1


def blend(frame: int, brought: Sequence[tuple[Painting, Carried]], under: np.ndarray | None = None) -> Blend:
    """Blend the paintings of several key frames, each ``brought`` with the flow from the frame to it.

    ``under``: the source frame, (H, W, 3) float32 in [0, 1], which shows through the unpainted areas of each painting.
    If None, unpainted areas have no weight, so that only the paintings with paint there are blended.
    """
    left = next((1 - painting.cover for painting, _ in brought if painting.frame == frame), None)
    colours, weights, covers, most, trusts = [], [], [], [], []
    for (painting, carried), share in zip(brought, shares(frame, [p.frame for p, _ in brought]), strict=True):
        is_here = painting.frame == frame
        moved = painting.packed if is_here else warp(painting.packed, carried.flow, lanczos=True)
        cover = np.clip(moved[..., 3], 0, 1)
        weight = weigh(carried.trust, share)
        if left is not None and not is_here:  # the frame itself was painted: others count where it was not
            weight = weight * left
        if under is None:
            colours.append(moved[..., :3] / np.maximum(moved[..., 3:], LEAST_COVER))
            weights.append(weight * cover)
            trusts.append(carried.trust * cover)
        else:
            colours.append(np.clip(moved[..., :3], 0, cover[..., None]) + (1 - cover)[..., None] * under)
            weights.append(weight)
            trusts.append(carried.trust)
        covers.append(weight * cover)
        most.append(cover)
    total = np.maximum(sum(weights), LEAST_WEIGHT)
    parts = [weight / total for weight in weights]
    rgb = sum(share[..., None] * colour for colour, share in zip(colours, parts, strict=True))
    if len(brought) > 1 and all(painting.is_whole for painting, _ in brought):  # else their edges would be softened
        rgb = rgb + _lost_detail(rgb, colours, parts)
    rgb = np.clip(rgb, 0, 1)
    painted = np.maximum.reduce(most) if under is None else np.clip(sum(covers) / total, 0, 1)
    return Blend(rgb, np.maximum.reduce(trusts), painted)


def _lost_detail(mean: np.ndarray, colours: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the detail of the highest-weighted picture (H, W, 3) at each place, minus the detail of the mean.

    A mean of textures that do not align exactly is soft (Burt and Adelson, "A Multiresolution Spline", 1983).
    """
    scale = max(1, round(min(mean.shape[:2]) / LINES))
    best = [blur(weight**SHARPNESS, float(SEAM * scale)) for weight in weights]
    total = np.maximum(sum(best), LEAST_WEIGHT)
    detail = -_detail(mean, scale)
    for colour, share in zip(colours, best, strict=True):
        detail += (share / total)[..., None] * _detail(colour, scale)
    return detail


def _detail(picture: np.ndarray, scale: int) -> np.ndarray:
    """Return the high frequencies of a picture; their blur is computed at 1/``scale`` of its size, to save time."""
    height, width = picture.shape[:2]
    small = shrink(picture, (max(1, width // scale), max(1, height // scale))) if scale > 1 else picture
    found: np.ndarray = picture - grow(blur(small, DETAIL), (width, height))
    return found


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
    """How much the transferred paint is used, depending on the trust in it."""

    shares: tuple[float, ...] = MOTION  # the paint's at each of ``LEVELS`` of trust; the rest is the network's
    has_network: bool = True  # a network paints the rest; if not, all available paint is used
    over_source: bool = False  # the source shows through the unpainted areas of every key frame


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
    """The interface of what is painted over a clip."""

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
        """Return the painted picture of a frame, (H, W, 3) of the output's dtype.

        ``output``: a network's picture, or the source without a network; ``source``: the frame. Both are (H, W, 3)
        uint8 or uint16.
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


class Corrector:
    """Composites corrections over the pictures of a result where the flow is trusted; other pixels stay unchanged.

    ``mattes``: where corrections are seen, for frames in order.
    """

    def __init__(self, painter: PaintComposer, mattes: MatteReader | None = None) -> None:
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
    """The painted key frames of a clip, and how they are used; it makes the composer for a size."""

    sources: Sequence[PaintSource]
    maps: KeyMaps  # the flow from the clip's frames to the key frames
    reliance: Reliance
    layer: bool = False  # the result is only the paint, transparent where nothing is painted
    within: Mask | None = None  # where corrections are seen; None: everywhere

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
