"""Follow a thing from frame to frame: the motion carries its matte, and the network corrects it.

Where the network is not sure of what the motion brought, the thing is looked for in the whole frame: it may have been
covered, have left, or have moved too far.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from vidtrans.flow.estimator import DISMedium, grey
from vidtrans.flow.warping import halve, resize_flow, warp
from vidtrans.matting.network import MatteNetwork, Seen
from vidtrans.matting.windows import Box, CropWindow, box_of, scale_around

VERSION = 1
# What is this far from the carried matte fades out: a share of the side of the thing, and pixels besides.
REACH, REACH_PX = 0.15, 4.0
PART, PART_KEPT = 0.05, 0.3  # a separate part of less than this share is dropped, unless it was carried by this share
SEARCHED = 2.5  # squares of a window's side, that a search looks at
SIZES = (0.2, 4.0)  # a thing that is found again may have these shares of the area that it had
SURE, LOST = 0.6, 0.45  # confidence of a thing that was found again, and below which it is looked for


class Followed(NamedTuple):
    """The matte of a frame, (H, W) uint8, and the confidence in it, 0 to 1."""

    matte: np.ndarray
    confidence: float


class Signals(NamedTuple):
    """Signs of a right matte, each about 0 to 1.

    ``sureness``: how far from ½ the matte is. ``agreement``: its overlap with the carried one. ``likeness``: how much
    more what is inside looks like the thing than what is outside. ``steadiness``: of its area.
    """

    sureness: float
    agreement: float
    likeness: float
    steadiness: float


# Fitted to the overlap with the truth (intersection over union), on 649 frames of four sequences of DAVIS 2016, also
# where a wall was drawn over the thing, and with networks that had learned little.
WEIGHTS, BIAS = Signals(3.2, 1.1, 1.7, 0.7), -4.2


def confidence(signals: Signals) -> float:
    """Return the confidence, 0 to 1: an estimate of the overlap with the true matte."""
    return 1 / (1 + math.exp(-BIAS - sum(w * s for w, s in zip(WEIGHTS, signals, strict=True))))


@dataclass
class Track:
    """What is known of a thing: its matte (H, W) uint8 in the last frame, and box and area when it was last seen."""

    matte: np.ndarray
    box: Box
    area: float

    @classmethod
    def of(cls, matte: np.ndarray) -> Track:
        """Return the track that begins with a matte, in which something is inside."""
        box = box_of(matte / np.float32(255))
        assert box is not None
        return cls(matte, box, float((matte >= 128).sum()))

    def state(self) -> dict[str, np.ndarray]:
        """Return the track as arrays."""
        return {"matte": self.matte, "box": np.array(self.box), "area": np.array(self.area)}

    @classmethod
    def restored(cls, state: Mapping[str, np.ndarray]) -> Track:
        """Return the track of ``state``."""
        return cls(state["matte"], Box(*map(int, state["box"])), float(state["area"]))


class Follower:
    """Follows a thing from a frame, (H, W, 3) uint8, whose ``track`` is known. ``side``: of the network's windows."""

    def __init__(self, network: MatteNetwork, frame: np.ndarray, track: Track, side: int) -> None:
        self.network, self.track, self.side = network, track, side
        self._flow, self._before = DISMedium(), halve(grey(frame))

    def advance(self, frame: np.ndarray) -> Followed:
        """Return the thing's matte in the next frame, (H, W, 3) uint8 of the same size."""
        carried = self._carried(frame)
        found = self._looked_at(frame, carried) if (carried >= 0.5).any() else None
        if found is None or found[1] < LOST:
            again = self._searched(frame)
            found = again or found
        height, width = frame.shape[:2]
        matte, sure = found or (np.zeros((height, width), np.float32), 0.0)
        rounded = np.clip(np.rint(255 * matte), 0, 255).astype(np.uint8)
        self.track.matte = rounded
        if sure >= SURE and (box := box_of(matte)) is not None:
            self.track.box, self.track.area = box, float((matte >= 0.5).sum())
        return Followed(rounded, sure)

    def _carried(self, frame: np.ndarray) -> np.ndarray:
        """Return the last matte moved to this frame, (H, W) float32 from 0 to 1."""
        now = halve(grey(frame))
        flow = resize_flow(self._flow(now, self._before), frame.shape[1], frame.shape[0])
        self._before = now
        return warp(self.track.matte.astype(np.float32) / 255, flow)

    def _looked_at(self, frame: np.ndarray, carried: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Return the matte around a carried one, and the confidence in it; None where nothing is inside."""
        box = box_of(carried)
        if box is None:
            return None
        size = frame.shape[1], frame.shape[0]
        window = CropWindow.around(box, size, self.side)
        seen = self.network.see(window.take(frame), window.take(carried, border=cv2.BORDER_CONSTANT))
        matte = within_reach(window.place(seen.matte, size), carried)
        return matte, confidence(self.signals(window, seen, matte, carried))

    def signals(self, window: CropWindow, seen: Seen, matte: np.ndarray, carried: np.ndarray) -> Signals:
        """Return the signs of a right matte in a frame, (H, W) float32."""
        inside, before = matte >= 0.5, carried >= 0.5
        if not inside.any():
            return Signals(0.0, 0.0, 0.0, 0.0)
        near = window.take(matte, border=cv2.BORDER_CONSTANT)
        touched, here = near > 0.05, near >= 0.5
        sureness = float(np.abs(2 * near[touched] - 1).mean())
        overlap = float((inside & before).sum() / max(1, (inside | before).sum()))
        likeness = float((seen.likeness[here] > 0).mean()) if here.any() else 0.0
        ratio = float(inside.sum()) / max(1.0, self.track.area)
        return Signals(sureness, overlap, likeness, min(ratio, 1 / ratio))

    def _searched(self, frame: np.ndarray) -> tuple[np.ndarray, float] | None:
        """Look for the thing in the whole frame; return its matte, and the confidence; None if it is not found."""
        size = frame.shape[1], frame.shape[0]
        scale = min(scale_around(self.track.box, self.side), self.side * math.sqrt(SEARCHED / (size[0] * size[1])))
        window = CropWindow.whole(size, scale)
        seen = self.network.see(window.take(frame), None)
        promise = window.place(seen.matte * (seen.likeness > 0), size)
        count, labels, figures, _ = cv2.connectedComponentsWithStats((promise >= 0.5).astype(np.uint8))
        best: tuple[np.ndarray, float] | None = None
        least, most = (share * self.track.area for share in SIZES)
        likely = [k for k in range(1, count) if least <= figures[k, cv2.CC_STAT_AREA] <= most]
        for label in sorted(likely, key=lambda k: -figures[k, cv2.CC_STAT_AREA])[:3]:
            found = self._looked_at(frame, np.where(labels == label, promise, 0).astype(np.float32))
            if found is not None and found[1] >= SURE and (best is None or found[1] > best[1]):
                best = found
        return best


def within_reach(matte: np.ndarray, carried: np.ndarray) -> np.ndarray:
    """Return a matte, (H, W) float32, without what the carried one does not reach, and without small separate parts."""
    inside = carried >= 0.5
    area = int(inside.sum())
    if not area:
        return matte
    away = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 3)
    reach = REACH * math.sqrt(area) + REACH_PX
    kept: np.ndarray = matte * np.clip(2 - away / reach, 0, 1)
    count, labels, figures, _ = cv2.connectedComponentsWithStats((kept >= 0.5).astype(np.uint8))
    areas = figures[1:, cv2.CC_STAT_AREA]
    for label in range(1, count) if count > 2 else ():
        part = labels == label
        if areas[label - 1] < PART * areas.max() and inside[part].mean() < PART_KEPT:
            kept[cv2.dilate(part.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0] = 0
    return kept
