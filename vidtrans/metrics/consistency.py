"""Score a video frame by frame: flicker, fidelity to a reference, and ghosts of earlier frames.

Flow is estimated from the source alone, and every video is scored on the same pixels of the same pairs of frames, so
that ratios of their errors are meaningful.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from vidtrans.core.settings import Size, Table
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowMethod, grey
from vidtrans.flow.warping import forward_backward, warp
from vidtrans.metrics import SCORING_FLOW, SHORT_SIDE
from vidtrans.metrics.picture_quality import PSNR_CAP, SSIM_WINDOW, psnr_of, sharpness, squared_error, ssim
from vidtrans.video.images.picture import resize

NOTICEABLE = (1 / 255) ** 2  # Smallest noticeable warping error, of full scale squared: an RMS of one 8-bit level
SHARE_OF_WORST = 0.1  # Smallest excess error of a reported frame, as a share of the worst frame's excess
MAX_SOURCE_RATIO = 0.95  # Source's error relative to the per-frame video's above which ``flicker_removed`` is None
MIN_RELIABLE = 0.01  # Minimum share of the picture that must have reliable flow for a score
# Kelly (1979): at 5 Hz and more, contrast along the motion is visible up to about 3 periods per degree of visual angle.
# A picture that is viewed from three times its height is 19° high.
FINEST = 1 / 256  # Scale below which flicker is invisible, as a share of the picture's short side
FLICKER_SCALE = math.sqrt(2 / 3)  # With this factor, independent brightness errors of s levels give a flicker of s
# Video whose steadiness is measured, by the suffix of the measure's name
STEADY = {"": "output", "_per_frame": "per-frame", "_source": "source"}
# (measured video, its reference) of fidelity measures by suffix of the measure's name
NEAR = {"": ("output", "reference"), "_to_per_frame": ("output", "per-frame"), "_per_frame": ("per-frame", "reference")}
NEAR_WITHOUT_REFERENCE = {"": ("output", "per-frame")}  # Fidelity measures if there is no reference video

Series = tuple[float | None, ...]  # A measure's value in each frame; None where it is unknown
Summary = dict[str, float | None]  # Values for the whole video by measure; None if unknown


@dataclass(frozen=True)
class FlowPair:
    """The motion between two consecutive frames of a shot, as flows (H, W, 2) float32 in pixels."""

    there: np.ndarray  # From the first frame to the second
    back: np.ndarray  # From the second to the first

    @classmethod
    def between(cls, first: np.ndarray, second: np.ndarray, method: FlowMethod) -> FlowPair:
        """Estimate the motion between two grey pictures, (H, W) uint8, in both directions."""
        return cls(method(first, second), method(second, first))

    @cached_property
    def reliable(self) -> np.ndarray:
        """Return the mask (H, W) bool of the first frame's pixels that are visible in the second."""
        return forward_backward(self.there, self.back) & ~motion_boundary(self.there)

    @cached_property
    def reliable_back(self) -> np.ndarray:
        """Return the mask (H, W) bool of the second frame's pixels that are visible in the first."""
        return self._returns_back & ~motion_boundary(self.back)

    @cached_property
    def uncovered(self) -> np.ndarray:
        """Return the mask (H, W) bool of the second frame's newly visible pixels, dilated by one pixel.

        An object moved away from there, or content entered at the border; failures of the flow method look the same.
        """
        unseen = (~self._returns_back).astype(np.uint8)
        return cv2.dilate(unseen, np.ones((3, 3), np.uint8)).astype(bool)

    @cached_property
    def _returns_back(self) -> np.ndarray:
        """Return the mask (H, W) bool of pixels whose flow ``back`` and then ``there`` leads to the same pixel."""
        return forward_backward(self.back, self.there)


