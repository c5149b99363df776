"""Match frames of two clips that show the same content at different times and in different styles, by their edges.

``agreement`` says whether two clips show the same content at the same times.

The edges of a frame are compared with those of every frame of the other clip, to find candidates. The
flow between the two edge pictures, each with an equalised histogram, then finds where each part of one is in the
other, and what share of the edges passes the forward–backward test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vidtrans.core.settings import Size
from vidtrans.flow.estimator import DISMedium
from vidtrans.flow.warping import blur, inside, resize_flow, squared_length, warp

VERSION = 1  # of the cached matches
SHORT_SIDE = 128  # pixels, at which frames are compared
SPREAD = 1.5  # pixels, σ: edges that lie this near to each other count as one
COARSE = 5.0  # pixels, σ: edges that flow begins with
FLAT = 1e-3  # squared steps of grey below which nothing is an edge, of a range of 2
ROUNDING = 1e-5
STEPS = 4096  # of strength: what differs by less is equally strong
NEAREST = 4  # candidate frames that are compared by flow
NEAR = 1.0  # pixels, the largest forward–backward error
# Of what a frame has of edges: at most .08 in frames of different clips, photos or lines, .38 and more in a photo and
# lines of one clip that are up to 40 frames apart, .19 and more in a photo and a look. Plain pictures of few shapes,
# which are easily mistaken for each other: up to .23.
ENOUGH = 0.15
# On three sets of a photo and a look the source lies 23.0, 26.2 and 16.7 dB from where it belongs if all flow moves it,
# 22.8, 27.1 and 21.4 if nothing does, and 23.8, 28.0 and 18.4 with this.
WORTH_MOVING = 0.3  # of correlation
WORTH_REACHING = 0.05  # of its mean, by which flow that begins coarse is to be better
ALIKE = 0.5  # correlation from which a part is the same
STRUCTURE = 10.0  # ranks, standard deviation: less is flat
AROUND, SOFT = 5.0, 2.0  # pixels, σ: what is compared, and how soon a part that moves passes into one that stays
AGREEMENT_SIZE = (
    160,
    112,
)  # pixels, (width, height), whatever the shape of the frames: one may be stretched to the other
FINE, WIDE = 3.0, 12.0  # pixels, σ: structure of tones between these sizes is compared, and edges finer than the second
PLAIN_STD = 2.0  # grey levels: a frame with less contrast has nothing to compare


@dataclass(frozen=True)
class Outlines:
    """The edges of a frame.

    ``ranks``: edge strength with an equalised histogram, (h, w) uint8; ``coarse``: the same of blurred edges;
    ``pattern``: their descriptor for comparing frames, (n,) float32, of length 1, or less in a flat frame.
    """

    ranks: np.ndarray
    coarse: np.ndarray
    pattern: np.ndarray


@dataclass(frozen=True)
class Match:
    """A frame of the other clip with the same content: its ``number``, and the ``share`` of edges found, 0 to 1."""

    number: int
    share: float


def outlines(rgb: np.ndarray, size: tuple[int, int] | None = None) -> Outlines:
    """Return the edges of a frame (H, W, 3) uint8 at a ``size`` (width, height), by default 128 on the short side."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    width, height = size or Size(short=SHORT_SIDE).of(grey.shape[1], grey.shape[0])
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(127.5)
    right = np.diff(grey, axis=1, append=grey[:, -1:])
    down = np.diff(grey, axis=0, append=grey[-1:])
    strength = blur(np.sqrt(right**2 + down**2 + np.float32(FLAT)), SPREAD)
    small = cv2.resize(strength, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_AREA).ravel()
    pattern = small - small.mean()
    # In a flat frame nothing but rounding is left, which is not to be enlarged.
    pattern /= np.float32(max(float(np.linalg.norm(pattern)), ROUNDING * pattern.size**0.5))
    return Outlines(_equalised(blur(strength, 1.0)), _equalised(blur(strength, COARSE)), pattern)


def _equalised(strength: np.ndarray) -> np.ndarray:
    """Return the rank of each pixel, 0 to 255; equal values, as in flat areas, have equal ranks."""
    steps = np.rint(strength * STEPS).astype(np.int64)
    below = np.cumsum(np.bincount(steps.ravel()))
    ranks = np.concatenate(([0], below))[steps] * 256 // strength.size
    return ranks.astype(np.uint8)


