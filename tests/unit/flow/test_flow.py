"""Flow: what is reliable, warping and composing, on pictures and tensors; how exact it is, in torch as elsewhere."""

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
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from vidtrans.core.settings import Size
from vidtrans.flow import FLOWS, tensors, warping
from vidtrans.flow.estimator import MIN_SIDE_PX, DISMedium, FlowEstimator, grey
from vidtrans.flow.inverse_search import TorchDIS
from vidtrans.flow.warping import flow_consistency, forward_backward, invert, resize_flow, warp
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.reader import ClipReader

repeatable = hypothesis_settings(max_examples=20)
sides = st.integers(2, 24)
moves = st.integers(-4, 4)


def even(height: int, width: int, x: float, y: float) -> np.ndarray:
    """The same displacement everywhere, (H, W, 2) float32."""
    return np.broadcast_to(np.array([x, y], np.float32), (height, width, 2)).copy()


@repeatable
@given(sides, sides, moves, moves, st.booleans())
def test_warping_samples_at_p_plus_flow_and_repeats_the_border(w: int, h: int, x: int, y: int, bicubic: bool) -> None:
    picture = np.random.default_rng(w * h).integers(0, 256, (h, w, 3), dtype=np.uint8)
    ys, xs = np.mgrid[0:h, 0:w]
    expected = picture[np.clip(ys + y, 0, h - 1), np.clip(xs + x, 0, w - 1)]
    found = warp(picture, even(h, w, x, y), bicubic=bicubic)
    assert found.dtype == np.uint8
    assert np.array_equal(found, expected)


def test_the_bound_is_that_of_sundaram() -> None:
    h, w = 6, 40
    zero = np.zeros((h, w, 2), np.float32)
    for gap, kept in ((0.70, True), (0.72, False)):  # |gap|² against 0.01 gap² + 0.5
        assert forward_backward(zero, even(h, w, gap, 0)).all() == kept
        assert forward_backward(zero, even(h, w, gap, 0)).any() == kept
    # A long flow is allowed more: 0.01 (20² + 18²) + 0.5 = 7.74 > 2².
    assert forward_backward(even(h, w, 20, 0), even(h, w, -18, 0))[:, :20].all()
    assert not forward_backward(even(h, w, 20, 0), even(h, w, -16, 0)).any()


def test_a_flow_without_a_start_is_the_same_after_one_with_a_start() -> None:
    first, second, third = (grey(scene(96, 64, seed)) for seed in (1, 2, 3))
    method = DISMedium()
    wanted = method(first, second)
    far = even(64, 96, 20, -9)
    started = method(first, third, far)
    assert np.array_equal(method(first, second), wanted)
    assert np.array_equal(DISMedium()(first, third, far), started)
    assert np.array_equal(far, even(64, 96, 20, -9))


def test_the_inverse_of_a_smooth_flow_leads_back() -> None:
    ys, xs = np.mgrid[0:48, 0:64].astype(np.float32)
    flow = np.dstack([3 + 2 * np.sin(ys / 9), 1.5 * np.cos(xs / 11)]).astype(np.float32)
    back = invert(flow)
    inner = (slice(8, -8), slice(8, -8))
    assert back.dtype == np.float32
    assert np.abs(back + warp(flow, back))[inner].max() < 0.02
    assert np.abs(flow + warp(back, flow))[inner].max() < 0.05


def test_of_two_places_that_move_to_one_only_one_agrees() -> None:
    """A square moves over a still ground; the strip of the ground that it hides agrees, its own front does not."""
    flow = np.zeros((40, 60, 2), np.float32)
    flow[10:30, 10:30, 0] = 8
    agrees = flow_consistency(flow, invert(flow), slack=0.1)
    square, strip = agrees[14:26, 10:30], agrees[14:26, 31:37]
    assert square[:, :10].min() > 0.9
    assert square[:, 13:].max() < 0.1
    assert strip.min() > 0.9


