"""Compose painted frames: paint transferred from key frames where it is reliable, else a network's picture.

The paint of several key frames is blended. ``Paint`` holds all paintings of a clip, and creates the composer of its
frames or the corrector of a result's pictures.

Paint that follows the motion is sharp and steady where the flow is right. Where a style does not move with the objects
in the picture, or the flow is wrong, a network trained on the style paints better. The error of either is unknown in
unpainted frames. But the two errors are independent, so their squared difference is the sum of both squared errors;
where the trust is highest, transferred paint is nearly right, so the difference there is the network's error alone.
Weighting by inverse squared errors then gives the share of each, by the trust in the flow: see ``calibrate``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from vidtrans.clips.indexing import Clip
from vidtrans.clips.masks import MaskOfClip, MatteReader
from vidtrans.clips.sampling import read_clip_frames, segment_centres
from vidtrans.core.settings import Size, Table, to_table
from vidtrans.flow.warping import blur, grow, shrink, warp
from vidtrans.metrics.picture_quality import sharpness
from vidtrans.painting.maps import NEAREST, KeyFlow, KeyMaps
from vidtrans.session import Context
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.frame_format import DEFAULT_FORMAT, FrameFormat
from vidtrans.video.images.picture import resize, write_picture

MIN_COVER, MIN_WEIGHT = 1e-3, 1e-6  # Lower bounds of opacities and weights, which are divisors
LINES = 270  # Short side, in pixels, of frames to which DETAIL_SIGMA and SEAM_SIGMA apply; larger frames scale them
DETAIL_SIGMA, SEAM_SIGMA = 1.5, 2.0  # σ of the blur that separates detail, and that softens seams between key frames
SHARPNESS = 4  # Power of the key frames' weights for fine detail, which then comes mainly from the best key frame
MIN_TRUST, MIN_SHARE = 0.003, 0.02  # Added to trust and share: where no key frame is trusted, the nearest are blended
WHOLE = 0.995  # Mean opacity above which a key frame counts as completely painted: paint programs leave thin seams
VERSION = 3  # Version of the composed frames, for cache keys
TRUST_GAIN = 1.5  # Factor from trust to opacity: from a trust of ⅔ on the paint is opaque
# Levels of the trust in transferred paint, 0 to 1, at which the paint's share is calibrated
LEVELS = (0.0, 0.075, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.825, 0.875, 0.925, 0.9625, 1.0)
# Share of transferred paint at each of ``LEVELS`` without calibration; a network's picture fills the rest
MOTION_SHARES = tuple(min(1.0, TRUST_GAIN * level) for level in LEVELS)
NETWORK_SHARES = (0.0,) * len(LEVELS)  # Shares of transferred paint if only the network's picture is used
FEATHER_LINES = 270  # Short side of a frame in pixels, per pixel of erosion and blur of the paint's edge
# Paint is invisible up to this opacity, or up to this colour difference from the frame; both are from 0 to 1.
FAINT = 8 / 255
BYTES_PER_PIXEL = 32  # Memory use of a loaded painting, in bytes per pixel
LOADED_BYTES, MIN_LOADED = 1 << 30, 2 * NEAREST + 1  # Limit of the paintings in memory; the number that a frame needs
# Calibration
CALIBRATION_FRAMES = 10  # Number of frames on which transferred paint is compared with the network's pictures
HIGH_TRUST = 0.95  # Trust, of 0 to 1, above which transferred paint counts as correct
CAUTION = 3.0  # Largest exponent that lowers the paint's shares: a wrong edge is more visible than a soft one
SOFT, SHARP = 0.3, 0.8  # Sharpness of the network's pictures, relative to the paintings', with no and with full caution
SHARPNESS_KEYS = 4  # Number of key frames on which the sharpness of the network's pictures is measured

NetworkPicture = Callable[[np.ndarray, int], np.ndarray]  # (frame (H, W, 3) uint8, its number) → network's picture


@dataclass(frozen=True)
class Painting:
    """A painted key frame. Where its opacity ``cover`` is 0 the colours have no meaning."""

    frame: int  # Number of the frame
    rgb: np.ndarray  # (H, W, 3) float32 in [0, 1]
    cover: np.ndarray  # Opacity, (H, W), 0 to 1

    @cached_property
    def packed(self) -> np.ndarray:
        """Return the premultiplied colours and the opacity, (H, W, 4) float32."""
        return np.dstack([self.rgb * self.cover[..., None], self.cover]).astype(np.float32)

    @property
    def is_whole(self) -> bool:
        """Return whether the frame is completely painted."""
        return float(self.cover.mean()) > WHOLE


def distance_weights(frame: int, keys: Sequence[int]) -> np.ndarray:
    """Return the weights of the key frames by their distance in frames from ``frame``: (N,), with the sum 1."""
    near = MIN_SHARE + 1 / (1 + np.abs(np.subtract(keys, frame)))
    return near / near.sum()


def key_weight(trust: np.ndarray | np.float32, share: float) -> np.ndarray:
    """Return a key frame's blend weight: the trust in its paint times its distance weight ``share``.

    ``trust``: (H, W), or a number.
    """
    return np.asarray((trust + np.float32(MIN_TRUST)) * np.float32(share + MIN_SHARE))


@dataclass(frozen=True)
class Blend:
    """The paint of a frame, blended from several key frames."""

    rgb: np.ndarray  # (H, W, 3) float32 in [0, 1]
    trust: np.ndarray  # Trust in the colours, (H, W) float32, 0 to 1
    cover: np.ndarray  # Opacity of the paint, (H, W) float32, 0 to 1


def blend(frame: int, paintings: Sequence[tuple[Painting, KeyFlow]], under: np.ndarray | None = None) -> Blend:
    """Blend several paintings into the picture of ``frame``; each has the flow from the frame to its key frame.

    ``under``: the source frame, (H, W, 3) float32 in [0, 1], which shows through the unpainted areas of each painting.
    If None, unpainted areas have no weight, so that only the paintings with paint there are blended.
    """
    bare = next((1 - painting.cover for painting, _ in paintings if painting.frame == frame), None)
    colours, weights, covers, most, trusts = [], [], [], [], []
    for (painting, key_flow), share in zip(
        paintings, distance_weights(frame, [p.frame for p, _ in paintings]), strict=True
    ):
        is_here = painting.frame == frame
        moved = painting.packed if is_here else warp(painting.packed, key_flow.flow, lanczos=True)
        cover = np.clip(moved[..., 3], 0, 1)
        weight = key_weight(key_flow.trust, share)
        if bare is not None and not is_here:  # Where this key frame is not painted, other key frames count
            weight = weight * bare
        if under is None:
            colours.append(moved[..., :3] / np.maximum(moved[..., 3:], MIN_COVER))
            weights.append(weight * cover)
            trusts.append(key_flow.trust * cover)
        else:
            colours.append(np.clip(moved[..., :3], 0, cover[..., None]) + (1 - cover)[..., None] * under)
            weights.append(weight)
            trusts.append(key_flow.trust)
        covers.append(weight * cover)
        most.append(cover)
    total = np.maximum(sum(weights), MIN_WEIGHT)
    parts = [weight / total for weight in weights]
    rgb = sum(share[..., None] * colour for colour, share in zip(colours, parts, strict=True))
    if len(paintings) > 1 and all(
        painting.is_whole for painting, _ in paintings
    ):  # Else the edges of partial paintings would ring
        rgb = rgb + _lost_detail(rgb, colours, parts)
    rgb = np.clip(rgb, 0, 1)
    painted = np.maximum.reduce(most) if under is None else np.clip(sum(covers) / total, 0, 1)
    return Blend(rgb, np.maximum.reduce(trusts), painted)


def _lost_detail(mean: np.ndarray, colours: Sequence[np.ndarray], weights: Sequence[np.ndarray]) -> np.ndarray:
    """Return the detail of the picture with the highest weight at each pixel, minus the detail of the mean picture.

    A mean of textures that do not align exactly is soft (Burt and Adelson, "A Multiresolution Spline", 1983).
    """
    scale = max(1, round(min(mean.shape[:2]) / LINES))
    best = [blur(weight**SHARPNESS, float(SEAM_SIGMA * scale)) for weight in weights]
    total = np.maximum(sum(best), MIN_WEIGHT)
    detail = -_detail(mean, scale)
    for colour, share in zip(colours, best, strict=True):
        detail += (share / total)[..., None] * _detail(colour, scale)
    return detail


def _detail(picture: np.ndarray, scale: int) -> np.ndarray:
    """Return the high frequencies of a picture; the blur is computed at 1/``scale`` of the size, to save time."""
    height, width = picture.shape[:2]
    small = shrink(picture, (max(1, width // scale), max(1, height // scale))) if scale > 1 else picture
    return picture - grow(blur(small, DETAIL_SIGMA), (width, height))


class PaintSource(Protocol):
    """The interface of a painted key frame whose painting is loaded on demand."""

    @property
    def frame(self) -> int:
        """Return the number of the painted frame."""

    @property
    def digest(self) -> str:
        """Return the digest of the painting, for cache keys."""

    @property
    def is_whole(self) -> bool:
        """Return whether the frame is completely painted."""

    def painting(self, size: tuple[int, int]) -> Painting:
        """Load the painting, scaled to a (width, height)."""


@dataclass(frozen=True)
class Reliance:
    """How much of the transferred paint is used, depending on the trust in it."""

    shares: tuple[float, ...] = MOTION_SHARES  # Share of paint at each of ``LEVELS``; the rest is the network's
    has_network: bool = True  # A network paints the rest; if false, all available paint is used
    over_source: bool = False  # The source shows through the unpainted areas of every key frame


class FramePainter(Protocol):
    """The interface of an object that paints the frames of a clip at one size."""

    def __call__(self, frame: int, output: np.ndarray, source: np.ndarray) -> np.ndarray:
        """Return the painted picture of a frame, of the output's dtype; see ``PaintComposer``."""

    def lift(
        self,
        frame: int,
        picture: np.ndarray,
        source: np.ndarray,
        matte: np.ndarray | None = None,
        working_size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Return only the paint of a frame as a layer, (H, W, 4) of the picture's dtype; see ``PaintComposer.lift``."""


class ClipPaint(Protocol):
    """The interface of paint that is applied to the frames of a clip, such as painted key frames or a matte."""

    @property
    def layer(self) -> bool:
        """Return whether the result is only the paint, as a layer with alpha."""

    def painter(self, size: tuple[int, int]) -> FramePainter:
        """Return the painter of frames of a (width, height)."""

    def for_key(self) -> Table:
        """Return the properties that affect the result, for its cache key."""


class PaintComposer:
    """Paints the frames of a clip at one (width, height) ``size``.

    ``sources``: the painted key frames. ``maps``: the flow from each frame to its key frames. ``reliance``: how much of
    the transferred paint is used.
    """

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
        blended = self.blend(frame, source)
        if blended is None:
            return output
        share = self._paint_share(blended)[..., None]
        full = np.iinfo(output.dtype).max
        picture = full * (share * blended.rgb) + (1 - share) * output
        return np.clip(np.rint(picture), 0, full).astype(output.dtype)

    def blend(self, frame: int, source: np.ndarray | None = None, without: Sequence[int] = ()) -> Blend | None:
        """Return the blend of a frame's key frames, except ``without``; None if no paint reaches the frame.

        ``source``: the frame, (H, W, 3) uint8 or uint16, read only if it shows through unpainted areas
        (``over_source``).
        """
        if not any(self._reliance.shares):
            return None
        paintings = [(self.painting(key), c) for key, c in self._maps.at(frame, *self.size) if key not in without]
        under = None
        if self._reliance.over_source and source is not None:
            under = source.astype(np.float32) / np.iinfo(source.dtype).max
        return blend(frame, paintings, under) if paintings else None

    def lift(
        self,
        frame: int,
        picture: np.ndarray,
        source: np.ndarray,
        matte: np.ndarray | None = None,
        working_size: tuple[int, int] | None = None,
    ) -> np.ndarray:
        """Return only the paint of a painted frame, as a layer (H, W, 4) of the picture's dtype, not premultiplied.

        Composited over ``source``, (H, W, 3) like the picture, the layer gives the picture except for invisible
        differences. The network's paint outside the transferred paint has the alpha that its colours need. ``matte``:
        (H, W) uint8, white where paint is allowed. ``working_size``: (width, height) of the picture before it was
        enlarged; differences count at that size, because detail lost by enlarging is not paint.
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

    def complete(self, key: int, source: np.ndarray) -> np.ndarray:
        """Return a key frame's painting, (H, W, 3) float32 in [0, 1], with its unpainted areas filled.

        They are filled with paint from other key frames, or else with the frame, ``source``, (H, W, 3) uint8 or uint16.
        """
        painting = self.painting(key)
        if self._sources[key].is_whole:
            return painting.rgb
        under = source.astype(np.float32) / np.iinfo(source.dtype).max
        if not self._reliance.over_source and (others := self.blend(key, source, without=[key])) is not None:
            under += others.cover[..., None] * (others.rgb - under)
        return under + painting.cover[..., None] * (painting.rgb - under)

    def _paint_share(self, blended: Blend) -> np.ndarray:
        """Return the opacity of the paint over the network's picture or the source, (H, W) float32, 0 to 1."""
        if not self._reliance.has_network:
            return np.ones_like(blended.cover) if self._reliance.over_source else blended.cover
        sure = np.interp(blended.trust, LEVELS, self._reliance.shares).astype(np.float32)
        width = max(1, round(min(sure.shape) / FEATHER_LINES))
        eroded = cv2.erode(sure, np.ones((2 * width + 1, 2 * width + 1), np.uint8))
        return blur(eroded, float(width))

    def painting(self, key: int) -> Painting:
        """Return the painting of a key frame at the composer's size; an LRU cache limits the memory use."""
        if key not in self._loaded:
            self._loaded[key] = self._sources[key].painting(self.size)
            width, height = self.size
            most = max(MIN_LOADED, LOADED_BYTES // (width * height * BYTES_PER_PIXEL))
            while len(self._loaded) > most:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]


def _needed_alpha(below: np.ndarray, above: np.ndarray, step: float, size: tuple[int, int]) -> np.ndarray:
    """Return the least alpha, (H, W) in [0, 1], with which paint turns ``below`` into ``above``; 0 if they look equal.

    ``step``: one level of full scale. ``size``: the (width, height) at which the two pictures are compared, if smaller.
    """
    whole = below.shape[1], below.shape[0]
    if min(size) < min(whole):
        below, above = shrink(below, size), shrink(above, size)
    difference = above - below
    needed = (np.abs(difference) / np.maximum(np.where(difference > 0, 1 - below, below), step)).max(2)
    alpha: np.ndarray = np.clip((np.abs(difference).max(2) - FAINT) / FAINT, 0, 1) * np.clip(needed, 0, 1)
    return alpha if (alpha.shape[1], alpha.shape[0]) == whole else grow(alpha, whole)


class Corrector:
    """Composites a user's corrections over a result's frames where the flow is trusted; other pixels stay unchanged.

    ``painter``: composes the corrections. ``mattes``: masks of the corrections, for frames in order.
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
        # Sharp sampling rings faintly near edges, so paint that is nearly invisible is dropped.
        share = np.maximum(np.minimum(found.cover, TRUST_GAIN * found.trust) - FAINT, 0)[..., None] / (1 - FAINT)
        if matte is not None:
            share = share * (matte.astype(np.float32) / 255)[..., None]
        if not share.any():
            return picture
        picture = resize(picture, *self._painter.size)
        full = np.iinfo(picture.dtype).max
        corrected = picture.copy()
        corrected[..., :3] = np.rint(picture[..., :3] + share * (full * found.rgb - picture[..., :3]))
        if picture.shape[2] == 4:  # Paint also makes transparent areas opaque
            corrected[..., 3] = np.maximum(picture[..., 3], np.rint(full * share[..., 0]))
        return corrected


@dataclass(frozen=True)
class Paint:
    """The painted key frames of a clip and the rules of their use; creates the composer for each frame size."""

    sources: Sequence[PaintSource]
    maps: KeyMaps  # Flow from the clip's frames to the key frames
    reliance: Reliance
    layer: bool = False  # Whether the result is only the paint, transparent where nothing is painted
    within: MaskOfClip | None = None  # Mask outside of which corrections have no effect; None for the whole frame

    def painter(self, size: tuple[int, int]) -> PaintComposer:
        """Return the composer for frames of a (width, height)."""
        return PaintComposer(self.sources, self.maps, size, self.reliance)

    def corrector(self, size: tuple[int, int], stack: ExitStack, threads: int = 0) -> Corrector:
        """Return the corrector of a result of a (width, height), for frames in order; ``stack`` closes its mask."""
        mattes = stack.enter_context(closing(self.within.mattes(size, threads))) if self.within else None
        return Corrector(self.painter(size), mattes)

    def for_key(self) -> Table:
        """Return the properties that affect the result, for cache keys."""
        return {
            "version": [VERSION, *self.maps.version],
            "pictures": [[source.frame, source.digest] for source in self.sources],
            "reliance": to_table(self.reliance),
            **({"within": self.within.for_key()} if self.within else {}),
        }


def calibrate(
    painter: PaintComposer,
    clip: Clip,
    frames: Sequence[int],
    keys: Sequence[int],
    size: tuple[int, int],
    network: NetworkPicture,
    context: Context,
) -> tuple[float, ...]:
    """Return the share of transferred paint at each level of trust, ``composing.LEVELS``.

    The paint that ``painter`` transfers is compared with the ``network``'s picture in a few of the ``frames`` of a
    clip, at a (width, height) ``size``. ``keys``: the numbers of the key frames.
    """
    squares, counts = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    middles = (np.asarray(LEVELS[1:]) + np.asarray(LEVELS[:-1])) / 2
    chosen = sorted({frames[at] for at in segment_centres(len(frames), min(CALIBRATION_FRAMES, len(frames)))})
    for frame in read_clip_frames(clip, chosen, FrameFormat(Size(exact=size)), context):
        blended = painter.blend(frame.index, frame.rgb)
        if blended is None:
            continue
        output = network(frame.rgb, frame.index)
        squared = np.square(blended.rgb - output.astype(np.float32) / np.iinfo(output.dtype).max).mean(2)
        level = np.digitize(blended.trust.ravel(), middles)  # Index of the nearest level of trust of each pixel
        seen = blended.cover.ravel()
        squares += np.bincount(level, squared.ravel() * seen, len(LEVELS))
        counts += np.bincount(level, seen, len(LEVELS))
    sharp = _relative_sharpness(painter, clip, keys, size, network, context)
    # If the network's pictures are soft, the exponent of the shares is low, so that more paint is used.
    caution = float(np.clip(CAUTION * (sharp - SOFT) / (SHARP - SOFT), 0.1 * CAUTION, CAUTION))
    return calibrated_shares(squares, counts, caution)


def _relative_sharpness(
    painter: PaintComposer,
    clip: Clip,
    keys: Sequence[int],
    size: tuple[int, int],
    network: NetworkPicture,
    context: Context,
) -> float:
    """Return the sharpness of the network's pictures relative to complete paintings; 1 without complete paintings."""
    found = []
    for frame in read_clip_frames(clip, list(keys)[:SHARPNESS_KEYS], FrameFormat(Size(exact=size)), context):
        painting = painter.painting(frame.index)
        if painting.is_whole:
            sharp = sharpness(np.rint(255 * painting.rgb).astype(np.uint8))
            found.append(sharpness(to_uint8(network(frame.rgb, frame.index))) / max(sharp, 1e-6))
    return float(np.mean(found)) if found else 1.0


def calibrated_shares(squares: np.ndarray, counts: np.ndarray, caution: float = CAUTION) -> tuple[float, ...]:
    """Return the share of paint at each level of trust, in ``LEVELS``.

    ``squares`` and ``counts``: at each level, the sum of squared differences between paint and network, and the number
    of pixels. ``caution``: the power to which the shares are raised.
    """
    if not counts.any():
        return tuple(LEVELS)
    top = np.asarray(LEVELS) >= HIGH_TRUST
    if not counts[top].any():  # Without pixels of high trust, the highest level that has pixels is used
        top = np.arange(len(LEVELS)) == np.flatnonzero(counts)[-1]
    error = squares[top].sum() / counts[top].sum()
    means = squares / np.maximum(counts, 1)
    shares = np.where(counts > 0, np.minimum(1, error / np.maximum(means, 1e-9)), 0)
    shares = np.maximum.accumulate(shares**caution)
    return tuple(round(float(share), 3) for share in shares)


def write_pairs(folder: Path, clip: Clip, keys: Sequence[int], painter: PaintComposer, context: Context) -> None:
    """Write training pairs: key frames to the subfolder ``A``, their completed paintings to ``B``, at full size."""
    for frame in read_clip_frames(clip, keys, DEFAULT_FORMAT, context):
        name = f"{frame.index:06d}.png"
        write_picture(folder / "A" / name, frame.rgb)
        picture = painter.complete(frame.index, frame.rgb)
        write_picture(folder / "B" / name, np.rint(255 * picture).astype(np.uint8))
