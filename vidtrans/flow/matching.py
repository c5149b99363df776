"""Match frames of two clips with the same content in different styles and at different times, by their edges.

The edges of a frame are compared with those of every frame of the other clip, to find candidates. The flow between the
two edge pictures, each with an equalised histogram, then locates the parts of one in the other, and gives the share of
the edges that passes the forward–backward test.

``clip_similarity`` measures whether two clips show the same content at the same times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.settings import Size
from vidtrans.flow.estimator import DISMedium
from vidtrans.flow.warping import blur, inside, resize_flow, squared_length, warp

VERSION = 1  # Version of the matches, for cache keys
SHORT_SIDE = 128  # Short side at which frames are compared, in pixels
EDGE_SIGMA = 1.5  # σ of the blur of edges before they are compared, in pixels
COARSE_SIGMA = 5.0  # σ of the blur of the edges from which the initial flow is estimated, in pixels
EDGE_FLOOR = 1e-3  # Added to squared gradients (grey has a range of 2), so that weaker gradients are not edges
ROUNDING = 1e-5  # Lower bound of a descriptor's norm, below which the descriptor is only rounding error
STRENGTH_STEPS = 4096  # Number of quantisation steps per unit of edge strength, for the ranking
NUM_CANDIDATES = 4  # Number of frames with the most similar edges that are then compared by flow
MAX_FB_ERROR_PX = 1.0  # Largest forward–backward error of the flow at matching edges, in pixels
# Frames of different clips (photographs or line drawings) match in at most 0.08 of their edges.
# A photograph and a line drawing of one clip match in at least 0.38, up to 40 frames apart.
# A photograph and its stylised version match in at least 0.19.
# Plain pictures of few shapes, which are easily confused, match in up to 0.23.
ENOUGH = 0.15  # Share of matched edges from which two frames count as a match
# The PSNR of the aligned source was measured on three sets of photographs and their stylised versions.
# It is 23.0, 26.2 and 16.7 dB if all pixels are warped, and 22.8, 27.1 and 21.4 dB if no pixel is warped.
# With the next two thresholds it is 23.8, 28.0 and 18.4 dB.
MIN_LOCAL_GAIN = 0.3  # Gain in local edge correlation from which a pixel is warped
MIN_COARSE_GAIN = 0.05  # Gain in mean edge correlation from which the flow with a coarse start replaces the plain flow
MIN_CORRELATION = 0.5  # Local correlation from which edges match
MIN_STRUCTURE_STD = 10.0  # Local standard deviation of edge ranks (0 to 255) below which an area counts as flat
CORRELATION_SIGMA, WARP_MASK_SIGMA = 5.0, 2.0  # σ of the correlation window, and of the blend at warped parts, pixels
SIMILARITY_SIZE = (160, 112)  # (width, height) in pixels of all compared frames, because one clip may be stretched
FINE_SIGMA, WIDE_SIGMA = 3.0, 12.0  # Band of the tones that are compared; edges are compared below the second σ, pixels
PLAIN_STD = 2.0  # Standard deviation below which a frame has no structure to compare, in grey levels


@dataclass(frozen=True)
class Outlines:
    """The edges of a frame, prepared for matching.

    Attributes:
        ranks: Edge strength with an equalised histogram, (h, w) uint8.
        coarse: Edge strength of the blurred edges, likewise.
        pattern: The descriptor for comparing frames, (n,) float32, of unit length, or shorter for a flat frame.
    """

    ranks: np.ndarray
    coarse: np.ndarray
    pattern: np.ndarray


@dataclass(frozen=True)
class Match:
    """A frame of the other clip with the same content: its ``number``, and the ``share`` of matched edges, 0 to 1."""

    number: int
    share: float


def outlines(rgb: np.ndarray, size: tuple[int, int] | None = None) -> Outlines:
    """Return the edges of a frame (H, W, 3) uint8 at a (width, height), by default with a short side of 128 pixels."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    width, height = size or Size(short=SHORT_SIDE).of(grey.shape[1], grey.shape[0])
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(127.5)
    right = np.diff(grey, axis=1, append=grey[:, -1:])
    down = np.diff(grey, axis=0, append=grey[-1:])
    strength = blur(np.sqrt(right**2 + down**2 + np.float32(EDGE_FLOOR)), EDGE_SIGMA)
    small = cv2.resize(strength, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA).ravel()
    pattern = small - small.mean()
    # The lower bound of the norm keeps a flat frame's rounding errors small.
    pattern /= np.float32(max(float(np.linalg.norm(pattern)), ROUNDING * pattern.size**0.5))
    return Outlines(_equalise(blur(strength, 1.0)), _equalise(blur(strength, COARSE_SIGMA)), pattern)


def _equalise(strength: np.ndarray) -> np.ndarray:
    """Return the rank of each pixel's edge strength, 0 to 255; equal strengths, as in flat areas, have equal ranks."""
    steps = np.rint(strength * STRENGTH_STEPS).astype(np.int64)
    below = np.cumsum(np.bincount(steps.ravel()))
    ranks = np.concatenate(([0], below))[steps] * 256 // strength.size
    return ranks.astype(np.uint8)


