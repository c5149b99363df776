"""Operations on batches of tensors: equal to OpenCV's on each picture."""

from __future__ import annotations

from itertools import product

import cv2
import numpy as np
import pytest
import torch

from vidtrans.flow import scaling, warping
from vidtrans.temporal import tensor_operations as operations

SIZES = [(48, 64), (33, 65), (1, 1), (1, 9), (9, 1), (7, 5), (2, 3), (555, 640)]  # height, width
sizes = pytest.mark.parametrize("size", SIZES, ids=str)


def picture(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Noise, which is harder than any photograph: (H, W, 4) float32 in [0, 1]."""
    return np.random.default_rng(seed).random((*size, 4), dtype=np.float32)


def moves(size: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 3, (*size, 2)).astype(np.float32)


def tensor(array: np.ndarray) -> torch.Tensor:
    """(H, W, C) → (1, C, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[None]


def assert_equal(found: torch.Tensor, wanted: np.ndarray, tolerance: float) -> None:
    assert found.shape[0] == 1
    assert np.abs(found[0].permute(1, 2, 0).numpy() - wanted.reshape(*found.shape[2:], -1)).max() < tolerance


def grid_of(size: tuple[int, int]) -> tuple[int, int]:
    width, height = scaling.grid_size(*size)
    return height, width


@sizes
def test_shrinking_takes_the_mean_over_cells_whose_edges_lie_in_pixels(size: tuple[int, int]) -> None:
    for small in (grid_of(size), (max(1, size[0] // 8), max(1, size[1] // 8))):
        assert_equal(operations.shrink(tensor(picture(size)), small), scaling.shrink(picture(size), small[::-1]), 1e-4)


@sizes
def test_growing_interpolates_linearly(size: tuple[int, int]) -> None:
    small = picture(grid_of(size))
    assert_equal(operations.grow(tensor(small), size), scaling.grow(small, size[::-1]), 1e-4)


@sizes
def test_blurring_mirrors_the_border_also_of_pictures_smaller_than_the_kernel(size: tuple[int, int]) -> None:
    for sigma in (0.8, 4):
        assert_equal(operations.blur(tensor(picture(size)), sigma), scaling.blur(picture(size), sigma), 2e-6)


@sizes
def test_linear_sampling_repeats_the_border(size: tuple[int, int]) -> None:
    flow = tensor(moves(size)).clone()
    operations.write_places(flow, flow)
    wanted = cv2.remap(picture(size), warping.grid(*size) + moves(size), None, cv2.INTER_LINEAR, borderMode=1)
    assert_equal(operations.sample_along(tensor(picture(size)), flow), wanted, 2e-4)


@sizes
def test_sharp_sampling_adds_the_curvature(size: tuple[int, int]) -> None:
    padded = torch.zeros(1, 4, size[0] + 2, size[1] + 2)
    operations.interior(padded).copy_(tensor(picture(size)))
    operations.repeat_border(padded)
    assert np.array_equal(padded[0].permute(1, 2, 0), cv2.copyMakeBorder(picture(size), *(1,) * 4, warping.BORDER))
    for sample, step in product((operations.sample_sharply, operations.sample_each), (1, 3)):
        some = moves(size)[::step, ::step]
        places = operations.sharp_places(tensor(some).clone(), size, step)  # it overwrites them
        x, y = (axis[::step, ::step] + some[..., at] for at, axis in enumerate(warping.grid_axes(*size)))
        found = sample(operations.sharp_pictures(padded), places)
        assert_equal(found, warping.sample_sharply(picture(size), x, y), 4e-4)


def test_luma_is_rounded_as_opencv_rounds_it() -> None:
    for dtype, top, tolerance in ((np.uint8, 256, 0), (np.uint16, 65536, 1)):
        levels = np.random.default_rng(0).integers(0, top, (300, 400, 3), dtype=dtype)
        bits = torch.from_numpy(levels.view(np.int16) if dtype == np.uint16 else levels)
        found = operations.grey_levels(operations.planes(bits[None]))[0].numpy()
        assert np.abs(found - cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY)).max() <= tolerance


@pytest.mark.parametrize("size", [(48, 64), (33, 65), (5, 3)])
def test_a_picture_comes_out_the_same_alone_and_among_others(size: tuple[int, int]) -> None:
    """Bit by bit: renders are cut into batches anywhere."""
    many = torch.cat([tensor(picture(size, seed)) for seed in range(5)])
    flows = torch.cat([tensor(moves(size))] * 5)
    for operation in (
        lambda x, _: operations.shrink(x, grid_of(size)),
        lambda x, _: operations.grow(x, (2 * size[0], 2 * size[1])),
        lambda x, _: operations.blur(x, 1.25),
        lambda x, f: operations.sample_sharply(
            operations.sharp_pictures(torch.nn.functional.pad(x, (1,) * 4, mode="replicate")),
            operations.sharp_places(f.clone(), size),
        ),
    ):
        together = operation(many, flows)
        assert all(torch.equal(together[i : i + 1], operation(many[i : i + 1], flows[i : i + 1])) for i in range(5))
