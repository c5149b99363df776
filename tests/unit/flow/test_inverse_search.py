"""The flow in torch, and how exact all methods are against motion that is known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch
from clips import scene

from vidtrans.core.settings import Size
from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import FlowEstimator, grey
from vidtrans.flow.inverse_search import TorchDIS
from vidtrans.flow.warping import forward_backward, warp
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader


def moved(truth: np.ndarray, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures (H, W) uint8 with a flow (H, W, 2) between them."""
    second = grey(cv2.GaussianBlur(scene(truth.shape[1], truth.shape[0], seed), (0, 0), 0.8))
    return warp(second, truth.astype(np.float32), bicubic=True), second


def zoom(height: int, width: int, rate: float) -> np.ndarray:
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.dstack([xs - width / 2, ys - height / 2]) * np.float32(rate)


def batch(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures))[:, None]


def off(flow: np.ndarray, truth: np.ndarray, border: int = 12) -> float:
    """The mean error away from the border, in pixels."""
    inner = slice(border, -border)
    return float(np.linalg.norm(flow - truth, axis=2)[inner, inner].mean())


def test_a_zoom_a_turn_and_parts_of_a_pixel_are_found() -> None:
    truth = zoom(128, 160, 0.05)
    assert off(TorchDIS()(*moved(truth)), truth) < 0.15
    turn = np.ascontiguousarray(truth[..., ::-1]) * np.float32((-1, 1))
    assert off(TorchDIS()(*moved(turn)), turn) < 0.15
    quarter = np.full((96, 128, 2), 0.25, np.float32)
    found = TorchDIS()(*moved(quarter))
    assert off(found, quarter) < 0.1
    assert abs(float(np.median(found)) - 0.25) < 0.06  # bilinear sampling draws it to half pixels


def test_a_batch_gives_what_single_pairs_give() -> None:
    pairs = [moved(zoom(90, 130, rate), seed) for seed, rate in ((1, 0.03), (2, -0.04), (3, 0.0))]
    first, second = (batch(*pictures) for pictures in zip(*pairs, strict=True))
    method = TorchDIS()
    together = method.estimate(first, second).permute(0, 2, 3, 1).numpy()
    there, back = method.estimate_both(first, second)
    assert there.dtype == torch.float32
    for number, (a, b) in enumerate(pairs):
        alone = method(a, b)
        np.testing.assert_allclose(together[number], alone, atol=2e-3)
        np.testing.assert_allclose(there[number].permute(1, 2, 0), alone, atol=2e-3)
        np.testing.assert_allclose(back[number].permute(1, 2, 0), method(b, a), atol=2e-3)


def test_it_gives_the_same_each_time_whatever_the_precision_around_it() -> None:
    first, second = (batch(p) for p in moved(zoom(80, 100, 0.04)))
    wanted = TorchDIS().estimate(first, second)
    assert torch.equal(TorchDIS().estimate(first, second), wanted)
    assert torch.equal(TorchDIS().estimate(first.float(), second.float()), wanted)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(TorchDIS().estimate(first, second), wanted)


def test_its_identity_says_what_its_flow_depends_on() -> None:
    assert FLOWS["dis-torch"].runs_on_device
    plain = FLOWS["dis-torch"].identity_on("cpu")
    assert f"torch {torch.__version__.partition('+')[0]}, cpu" in plain
    assert FLOWS["dis-torch"].identity_on("cuda:0") == FLOWS["dis-torch"].identity_on("cuda:1") != plain


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