class Matcher:
    """Finds the frame of a clip with the same content as a given frame, from the ``outlines`` of the clip's frames."""

    def __init__(self, frames: Sequence[Outlines]) -> None:
        self._frames = frames
        self._patterns = np.stack([frame.pattern for frame in frames])
        self._method = DISMedium()

    def __call__(self, frame: Outlines) -> Match:
        """Return the match with the largest share of matched edges, among the frames with the most similar edges."""
        similarity = self._patterns @ frame.pattern
        candidates = np.argsort(-similarity, kind="stable")[:NUM_CANDIDATES]
        matches = (Match(int(n), self._share(frame, self._frames[n])) for n in candidates)
        return max(matches, key=lambda match: match.share)

    def _share(self, frame: Outlines, other: Outlines) -> float:
        """Return the share, 0 to 1, of a frame's edges that match edges of another frame."""
        there, back = self._flow(frame, other), self._flow(other, frame)
        returns = squared_length(there + warp(back, there)) < MAX_FB_ERROR_PX**2
        similarity, structure = _local_correlation(frame.ranks, warp(other.ranks, there))
        found = returns & inside(there, 0.5) & (similarity > MIN_CORRELATION) & structure
        return float(found.sum() / max(1, structure.sum()))

    def _flow(self, first: Outlines, second: Outlines) -> np.ndarray:
        """Return the flow between two frames' edges, which starts from the flow of their coarse edges."""
        return self._method(first.ranks, second.ranks, self._method(first.coarse, second.coarse))


def bring(other: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Warp the picture ``other`` so that its content is aligned with ``frame``; both are (H, W, 3) uint8 of one size.

    A part is warped only where that makes its edges much more similar: edges of two styles never align exactly, and
    flow would follow the difference. Flow that starts at zero is more exact, flow that starts from coarse edges reaches
    further: the better match is used.
    """
    here, there = outlines(frame), outlines(other)
    method = DISMedium()
    near = method(here.ranks, there.ranks)
    far = method(here.ranks, there.ranks, method(here.coarse, there.coarse))
    still, structure = _local_correlation(here.ranks, there.ranks)
    moved = [_local_correlation(here.ranks, warp(there.ranks, flow))[0] for flow in (near, far)]
    means = [float(np.maximum(likeness, still)[structure].mean()) if structure.any() else 0.0 for likeness in moved]
    flow, likeness = (far, moved[1]) if means[1] > means[0] + MIN_COARSE_GAIN else (near, moved[0])
    flow *= blur((likeness - still > MIN_LOCAL_GAIN).astype(np.float32), WARP_MASK_SIGMA)[..., None]
    return warp(other, resize_flow(flow, frame.shape[1], frame.shape[0]))


def _local_correlation(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the local correlation of two pictures, −1 to 1, and a mask where the first has structure: (h, w) each."""
    one, other = first.astype(np.float32), second.astype(np.float32)
    mean, other_mean = blur(one, CORRELATION_SIGMA), blur(other, CORRELATION_SIGMA)
    together = blur(one * other, CORRELATION_SIGMA) - mean * other_mean
    spread = blur(one * one, CORRELATION_SIGMA) - mean**2
    both = spread * (blur(other * other, CORRELATION_SIGMA) - other_mean**2)
    return together / np.sqrt(np.maximum(both, 1)), spread > MIN_STRUCTURE_STD**2


def structure(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the edges and the tones of a frame (H, W, 3) uint8, the inputs of ``clip_similarity``.

    Each is (n,) float32, of unit length, without the low frequencies that most pictures share, such as a bright sky.
    Return None for a frame without contrast.
    """
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), SIMILARITY_SIZE, interpolation=cv2.INTER_AREA)
    if float(grey.std()) < PLAIN_STD:
        return None
    edges = outlines(rgb, SIMILARITY_SIZE).ranks.astype(np.float32)
    tones = blur(cv2.equalizeHist(grey).astype(np.float32), FINE_SIGMA)
    fine, mean = (part - blur(part, WIDE_SIGMA) for part in (edges, tones))
    return _unit(fine), _unit(mean)


def _unit(plane: np.ndarray) -> np.ndarray:
    """Return a plane as a vector of mean 0 and length 1."""
    vector = (plane - plane.mean()).ravel()
    unit: np.ndarray = vector / np.float32(max(float(np.linalg.norm(vector)), ROUNDING))
    return unit


def clip_similarity(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """Return the similarity of two clips: mean correlation of edges plus that of tones over frame pairs, about 0 to 2.

    ``pairs``: (H, W, 3) uint8 each. The sign of the tones is ignored, because one clip may be a negative. None: no pair
    has contrast in both frames.
    """
    found = [(one, other) for a, b in pairs if (one := structure(a)) and (other := structure(b))]
    if not found:
        return None
    edges, tones = (float(np.mean([one[k] @ other[k] for one, other in found])) for k in (0, 1))
    return edges + abs(tones)