class Matcher:
    """A finder of the frame of a clip, from the ``outlines`` of its frames, with the same content as another frame."""

    def __init__(self, frames: Sequence[Outlines]) -> None:
        self._frames = frames
        self._patterns = np.stack([frame.pattern for frame in frames])
        self._method = DISMedium()

    def __call__(self, frame: Outlines) -> Match:
        """Return the match of ``frame`` with the largest share, among the clip's frames with the most similar edges."""
        alike = self._patterns @ frame.pattern
        nearest = np.argsort(-alike, kind="stable")[:NEAREST]
        matches = (Match(int(n), self._share(frame, self._frames[n])) for n in nearest)
        return max(matches, key=lambda match: match.share)

    def _share(self, frame: Outlines, other: Outlines) -> float:
        """Return the share of a frame's edges that are found in another frame and look alike there: 0 to 1."""
        there, back = self._flow(frame, other), self._flow(other, frame)
        returns = squared_length(there + warp(back, there)) < NEAR**2
        alike, structure = _likeness(frame.ranks, warp(other.ranks, there))
        found = returns & inside(there, 0.5) & (alike > ALIKE) & structure
        return float(found.sum() / max(1, structure.sum()))

    def _flow(self, first: Outlines, second: Outlines) -> np.ndarray:
        return self._method(first.ranks, second.ranks, self._method(first.coarse, second.coarse))


def bring(other: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """Return ``other`` warped so that its content lies as in ``frame``; both are (H, W, 3) uint8 of one size.

    A part is moved only where that makes its edges much more similar: edges of two styles never align exactly, and
    flow would follow the difference. Flow that starts at zero is more exact, flow that starts from coarse edges reaches
    further: the better match is used.
    """
    here, there = outlines(frame), outlines(other)
    method = DISMedium()
    near = method(here.ranks, there.ranks)
    far = method(here.ranks, there.ranks, method(here.coarse, there.coarse))
    still, structure = _likeness(here.ranks, there.ranks)
    moved = [_likeness(here.ranks, warp(there.ranks, flow))[0] for flow in (near, far)]
    means = [float(np.maximum(likeness, still)[structure].mean()) if structure.any() else 0.0 for likeness in moved]
    flow, likeness = (far, moved[1]) if means[1] > means[0] + WORTH_REACHING else (near, moved[0])
    flow *= blur((likeness - still > WORTH_MOVING).astype(np.float32), SOFT)[..., None]
    return warp(other, resize_flow(flow, frame.shape[1], frame.shape[0]))


def _likeness(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the local correlation of two pictures, −1 to 1, and where the first is not flat: (h, w) each."""
    one, other = first.astype(np.float32), second.astype(np.float32)
    mean, other_mean = blur(one, AROUND), blur(other, AROUND)
    together = blur(one * other, AROUND) - mean * other_mean
    spread = blur(one * one, AROUND) - mean**2
    both = spread * (blur(other * other, AROUND) - other_mean**2)
    return together / np.sqrt(np.maximum(both, 1)), spread > STRUCTURE**2


def structure(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the edges and the tones of a frame (H, W, 3) uint8 for ``agreement``; None for a frame without contrast.

    Each is (n,) float32, of length 1, without what is common to most pictures, such as a bright sky above.
    """
    grey = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), AGREEMENT_SIZE, interpolation=cv2.INTER_AREA)
    if float(grey.std()) < PLAIN_STD:
        return None
    edges = outlines(rgb, AGREEMENT_SIZE).ranks.astype(np.float32)
    tones = blur(cv2.equalizeHist(grey).astype(np.float32), FINE)
    fine, mean = (part - blur(part, WIDE) for part in (edges, tones))
    return _unit(fine), _unit(mean)


def _unit(plane: np.ndarray) -> np.ndarray:
    vector = (plane - plane.mean()).ravel()
    unit: np.ndarray = vector / np.float32(max(float(np.linalg.norm(vector)), ROUNDING))
    return unit


def agreement(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> float | None:
    """Return how well frames of two clips, (H, W, 3) uint8 each, agree in edges and tones: about 0 to 2.

    The tones may be inverted, as in a negative. None: no pair has contrast in both frames.
    """
    found = [(one, other) for a, b in pairs if (one := structure(a)) and (other := structure(b))]
    if not found:
        return None
    edges, tones = (float(np.mean([one[k] @ other[k] for one, other in found])) for k in (0, 1))
    return edges + abs(tones)
