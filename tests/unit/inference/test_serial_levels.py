"""Levels that are made by numpy alone are those that torch makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vidtrans.inference.serial_levels import from_levels_serially, to_levels_serially
from vidtrans.inference.torch_engine import to_levels


@pytest.mark.parametrize("deep", [False, True])
def test_both_ways_give_the_same_levels_and_leave_their_input_as_it_is(deep: bool) -> None:
    top = 65535 if deep else 255
    exact = torch.arange(0, 512).reshape(1, 1, 16, 32).expand(2, 3, -1, -1) / 255 - 1.01  # beyond both ends, and halves
    before = exact.clone()
    made = to_levels_serially(exact[..., :30], deep=deep)
    assert torch.equal(made, to_levels(exact[..., :30], deep=deep))
    assert made.shape == (2, 16, 30, 3)
    assert torch.equal(exact, before)
    levels = torch.from_numpy(np.random.default_rng(0).integers(0, top + 1, (2, 9, 7, 3), np.int32))
    values = from_levels_serially(levels.permute(0, 3, 1, 2), top / 2)
    assert torch.equal(values, levels.permute(0, 3, 1, 2).to(torch.float32) / (top / 2) - 1)
    assert torch.equal(to_levels_serially(values, deep=deep), to_levels(values, deep=deep))