def motion_boundary(flow: np.ndarray) -> np.ndarray:
    """Return the mask of motion boundaries (Ruder et al. 2016), (H, W) bool, of a flow (H, W, 2) in pixels.

    ``|∇u|² + |∇v|² > 0.01 |f|² + 0.002``, with differences to the next pixel, as in the evaluator that Lai et al. (ECCV
    2018) published.
    """
    down, right = np.zeros_like(flow), np.zeros_like(flow)
    down[:-1], right[:, :-1] = flow[1:] - flow[:-1], flow[:, 1:] - flow[:, :-1]
    u, v = flow[..., 0], flow[..., 1]
    change = np.einsum("hwc,hwc->hw", down, down) + np.einsum("hwc,hwc->hw", right, right)
    return change > 0.01 * (u * u + v * v) + 0.002


@dataclass(frozen=True)
class Scores:
    """The scores of a video: measures of each frame, and their summary."""

    frames: int
    pairs: int  # Number of pairs of consecutive frames with known motion
    size: tuple[int, int]  # (width, height) used for scoring
    compared_with: str | None  # "reference", "per-frame" or None
    summary: Summary  # Value of each measure for the whole video; None if unknown
    series: dict[str, Series]  # One value per frame for each measure; the value of a pair is at its second frame

    def worst(self, count: int = 5) -> list[int]:
        """Return up to ``count`` frames whose error most exceeds the source's, worst first, spread over time."""
        excess = [
            0.0 if own is None or given is None else own - given
            for own, given in zip(self.series["warping_error"], self.series["warping_error_source"], strict=True)
        ]
        min_gap = max(4, min(24, self.frames // 20), self.frames // 100)
        least = max(NOTICEABLE, SHARE_OF_WORST * max(excess, default=0.0))
        found: list[int] = []
        for at in sorted(range(self.frames), key=lambda i: (-excess[i], i)):
            if excess[at] < least or len(found) == count:
                break
            if all(abs(at - other) >= min_gap for other in found):
                found.append(at)
        return found

    def table(self) -> Table:
        """Return the scores of the whole video as a result table."""
        summary = {name: round_digits(value) for name, value in self.summary.items()}
        return {"pairs": self.pairs, "scored_at": list(self.size), "compared_with": self.compared_with, **summary}


def round_digits(value: float | None) -> float | None:
    """Round a score to five significant digits; None stays None."""
    return None if value is None else float(f"{value:.5g}")


def mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if there are none."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def divide(value: float | None, of: float | None) -> float | None:
    """Return ``value / of``; None if one of them is None or ``of`` is 0."""
    return None if value is None or not of else value / of


def flicker_removed(ratio: float | None, floor: float | None) -> float | None:
    """Return the share of flicker that a filter removed: 0 for none, 1 if the output is as steady as the source.

    It is (1 − E) / (1 − E_source), with the warping errors of output (``ratio``) and source (``floor``) relative to the
    per-frame video's. None if the per-frame video hardly flickers more than the source.
    """
    if ratio is None or floor is None or floor > MAX_SOURCE_RATIO:
        return None
    return (1 - ratio) / (1 - floor)


class Steadiness:
    """Measures a video's temporal consistency along the motion of its source.

    The warping error is E of Lai et al. (ECCV 2018), ``Σ m (W(second) − first)² / (3 Σ m)`` in units of full scale
    squared, 0 to 1: m is the mask of pixels with reliable source flow. Sampling is bilinear, as in the published
    evaluator: it blurs all videos alike, and does not overshoot at edges like bicubic sampling.
    """

    def __init__(self) -> None:
        self.errors: list[float | None] = []
        self.flickers: list[float | None] = []
        self._last = self._before = np.empty(0, np.float32)

    def add(self, picture: np.ndarray, motion: FlowPair | None, both: np.ndarray | None) -> None:
        """Add the next frame, (H, W, 3) float32 in [0, 1], and the motion to it; None at the start of a shot.

        ``both``: mask (H, W) bool of pixels whose flows from the previous frame to both of its neighbours are reliable.
        """
        self.errors.append(None)
        self.flickers.append(None)
        if motion is not None:
            after = warp(picture, motion.there)
            self.errors[-1] = masked_error(after, self._last, motion.reliable)
            if both is not None:
                self.flickers[-2] = stabilised_flicker(self._before, self._last, after, both)
            self._before = warp(self._last, motion.back)
        self._last = picture

    def summary(self) -> Summary:
        """Return the mean warping error (full scale squared) and flicker (8-bit levels); None if unknown."""
        return {"warping_error": mean(self.errors), "flicker": mean(self.flickers)}

    def series(self) -> dict[str, Series]:
        """Return the warping error and the flicker of each frame."""
        return {"warping_error": tuple(self.errors), "flicker": tuple(self.flickers)} if self.errors else {}


def masked_error(a: np.ndarray, b: np.ndarray, mask: np.ndarray) -> float | None:
    """Return the mean squared difference of two pictures in a mask (H, W) bool; None if the mask is nearly empty."""
    return None if mask.mean() < MIN_RELIABLE else float(_mean_square(a - b, mask))


def stabilised_flicker(before: np.ndarray, here: np.ndarray, after: np.ndarray, reliable: np.ndarray) -> float | None:
    """Return the visible flicker of a frame after motion compensation, in 8-bit levels.

    ``before`` and ``after`` are the neighbours of ``here`` (H, W, 3) float32 in [0, 1], warped to its pixels along the
    motion of the source. ``reliable``: the mask (H, W) bool of pixels with reliable flow to both; if it is nearly
    empty, return None. The second difference, here − (before + after) / 2, is 0 for a steady fade and largest for
    frame-to-frame alternation, like the eye's sensitivity at 24 to 30 frames per second. It is smoothed in space,
    because fine flicker is invisible; the result is its RMS over pixels and channels. If each frame's brightness is
    independently off by s levels, the result is s.
    """
    if reliable.mean() < MIN_RELIABLE:
        return None
    weight = reliable.astype(np.float32)
    jump = (here - (before + after) / 2) * weight[..., None]
    sigma = max(1.0, FINEST * min(here.shape[:2]))
    # The blur is a mean over reliable pixels only.
    share = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-6)
    smooth = cv2.GaussianBlur(jump, (0, 0), sigma) / share[..., None]
    return 255 * FLICKER_SCALE * math.sqrt(_mean_square(smooth, reliable))


def _mean_square(difference: np.ndarray, mask: np.ndarray) -> float:
    """Return the mean square of a difference (H, W, C) over the pixels of a mask."""
    squares = np.einsum("hwc,hwc->hw", difference, difference)
    return float(squares[mask].mean(dtype=np.float64)) / difference.shape[2]


class Nearness:
    """Measures a video's fidelity: its similarity to a reference."""

    def __init__(self) -> None:
        self._errors: list[float | None] = []
        self._similar: list[float | None] = []
        self._sharp: list[tuple[float, float]] = []

    def add(self, picture: np.ndarray, reference: np.ndarray, sharp: float, reference_sharp: float) -> None:
        """Add the next frame and its reference, (H, W, 3) uint8, with the sharpness of each in grey levels."""
        self._errors.append(squared_error(picture, reference))
        self._similar.append(ssim(picture, reference) if min(picture.shape[:2]) >= SSIM_WINDOW else None)
        self._sharp.append((sharp, reference_sharp))

    def skip(self) -> None:
        """Add a frame that is not compared."""
        self._errors.append(None)
        self._similar.append(None)
        self._sharp.append((0.0, 0.0))

    def summary(self) -> Summary:
        """Return the scores of the video; PSNR comes from the mean error, so that identical frames do not raise it."""
        error = mean(self._errors)
        own, reference = (sum(column) for column in zip(*self._sharp or [(0.0, 0.0)], strict=True))
        return {
            "psnr": None if error is None else _capped_psnr(error),
            "ssim": mean(self._similar),
            "sharpness": divide(own, reference),
        }

    def series(self) -> dict[str, Series]:
        """Return PSNR, SSIM and relative sharpness of each frame."""
        if not self._errors:
            return {}
        return {
            "psnr": tuple(None if e is None else _capped_psnr(e) for e in self._errors),
            "ssim": tuple(self._similar),
            "sharpness": tuple(divide(own, reference) for own, reference in self._sharp),
        }


def _capped_psnr(error: float) -> float:
    """Return the PSNR in dB of a squared error, at most ``PSNR_CAP``, because JSON has no infinity."""
    return min(PSNR_CAP, psnr_of(error))


@dataclass(frozen=True)
class Ghost:
    """A frame's mean errors, in 8-bit levels: in its newly uncovered pixels, and ``elsewhere``.

    ``pixels``: the number of newly uncovered pixels.
    """

    uncovered: float
    elsewhere: float
    pixels: int


class Ghosting:
    """Measures ghosting in a video: old content that remains visible in newly uncovered areas."""

    def __init__(self) -> None:
        self._ghosts: list[Ghost | None] = []

    def skip(self) -> None:
        """Add a frame whose ghosting is not measured."""
        self._ghosts.append(None)

    def add(self, output: np.ndarray, reference: np.ndarray, uncovered: np.ndarray) -> None:
        """Add a frame's error against the reference, in newly uncovered pixels and in all others.

        ``output`` and ``reference`` (the per-frame picture, or a reference) are (H, W, 3) uint8, ``uncovered`` (H, W)
        bool. A filter that averages over time changes the whole picture; in uncovered areas it averages unrelated
        content and changes it more, so that old content shines through. The frame is skipped if no pixel is new, or all
        are.
        """
        pixels = int(np.count_nonzero(uncovered))
        if not 0 < pixels < uncovered.size:
            self.skip()
            return
        off = cv2.absdiff(output, reference).mean(axis=2, dtype=np.float32)
        total, new = off.sum(dtype=np.float64), off[uncovered].sum(dtype=np.float64)
        self._ghosts.append(Ghost(float(new / pixels), float((total - new) / (uncovered.size - pixels)), pixels))

    def summary(self) -> Summary:
        """Return the mean error of newly uncovered pixels, of all others, and the difference, which is the ghosting.

        In 8-bit levels, weighted by the numbers of new pixels; None if the clip has none.
        """
        ghosts = [ghost for ghost in self._ghosts if ghost]
        pixels = sum(ghost.pixels for ghost in ghosts)
        if not pixels:
            return dict.fromkeys(("ghosting", "error_uncovered", "error_elsewhere"))
        uncovered, elsewhere = (
            sum(getattr(ghost, name) * ghost.pixels for ghost in ghosts) / pixels for name in ("uncovered", "elsewhere")
        )
        return {"ghosting": uncovered - elsewhere, "error_uncovered": uncovered, "error_elsewhere": elsewhere}

    def series(self) -> dict[str, Series]:
        """Return the ghosting of each frame."""
        if not any(self._ghosts):
            return {}
        return {"ghosting": tuple(ghost.uncovered - ghost.elsewhere if ghost else None for ghost in self._ghosts)}


class Scorer:
    """Scores the frames of a video in order; only two frames are in memory at a time.

    Pictures are (H, W, 3) uint8 of any size. They are resized to the output's, and scored at a short side of at most
    ``SHORT_SIDE`` pixels; only sharpness is measured at the output's full size, because shrinking hides blur. ``flow``:
    the name of a flow method.
    """

    def __init__(self, flow: str = SCORING_FLOW) -> None:
        self._method = FLOWS.load(flow)()
        self._steady = {suffix: Steadiness() for suffix in STEADY}
        self._near = {suffix: Nearness() for suffix in NEAR}
        self._ghosts = Ghosting()
        self._frames = 0
        self._shape: tuple[int, ...] = ()
        self._videos: set[str] = set()
        self._size = (0, 0)
        self._grey: np.ndarray | None = None
        self._reliable: np.ndarray | None = None  # Mask of reliable flow from the last frame to its predecessor

    def add(
        self,
        source: np.ndarray,
        output: np.ndarray,
        per_frame: np.ndarray | None = None,
        reference: np.ndarray | None = None,
        *,
        starts_shot: bool = False,
        is_compared: bool = True,
    ) -> None:
        """Add the next frame of each video, (H, W, 3) uint8.

        ``per_frame``: the output without temporal filter. ``reference``: the desired output. ``starts_shot``: the frame
        begins a shot, so there is no motion to it. ``is_compared``: the pictures are of the same moment; otherwise the
        frame has no scores.

        Raises ValueError if the output's size changes, or if the set of videos changes.
        """
        given = {"output": output, "per-frame": per_frame, "reference": reference}
        full = {name: picture for name, picture in given.items() if picture is not None}
        self._check(output.shape, set(full))
        height, width = output.shape[:2]
        full = {name: resize(picture, width, height) for name, picture in full.items()}
        small = {name: resize(picture, *self._size) for name, picture in full.items()}
        small["source"] = resize(source, *self._size)
        before, self._grey = self._grey, grey(small["source"])
        motion = None if before is None or starts_shot else FlowPair.between(before, self._grey, self._method)
        both = None if motion is None or self._reliable is None else motion.reliable & self._reliable
        self._reliable = None if motion is None else motion.reliable_back
        for suffix, video in STEADY.items():
            if video in small:
                self._steady[suffix].add(small[video].astype(np.float32) / 255, motion, both)
        self._add_nearness(full, small, is_compared)
        wanted = small.get("reference", small.get("per-frame"))
        if motion is None or wanted is None:
            self._ghosts.skip()
        else:
            self._ghosts.add(small["output"], wanted, motion.uncovered)
        self._frames += 1

    def scores(self) -> Scores:
        """Return the scores of all added frames."""
        tracks: list[tuple[str, Steadiness | Nearness | Ghosting]] = [
            *self._steady.items(),
            *self._near.items(),
            ("", self._ghosts),
        ]
        summary: Summary = {}
        series: dict[str, Series] = {}
        for suffix, track in tracks:
            summary |= {name + suffix: value for name, value in track.summary().items()}
            series |= {name + suffix: values for name, values in track.series().items()}
        unsteady = summary["warping_error_per_frame"]
        summary["ratio"] = divide(summary["warping_error"], unsteady)
        summary["removed"] = flicker_removed(summary["ratio"], divide(summary["warping_error_source"], unsteady))
        compared_with = next((v for v in ("reference", "per-frame") if v in self._videos), None)
        pairs = sum(e is not None for e in self._steady[""].errors)
        return Scores(self._frames, pairs, self._size, compared_with, summary, series)

    def _check(self, shape: tuple[int, ...], videos: set[str]) -> None:
        """Raise ValueError if a frame's shape, or the set of videos, differs from the first frame's."""
        if not self._shape:
            self._shape, self._videos = shape, videos
            self._size = Size(short=SHORT_SIDE).of(shape[1], shape[0])
        if shape != self._shape or videos != self._videos:
            raise ValueError(f"changed from {self._shape} of {sorted(self._videos)} to {shape} of {sorted(videos)}")

    def _add_nearness(self, full: dict[str, np.ndarray], small: dict[str, np.ndarray], is_compared: bool) -> None:
        """Add the fidelity measures of a frame; sharpness is measured at full size, the rest on ``small`` pictures."""
        sharp = {name: sharpness(picture) for name, picture in full.items()}
        comparisons = NEAR if "reference" in full else NEAR_WITHOUT_REFERENCE
        for suffix, (video, wanted) in comparisons.items():
            if video not in full or wanted not in full:
                continue
            if is_compared:
                self._near[suffix].add(small[video], small[wanted], sharp[video], sharp[wanted])
            else:
                self._near[suffix].skip()
