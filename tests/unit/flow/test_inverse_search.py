"""The flow in torch: known motion, batches, and what it costs."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from clips import scene

from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.inverse_search import TorchDIS
from vidtrans.flow.warping import warp


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
