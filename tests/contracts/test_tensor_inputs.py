"""Pairings whose input is made on a device: bit for bit what they make of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vidtrans.inference.device_pixels import bits_to_levels, to_8_bit_levels
from vidtrans.pairing import PAIRINGS
from vidtrans.pairing.base import Pairing
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.colour.conversion import to_uint8

WITH_FORM = [name for name in PAIRINGS if PAIRINGS.load(name).has_tensor_form]
MORE: dict[str, dict[str, Any]] = {"next-frame": {"context_frames": 3, "step": 2}}
SIZES = [(1, 1), (5, 3), (33, 47)]
BATCH = 3


def noise(height: int, width: int, dtype: type, seed: int) -> np.ndarray:
    """Return BATCH pictures with all levels, the extremes among them."""
    rng, top = np.random.default_rng(seed), np.iinfo(dtype).max
    made = rng.integers(0, top + 1, (BATCH, height, width, 3), dtype=dtype)
    return np.where(rng.random(made.shape) < 0.1, top, made).astype(dtype)


def mattes(height: int, width: int) -> list[np.ndarray | None]:
    """Return a mask for each picture of a batch: none, a faint one, and one with a hole."""
    faint, hole = np.full((height, width), 16, np.uint8), np.zeros((height, width), np.uint8)
    hole[height // 3 : height // 2 + 1, width // 3 : width // 2 + 1] = 200
    return [None, faint, hole]


def on_device(pictures: np.ndarray) -> torch.Tensor:
    """Return pictures as an upload gives them, in levels."""
    return bits_to_levels(torch.from_numpy(pictures.view(np.int16) if pictures.dtype == np.uint16 else pictures))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", WITH_FORM)
def test_the_tensor_form_is_the_input_bit_for_bit(name: str, size: tuple[int, int]) -> None:
    for table in ({}, MORE.get(name, {})):
        pairing: Pairing = make_pairing(name, table)
        for dtype in (np.uint8, np.uint16) if pairing.deep else (np.uint8,):
            frames = [noise(*size, dtype, seed) for seed in range(len(pairing.offsets))]
            masks = [None, None, None] if not pairing.uses_mask else mattes(*size)
            expected = np.stack([pairing.render_input([f[n] for f in frames], n, mask) for n, mask in enumerate(masks)])
            if pairing.uses_mask:
                frames.append(np.stack([pairing.mask_plane(size, n, mask) for n, mask in enumerate(masks)]))
            made = pairing.tensor_input([on_device(batch) for batch in frames])
            assert made.dtype == (torch.uint8 if dtype == np.uint8 else torch.int32)
            assert made.shape[3] == pairing.in_channels
            assert np.array_equal(made.numpy(), expected)


def test_sixteen_bits_become_eight_as_in_numpy() -> None:
    every = np.arange(1 << 16, dtype=np.uint16).reshape(256, 256, 1).repeat(3, axis=2)
    assert np.array_equal(bits_to_levels(torch.from_numpy(every.view(np.int16))).numpy(), every)
    assert np.array_equal(to_8_bit_levels(on_device(every)).numpy(), to_uint8(every))
