"""How exact the methods are, against motion that is known: FlyingChairs, and warps of real frames."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from vidtrans.core.settings import Size
from vidtrans.flow.estimator import FlowEstimator
from vidtrans.flow.warping import forward_backward, warp
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader


class Errors(NamedTuple):
    """Mean lengths of what the flow is off by, in pixels: everywhere, and where the flows agree; the share of those."""

    everywhere: float
    kept: float
    share: float


def errors(method: str, first: np.ndarray, second: np.ndarray, truth: np.ndarray) -> Errors:
    estimator = FlowEstimator(method)
    flow, back = estimator.estimate_both(estimator.prepare(first), estimator.prepare(second))
    off = np.linalg.norm(flow - truth, axis=2)
    kept = forward_backward(flow, back)
    return Errors(float(off.mean()), float(off[kept].mean()), float(kept.mean()))


@pytest.fixture(scope="module")
def frames(real_data: Callable[[str], Path]) -> list[np.ndarray]:
    """A frame each of two real clips, 256 pixels high."""
    made = []
    for name in ("video/flower.mp4", "video/bigbuckbunny_720p.mp4"):
        with ClipReader(real_data(name), FrameFormat(Size(short=256))) as reader, closing(reader.frames()) as clip:
            made.append(next(f.rgb for f in clip if f.index == 20))
    return made


def motion(kind: str, height: int, width: int) -> np.ndarray:
    """A known flow, (H, W, 2) float32 pixels."""
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    offsets = np.dstack([xs - width / 2, ys - height / 2])
    if kind == "zoom":
        return offsets * 0.03 + np.float32((1.5, -0.7))
    if kind == "turn":
        return offsets[..., ::-1] * np.float32((-0.03, 0.03))
    coarse = np.random.default_rng(4).normal(size=(4, 6, 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 2


# Measured, the worst of all: .15, .10, .17 and .10.
@pytest.mark.parametrize(
    ("method", "most"),
    [("dis", 0.25), ("dis-fine", 0.17), ("dis-torch", 0.25), pytest.param("brox", 0.2, marks=pytest.mark.thorough)],
)
def test_on_known_motion_of_real_frames(frames: list[np.ndarray], method: str, most: float) -> None:
    for second, kind in zip((*frames, frames[0]), ("zoom", "local", "turn"), strict=True):
        truth = motion(kind, *second.shape[:2])
        first = warp(second, truth, bicubic=True)  # p + truth(p) in the second is what is at p in the first
        found = errors(method, first, second, truth)
        assert found.share > 0.8, kind
        assert found.kept < most, kind
