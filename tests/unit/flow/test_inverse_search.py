"""The flow in torch: known motion, batches, and what it costs."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from clips import scene
from launches import LaunchCounter

from vidtrans.flow import FLOWS
from vidtrans.flow.estimator import grey
from vidtrans.flow.inverse_search import TorchDIS
from vidtrans.flow.patch_search import PatchSearch
from vidtrans.flow.variational import Refinement, gradients
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


def test_a_zoom_and_a_turn_are_found() -> None:
    truth = zoom(128, 160, 0.05)
    assert off(TorchDIS()(*moved(truth)), truth) < 0.15
    turn = np.ascontiguousarray(truth[..., ::-1]) * np.float32((-1, 1))
    assert off(TorchDIS()(*moved(turn)), turn) < 0.15


@pytest.mark.parametrize("shift", [0.25, -0.75])
def test_parts_of_a_pixel_are_found(shift: float) -> None:
    truth = np.full((96, 128, 2), shift, np.float32)
    found = TorchDIS()(*moved(truth))
    assert off(found, truth) < 0.1
    assert abs(float(np.median(found)) - shift) < 0.06  # bilinear sampling draws it to half pixels


def test_a_thing_that_moves_does_not_carry_what_stands_still() -> None:
    ground, thing = grey(scene(192, 160, 3)), grey(scene(64, 64, 9))
    first, second = ground.copy(), ground.copy()
    first[50:98, 60:108], second[50:98, 68:116] = thing[:48, :48], thing[:48, :48]
    found = TorchDIS()(first, second)
    assert np.abs(found[58:90, 68:100] - (8, 0)).mean() < 0.2
    still = np.ones(ground.shape, bool)
    still[40:108, 50:126] = False
    assert np.abs(found[still]).mean() < 0.05


def test_equal_pictures_have_no_flow() -> None:
    picture = grey(scene(150, 90, 2))
    assert np.abs(TorchDIS()(picture, picture)).max() < 1e-3


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


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (131, 64)])
def test_narrow_pictures_have_a_flow_of_their_size_both_ways(size: tuple[int, int]) -> None:
    pictures = (batch(grey(cv2.resize(scene(48, 48, seed), size))) for seed in (1, 2))
    for flow in TorchDIS().estimate_both(*pictures):
        assert flow.shape == (1, 2, size[1], size[0])
        assert flow.isfinite().all()


def test_the_number_of_launches_does_not_grow_with_the_batch() -> None:
    counts = []
    for pairs in (1, 2):
        pictures = torch.zeros(pairs, 1, 256, 256, dtype=torch.uint8)
        TorchDIS().estimate_both(pictures, pictures)  # what depends on the size only is made once
        with LaunchCounter() as launches:
            TorchDIS().estimate_both(pictures, pictures)
        counts.append(launches.kernels.total())
    assert counts[0] == counts[1]
    assert 100 < counts[0] <= 510


def test_patches_take_over_what_their_neighbours_found() -> None:
    """No step leads from a start 9 pixels off; that of a patch two places away does."""
    big = torch.from_numpy(grey(scene(200, 160, 4)))[None, None].float()
    first, second = big[..., 32:96, 40:104].contiguous(), big[..., 32:96, 31:95].contiguous()
    search = PatchSearch(first, second, gradients(first))
    start = torch.zeros(1, search.layout.count, 2)
    grid = start.view(1, search.layout.rows, search.layout.columns, 2)
    grid[:, ::2, ::2, 0] = 9.0
    found = search(start, (2, 1))
    assert (found[0, 0, 8:-8, 8:-8] - 9).abs().mean() < 0.5


def test_a_refinement_brings_a_flow_nearer_to_the_truth() -> None:
    truth = zoom(96, 128, 0.02)
    pictures = (batch(p).float() for p in moved(truth))
    refinement = Refinement(*(torch.cat((p, gradients(p)), dim=1) for p in pictures))
    start = torch.from_numpy(truth).permute(2, 0, 1)[None] + 0.3
    errors = [off(refinement(start, warps=n, steps=4)[0].permute(1, 2, 0).numpy(), truth) for n in (0, 1, 2)]
    assert errors[1] < 0.75 * errors[0]
    assert errors[2] < 0.75 * errors[1]


def test_its_identity_says_what_its_flow_depends_on() -> None:
    assert FLOWS["dis-torch"].runs_on_device
    plain = FLOWS["dis-torch"].identity_on("cpu")
    assert f"torch {torch.__version__.partition('+')[0]}, cpu" in plain
    assert FLOWS["dis-torch"].identity_on("cuda:0") == FLOWS["dis-torch"].identity_on("cuda:1") != plain
