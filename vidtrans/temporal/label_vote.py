"""The filter of label maps: each pixel gets the class that most of its neighbours in time have, along the motion.

Classes have no mean. Each frame within the radius votes with its label at the place where the motion leads, weighted by
the trust in that path (``FlowTracker``), which falls with the distance by itself, and by the evenness of the motion,
since a path at the edge of a moving thing may lead to the other side of the edge. The frame's own label needs no path,
so that a place that nothing else can be followed to keeps it.
"""

from __future__ import annotations

import cv2
import numpy as np

from vidtrans.flow.warping import BORDER, grid_axes, grow
from vidtrans.temporal.along_motion import FlowPath, FlowTracker
from vidtrans.temporal.settings import DeflickerSettings, VoteSettings
from vidtrans.temporal.stream import Sample, Window
from vidtrans.video.images.picture import pack_colours

OWN = 1.0  # the weight of a frame's own label


class VoteFilter:
    """The filter of ``--temporal vote``, for outputs that have few exact colours."""

    version = 2
    Settings = VoteSettings

    def __init__(self, settings: VoteSettings, device: str = "cpu") -> None:
        self.settings, self.radius = settings, settings.radius
        own = DeflickerSettings(colour_sigma=settings.colour_sigma, flow=settings.flow, flow_size=settings.flow_size)
        self._tracker = FlowTracker(own, device, inverts=True)

    def expect(self, before: Sample, after: Sample) -> None:
        """Start to estimate the flow between two neighbours in the background."""
        if self.radius:
            self._tracker.expect(before, after)

    def __call__(self, window: Window) -> np.ndarray:
        """Return the label map of the window's centre, each pixel in one of the colours of the frames around it."""
        centre = window.samples[window.centre]
        here = _codes(centre)
        height, width = here.shape
        ballots, weights = [here], [np.full(here.shape, OWN, np.float32)]
        for way in (1, -1):
            path: FlowPath | None = None
            for step in range(1, self.radius + 1):
                at = window.centre + way * step
                if not 0 <= at < len(window.samples):
                    break
                ((_, last, _),) = self._tracker.neighbours(window, at - way, (way,))
                path = last if path is None else path.join(last)
                trust = self._tracker.trust(centre, window.samples[at], path)
                u, v = path.full_size(width, height)
                x, y = grid_axes(height, width)
                ballots.append(_sample_nearest(_codes(window.samples[at]), x + u, y + v))
                weights.append(grow(trust * path.evenness(), (width, height)))
        return _unpacked(_elected(ballots, weights), centre.output.dtype)


def _codes(sample: Sample) -> np.ndarray:
    """Return a sample's output as one number for each colour, (H, W) float32, which 24 bits fit in exactly."""
    known: np.ndarray | None = sample.derived.get("codes")
    if known is None:
        levels = sample.output if sample.output.dtype == np.uint8 else (sample.output // 257).astype(np.uint8)
        known = sample.derived["codes"] = pack_colours(levels).astype(np.float32)
    return known


def _sample_nearest(codes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cv2.remap(codes, x, y, cv2.INTER_NEAREST, borderMode=BORDER)


def _elected(ballots: list[np.ndarray], weights: list[np.ndarray]) -> np.ndarray:
    """Return for each pixel the code with the most weight, (H, W) float32; of equals, that of the first ballot."""
    chosen = ballots[0].copy()
    disputed = np.zeros(chosen.shape, bool)
    for ballot in ballots[1:]:
        disputed |= ballot != chosen
    places = np.flatnonzero(disputed)
    if not len(places):
        return chosen
    codes = np.stack([ballot.ravel()[places] for ballot in ballots])
    shares = np.stack([weight.ravel()[places] for weight in weights])
    most, best = np.full(len(places), -1.0, np.float32), codes[0].copy()
    for candidate in codes:
        votes = np.where(codes == candidate, shares, 0).sum(axis=0)
        better = votes > most
        best[better] = candidate[better]
        np.maximum(most, votes, out=most)
    chosen.ravel()[places] = best
    return chosen


def _unpacked(codes: np.ndarray, dtype: np.dtype) -> np.ndarray:
    wide = codes.astype(np.int32)
    rgb = np.stack([wide >> 16, wide >> 8 & 255, wide & 255], axis=2)
    return (rgb if dtype == np.uint8 else rgb * 257).astype(dtype)
