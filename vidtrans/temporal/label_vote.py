"""The filter of label maps: each pixel gets the class that most frames around it have along the motion.

Classes have no mean. Each frame within the radius votes with its label at the target of the motion. The vote is
weighted by the trust in the path (``FlowTracker``), which falls with the distance, and by the evenness of the motion,
because a path at the edge of a moving object may lead to the other side of the edge. The frame's own label needs no
path, so that a pixel without reliable paths keeps its label.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.warping import BORDER, grid_axes, grow
from vidtrans.temporal.along_motion import FlowPath, FlowTracker
from vidtrans.temporal.settings import DeflickerSettings, VoteSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.video.images.picture import pack_colours

OWN_WEIGHT = 1.0  # Weight of a frame's own label; labels of other frames have the trust in their motion, 0 to 1


class VoteFilter:
    """The filter of ``--temporal vote``, for label maps: outputs with a few exact colours."""

    version = 2
    Settings = VoteSettings

    def __init__(self, settings: VoteSettings, device: str = "cpu") -> None:
        self.settings, self.radius = settings, settings.radius
        tracker_settings = DeflickerSettings(
            colour_sigma=settings.colour_sigma, flow=settings.flow, flow_size=settings.flow_size
        )
        self._tracker = FlowTracker(tracker_settings, device, inverts=True)

    def expect(self, before: Sample, after: Sample) -> None:
        """Start to estimate the flow between two neighbouring frames in the background."""
        if self.radius:
            self._tracker.expect(before, after)

    def __call__(self, window: Window) -> np.ndarray:
        """Return the label map of the window's centre; each pixel has a colour of this frame or of its neighbours."""
        centre = window.samples[window.centre]
        here = _codes(centre)
        height, width = here.shape
        ballots, weights = [here], [np.full(here.shape, OWN_WEIGHT, np.float32)]
        for direction in (1, -1):
            path: FlowPath | None = None
            for step in range(1, self.radius + 1):
                at = window.centre + direction * step
                if not 0 <= at < len(window.samples):
                    break
                ((_, next_path, _),) = self._tracker.neighbours(window, at - direction, (direction,))
                path = next_path if path is None else path.join(next_path)
                trust = self._tracker.trust(centre, window.samples[at], path)
                u, v = path.full_size(width, height)
                x, y = grid_axes(height, width)
                codes = _codes(window.samples[at])
                ballots.append(cv2.remap(codes, x + u, y + v, cv2.INTER_NEAREST, borderMode=BORDER))
                weights.append(grow(trust * path.evenness(), (width, height)))
        return _unpack_colours(_majority_codes(ballots, weights), centre.output.dtype)


def _codes(sample: Sample) -> np.ndarray:
    """Return the colour of each output pixel as a number, (H, W) float32, which holds 24 bits exactly."""
    cached: np.ndarray | None = sample.derived.get("codes")
    if cached is None:
        levels = sample.output if sample.output.dtype == np.uint8 else (sample.output // 257).astype(np.uint8)
        cached = sample.derived["codes"] = pack_colours(levels).astype(np.float32)
    return cached


def _majority_codes(ballots: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    """Return, for each pixel, the colour code with the largest sum of weights, (H, W) float32.

    ``ballots``: codes, (H, W) each, of the frame and of its neighbours. ``weights``: of each ballot's pixels, (H, W).

    At a tie, it is the code of the first ballot.
    """
    chosen = ballots[0].copy()
    is_disputed = np.zeros(chosen.shape, bool)
    for ballot in ballots[1:]:
        is_disputed |= ballot != chosen
    disputed_pixels = np.flatnonzero(is_disputed)
    if not len(disputed_pixels):
        return chosen
    codes = np.stack([ballot.ravel()[disputed_pixels] for ballot in ballots])
    shares = np.stack([weight.ravel()[disputed_pixels] for weight in weights])
    max_votes, best = np.full(len(disputed_pixels), -1.0, np.float32), codes[0].copy()
    for candidate in codes:
        votes = np.where(codes == candidate, shares, 0).sum(axis=0)
        better = votes > max_votes
        best[better] = candidate[better]
        np.maximum(max_votes, votes, out=max_votes)
    chosen.ravel()[disputed_pixels] = best
    return chosen


def _unpack_colours(codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return the RGB colours, (H, W, 3) uint8 or uint16, of the colour ``codes`` from ``_codes``."""
    wide = codes.astype(np.int32)
    rgb = np.stack([wide >> 16, wide >> 8 & 255, wide & 255], axis=2)
    return (rgb if dtype == np.uint8 else rgb * 257).astype(dtype)
