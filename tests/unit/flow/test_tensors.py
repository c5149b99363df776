"""On tensors everything is what it is on pictures: the same values, to the border and beyond."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from clips import scene

from vidtrans.flow import tensors, warping

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
