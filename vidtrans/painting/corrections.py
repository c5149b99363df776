"""Detect the areas that an artist painted over in frames of a result (corrections), by comparison with the result."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from vidtrans.core.errors import MediaError
from vidtrans.core.files import digest_of
from vidtrans.flow.warping import blur
from vidtrans.painting.composing import Painting
from vidtrans.painting.key_frames import UNLIKE, align
from vidtrans.video.colour.conversion import to_uint8
from vidtrans.video.images.picture import read_layers, resize

VERSION = 4  # Version of the detection of corrections, for digests
MIN_TOLERANCE, MAX_TOLERANCE = 5.0, 16.0  # Range of the threshold above which a blurred difference is paint, of 255
LOSSLESS_TOLERANCE = 0.5  # Threshold of paint, of 255, for a lossless result, whose unpainted pixels are equal
NOISE_FACTOR = 3.0  # Factor from the median difference (the noise of a lossy file) to the threshold of paint
DIFFERENCE_SIGMA = 1.0  # σ of the blur of the difference between painted picture and result, in pixels
CONTRAST_SHARE = 0.25  # Increase of the threshold per local contrast, because scaling and compression change edges
MIN_UNCHANGED = 0.3  # Share of unchanged pixels below which a program probably converted all colours
CLOSING_PX, MIN_AREA_PX = 5, 12  # Kernel that fills holes in the paint; area below which a region is not paint, pixels
EDGE_SIGMA = 1.0  # σ of the blur that softens the edge of detected paint, in pixels
FIT_LINES, FIT_ROUNDS = 180, 6  # Lines of the pictures to which a colour map is fitted; fits
MAX_COLOUR_SHIFT = 0.2  # Largest shift of an RGB cube corner by the fitted colour map, as a share of the range
MATCHED = "its colours were converted by another matrix: matched"  # Message of a fitted colour map


@dataclass(frozen=True)
class Correction:
    """The areas that an artist painted over in one frame of a result.

    Attributes:
        frame: The number of the source frame.
        digest: The digest of the picture, the result and ``VERSION``.
        rgb: The painted picture, (H, W, 3) uint8 or uint16.
        cover: The mask of painted areas, (H, W) uint8.
        is_whole: Whether the whole frame is painted.
    """

    frame: int
    digest: str
    rgb: np.ndarray
    cover: np.ndarray
    is_whole: bool = False

    def painting(self, size: tuple[int, int]) -> Painting:
        """Return the correction as a painting, scaled to a (width, height)."""
        full = np.iinfo(self.rgb.dtype).max
        rgb = np.clip(resize(self.rgb, *size).astype(np.float32) / full, 0, 1)
        return Painting(self.frame, rgb, np.clip(resize(self.cover, *size).astype(np.float32) / 255, 0, 1))


def find_correction(
    path: Path,
    result: np.ndarray,
    number: int,
    frame: int,
    digest: str,
    layer: np.ndarray | None = None,
    *,
    lossless: bool = False,
) -> tuple[Correction, str]:
    """Return the correction in an overpainted frame of a result, and a message about the picture's alignment.

    Args:
        path: The painted picture; its transparent areas change nothing.
        result: The frame of the result, (H, W, 3) uint8 or uint16.
        number: The number of that frame in the result.
        frame: The number of the source frame that it was made from.
        digest: The digest of the picture and the result.
        layer: The result's straight colours and alpha, (H, W, 4) of its dtype, where the result is a paint layer, which
            is composited over a background in ``result``.
        lossless: Whether the result's codec is lossless, so that unpainted pixels of a copy equal ``result``.

    Raises:
        MediaError: The picture cannot be read, shows something else, or changes nothing.
    """
    rgb, alpha = read_layers(path)
    height, width = result.shape[:2]
    placement = align(rgb, to_uint8(result), alpha)
    full = np.iinfo(result.dtype).max
    painted, inside = placement.apply(rgb, (width, height))
    painted = np.rint(painted.astype(np.float32) * (full / np.iinfo(rgb.dtype).max)).astype(result.dtype)
    opacity = inside.astype(np.float32)
    if alpha is not None:
        placed, _ = placement.apply(np.ascontiguousarray(alpha[..., None]), (width, height))
        opacity *= placed[..., 0].astype(np.float32) / np.iinfo(alpha.dtype).max
        if layer is not None:
            own = _over_grey(layer[..., :3], layer[..., 3] / np.float32(full))
            cover = change_mask(_over_grey(painted, opacity), own) * opacity
            return _correction(path, number, frame, digest, painted, cover), placement.words
        share = opacity[..., None]
        painted = np.rint(painted * share + result * (1 - share)).astype(result.dtype)
    elif placement.likeness < UNLIKE:
        raise MediaError(str(path), f"it does not look like frame {number} of the result", "paint over that very frame")
    exact = bool((painted == result).all(2).mean() > MIN_UNCHANGED)
    words, matched = placement.words, None if exact and lossless else match_colours(painted, result)
    if matched is not None:
        painted = matched
        words = f"{words}, {MATCHED}" if words else MATCHED
    least = LOSSLESS_TOLERANCE if exact and lossless else MIN_TOLERANCE
    cover = change_mask(painted, result, exact=exact, least=least) * (opacity > 0)
    but = " except all its colours, as programs do that use another colour matrix" if matched is not None else ""
    return _correction(path, number, frame, digest, painted, cover, but), words


def _correction(
    path: Path, number: int, frame: int, digest: str, painted: np.ndarray, cover: np.ndarray, but: str = ""
) -> Correction:
    """Create a correction. Raises MediaError if nothing is painted.

    ``number`` and ``frame``: numbers of the frame in the result, and in the source. ``cover``: the mask of paint,
    (H, W) float32 in [0, 1]. ``but``: text about ignored changes, for the error.
    """
    if not cover.any():
        raise MediaError(str(path), f"it changes nothing of frame {number}{but}", "paint over it, or remove it")
    return Correction(frame, digest_of([digest, VERSION]), painted, np.rint(255 * cover).astype(np.uint8))


def _over_grey(rgb: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Composite colours (H, W, 3) over grey by opacity (H, W); return (H, W, 4) of the same dtype with the opacity."""
    full, share = np.iinfo(rgb.dtype).max, opacity[..., None]
    return np.rint(np.dstack([rgb * share + (1 - share) * (full // 2), full * share])).astype(rgb.dtype)


def match_colours(painted: np.ndarray, result: np.ndarray) -> np.ndarray | None:
    """Convert ``painted`` to the colours of a result, both (H, W, 3); None if they agree or no colour map fits.

    Programs convert the colours of video by different matrices. A difference everywhere that fits a colour map close to
    the identity is such a conversion; painted areas are outliers of the fit.
    """
    full = float(np.iinfo(result.dtype).max)
    height, width = result.shape[:2]
    size = (max(1, width * FIT_LINES // height), FIT_LINES) if height > FIT_LINES else (width, height)
    x, y = (resize(p, *size).reshape(-1, 3).astype(np.float64) / full for p in (painted, result))
    x = np.column_stack([x, np.ones(len(x))])
    before = float(np.median(np.abs(x[:, :3] - y).max(1)))
    if before < 1 / 255:
        return None
    fitted: np.ndarray = np.eye(4, 3)
    used: np.ndarray = np.ones(len(x), bool)
    for _ in range(FIT_ROUNDS):
        fitted = np.linalg.lstsq(x[used], y[used], rcond=None)[0]
        difference = np.abs(x @ fitted - y).max(1)
        used = difference <= max(2 / 255, 2 * float(np.median(difference)))
    corners = np.array(list(itertools.product((0, 1), (0, 1), (0, 1), (1,))), np.float64)
    moved = float(np.abs(corners @ fitted - corners[:, :3]).max())
    if moved > MAX_COLOUR_SHIFT or float(np.median(difference)) > before / 2:
        return None
    mapped = painted.reshape(-1, 3).astype(np.float32) @ fitted[:3].astype(np.float32) + np.float32(full) * fitted[3]
    return np.clip(np.rint(mapped), 0, full).astype(result.dtype).reshape(result.shape)


def change_mask(
    painted: np.ndarray, result: np.ndarray, *, exact: bool = True, least: float = MIN_TOLERANCE
) -> np.ndarray:
    """Return the mask of overpainted areas, (H, W) float32 in [0, 1], with soft outer edges.

    ``painted`` and ``result``: (H, W, 3), uint8 or uint16. ``exact``: unpainted pixels are unchanged, and paint differs
    by more than ``least`` levels of 255. Otherwise the picture was scaled or compressed: the tolerance is measured, and
    is higher around edges.
    """
    scale = 255 / np.iinfo(result.dtype).max
    difference = np.abs(painted.astype(np.float32) - result.astype(np.float32)).max(2) * scale
    tolerance: float | np.ndarray = least
    if not exact:
        levels, box = to_uint8(result), np.ones((CLOSING_PX, CLOSING_PX), np.uint8)
        contrast = cv2.subtract(cv2.dilate(levels, box), cv2.erode(levels, box)).max(2).astype(np.float32)
        noise = NOISE_FACTOR * float(np.median(difference))
        tolerance = min(MAX_TOLERANCE, max(MIN_TOLERANCE, noise)) + CONTRAST_SHARE * contrast
    differs = blur(difference, DIFFERENCE_SIGMA) > tolerance
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSING_PX, CLOSING_PX))
    closed = cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed, connectivity=8)
    is_paint = np.zeros(count, np.uint8)
    is_paint[1:] = stats[1:, cv2.CC_STAT_AREA] >= MIN_AREA_PX
    grown = cv2.dilate(is_paint[labels], kernel)
    if not grown.any():
        return np.zeros(grown.shape, np.float32)
    soft: np.ndarray = np.maximum(is_paint[labels], np.where(grown > 0, blur(grown.astype(np.float32), EDGE_SIGMA), 0))
    return soft.astype(np.float32)


def merge(corrections: Sequence[Correction]) -> list[Correction]:
    """Merge several corrections of one frame, later ones over earlier ones; return one per frame in frame order."""
    found: dict[int, Correction] = {}
    for one in corrections:
        below = found.get(one.frame)
        if below is None or below.rgb.shape != one.rgb.shape:
            found[one.frame] = one
            continue
        share = (one.cover.astype(np.float32) / 255)[..., None]
        rgb = np.rint(below.rgb + share * (one.rgb.astype(np.float32) - below.rgb)).astype(below.rgb.dtype)
        cover = np.maximum(below.cover, one.cover)
        found[one.frame] = Correction(one.frame, digest_of([below.digest, one.digest]), rgb, cover)
    return [found[frame] for frame in sorted(found)]
