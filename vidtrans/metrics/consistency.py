"""Score a video frame by frame: flicker, fidelity, ghosts of earlier frames.

Flow is estimated from the source alone, and every video is scored on the same pixels of the same pairs, so that
ratios of their errors are meaningful.
"""

from __future__ import annotations

import numpy as np

from vidtrans.core.settings import Size
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.metrics import SCORING_FLOW, SHORT_SIDE
from vidtrans.metrics.clip_scores import Scores, Series, divide, flicker_removed
from vidtrans.metrics.frame_scores import Ghosting, Nearness, ScoreSeries, Steadiness, Summary, measure_ghost
from vidtrans.metrics.motion import FlowPair
from vidtrans.metrics.picture_quality import sharpness
from vidtrans.video.images.picture import resize

# What the names of measures end in, and which video is measured; with a reference also against which.
STEADY = {"": "output", "_per_frame": "per-frame", "_source": "source"}
NEAR = {"": ("output", "reference"), "_to_per_frame": ("output", "per-frame"), "_per_frame": ("per-frame", "reference")}
NEAR_WITHOUT_REFERENCE = {"": ("output", "per-frame")}


class Scorer:
    """Score the frames of a clip in order; only two frames are in memory at a time.

    Pictures are (H, W, 3) uint8 of any size: they are resized to the output's, and scored at a short side of at most
    ``SHORT_SIDE`` pixels; only sharpness is measured at the output's full size, since shrinking hides blur. ``flow`` is
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
        self._reliable: np.ndarray | None = None  # where the flow from the last frame to the one before it is

    def add(
        self,
        source: np.ndarray,
        output: np.ndarray,
        per_frame: np.ndarray | None = None,
        reference: np.ndarray | None = None,
        *,
        starts_shot: bool = False,
    ) -> None:
        """Add one frame of each video; ``starts_shot``: the frame begins a shot, so no motion leads to it.

        Raises ValueError if the output's size changes, or if the set of videos changes.
        """
        given = {"output": output, "per-frame": per_frame, "reference": reference}
        full = {name: picture for name, picture in given.items() if picture is not None}
        self._check(output.shape, set(full))
        height, width = output.shape[:2]
        full = {name: resize(picture, width, height) for name, picture in full.items()}
        small = {name: resize(picture, *self._size) for name, picture in full.items()}
        small["source"] = resize(source, *self._size)
        motion = self._motion(small["source"], starts_shot)
        self._add_steadiness(small, motion)
        self._add_nearness(full, small)
        wanted = small.get("reference", small.get("per-frame"))
        if motion is None or wanted is None:
            self._ghosts.add(None)
        else:
            self._ghosts.add(measure_ghost(small["output"], wanted, motion.uncovered))
        self._frames += 1

    def scores(self) -> Scores:
        """Return the scores of all frames that were added."""
        tracks: list[tuple[str, ScoreSeries]] = [*self._steady.items(), *self._near.items(), ("", self._ghosts)]
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
        if not self._shape:
            self._shape, self._videos = shape, videos
            self._size = Size(short=SHORT_SIDE).of(shape[1], shape[0])
        if shape != self._shape or videos != self._videos:
            raise ValueError(f"changed from {self._shape} of {sorted(self._videos)} to {shape} of {sorted(videos)}")

    def _motion(self, source: np.ndarray, starts_shot: bool) -> FlowPair | None:
        """Return the motion from the previous frame to this one; None at the start of a shot."""
        before, self._grey = self._grey, grey(source)
        return None if before is None or starts_shot else FlowPair.between(before, self._grey, self._method)

    def _add_steadiness(self, small: dict[str, np.ndarray], motion: FlowPair | None) -> None:
        both = None if motion is None or self._reliable is None else motion.reliable & self._reliable
        self._reliable = None if motion is None else motion.reliable_back
        for suffix, video in STEADY.items():
            if video in small:
                self._steady[suffix].add(small[video].astype(np.float32) / 255, motion, both)

    def _add_nearness(self, full: dict[str, np.ndarray], small: dict[str, np.ndarray]) -> None:
        sharp = {name: sharpness(picture) for name, picture in full.items()}
        comparisons = NEAR if "reference" in full else NEAR_WITHOUT_REFERENCE
        for suffix, (video, wanted) in comparisons.items():
            if video in full and wanted in full:
                self._near[suffix].add(small[video], small[wanted], sharp[video], sharp[wanted])