SIZES = [(48, 64), (1, 9)]
TOLERANCE = 1e-4
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])


def picture(height: int, width: int, seed: int) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1], smooth."""
    return cv2.resize(scene(64, 64, seed), (width, height)).astype(np.float32) / 255


def flow_of(height: int, width: int, seed: int, reach: float) -> np.ndarray:
    """(H, W, 2) float32 up to ``reach`` pixels, smooth; at the rim it leads outside."""
    coarse = np.random.default_rng(seed).uniform(-reach, reach, (4, 4, 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def tensor(array: np.ndarray, device: str) -> torch.Tensor:
    return torch.from_numpy(array).permute(2, 0, 1)[None].to(device)


def array(made: torch.Tensor) -> np.ndarray:
    return made[0].permute(1, 2, 0).cpu().numpy()


@devices
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("reach", [0.4, 30])
def test_warping_is_that_of_opencv(size: tuple[int, int], reach: float, device: str) -> None:
    image, flow = picture(*size, 1), flow_of(*size, 2, reach)
    for bicubic in (False, True):
        found = array(tensors.warp(tensor(image, device), tensor(flow, device), bicubic=bicubic))
        expected = warping.warp(image, flow, bicubic=bicubic).reshape(found.shape)
        assert np.abs(found - expected).max() < TOLERANCE


def test_a_warped_picture_and_its_flow_can_be_learned_from() -> None:
    image = tensor(picture(8, 8, 1), "cpu").double().requires_grad_()
    flow = tensor(flow_of(8, 8, 2, 1.5), "cpu").double().requires_grad_()
    (image.detach() * 0.9 - tensors.warp(image, flow)).square().sum().backward()
    for leaf in (image, flow):
        assert leaf.grad is not None
        assert leaf.grad.abs().sum() > 0


def test_what_stands_still_has_no_flow_at_all() -> None:
    estimator = FlowEstimator("dis")
    for picture in (estimator.prepare(scene(64, 48, 1)), scene(64, 48, 1)):
        there, back = estimator.estimate_both(picture, picture.copy())
        assert there.shape == back.shape == (48, 64, 2)
        assert not there.any()
        assert not back.any()
        assert there is not back


def test_flow_at_a_working_size_is_the_flow_at_full_size_once_it_is_resized() -> None:
    big = scene(420, 330, seed=8)
    first, second = big[40:280, 40:360], big[34:274, 52:372]
    for short_side in (None, 101):
        estimator = FlowEstimator("dis", short_side)
        there, back = estimator.estimate_both(estimator.prepare(first), estimator.prepare(second))
        assert min(there.shape[:2]) == (short_side or 240)
        for flow, sign in ((there, 1), (back, -1)):
            off = np.abs(resize_flow(flow, 320, 240) - np.float32((-12 * sign, 6 * sign)))[30:-30, 30:-30]
            assert off.max() < 0.5
            assert off.mean() < 0.1
    found = warp(second, resize_flow(there, 320, 240))
    assert np.abs(found.astype(int) - first)[30:-30, 30:-30].mean() < 1


def test_a_small_picture_is_one_corner_of_what_is_searched() -> None:
    method, size, width, height = DISMedium(), MIN_SIDE_PX, 40, 9
    small = [cv2.cvtColor(scene(width, height, seed), cv2.COLOR_RGB2GRAY) for seed in (0, 1)]
    wide = [np.pad(p, ((0, size - height), (0, size - width)), mode="edge") for p in small]
    assert np.array_equal(method(*small), method(*wide)[:height, :width])


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
    made = []
    for name in ("video/flower.mp4", "video/bigbuckbunny_720p.mp4"):
        with ClipReader(real_data(name), FrameFormat(Size(short=256))) as reader, closing(reader.frames()) as clip:
            made.append(next(f.rgb for f in clip if f.index == 20))
    return made


def motion(kind: str, height: int, width: int) -> np.ndarray:
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
