"""Source and look blended as tensors: bit for bit as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vidtrans.rendering.device_renderer import blend
from vidtrans.rendering.directing import FrameBlend


def noise(dtype: Any, seed: int, *shape: int) -> np.ndarray:
    rng, top = np.random.default_rng(seed), np.iinfo(dtype).max
    made = rng.integers(0, top + 1, shape, dtype=dtype)
    return np.where(rng.random(shape) < 0.1, top, made).astype(dtype)


def bits(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.view(np.int16) if picture.dtype == np.uint16 else picture)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "values", [(1.0, 0.0), (0.0, 0.0), (2.0, 0.0), (1.37, 0.111), (1.0, 1.0), (1 / 3, 2 / 3)], ids=str
)
def test_a_blend_of_tensors_is_that_of_arrays(values: tuple[float, float], dtype: Any) -> None:
    direction = FrameBlend(strength=values[0], mix=values[1])
    source, look = (noise(dtype, seed, 67, 45, 3) for seed in range(2))
    for matte in (None, noise(np.uint8, 2, 67, 45)):
        expected = direction(source, look, matte)
        made = blend(direction, bits(source), bits(look), None if matte is None else bits(matte))
        assert made.dtype == bits(expected).dtype
        assert np.array_equal(made.numpy().view(dtype), expected)
