"""Edges are compared by their places and relative strength: not by light and dark, colour or contrast."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vidtrans.training.losses.structure import edge_strength, structure


def squares(at: int, side: int = 40, count: int = 2) -> Tensor:
    """A dark square on light ground, beginning at ``at``, (count, 3, side, side) in [-1, 1]."""
    pictures = torch.full((count, 3, side, side), 0.8)
    pictures[:, :, at : at + 14, at : at + 14] = -0.6
    return pictures


def outlines(at: int) -> Tensor:
    """Its outline, a dark line of a pixel."""
    pictures = squares(at)
    pictures[:, :, at + 1 : at + 13, at + 1 : at + 13] = 0.8
    return pictures


def test_a_picture_agrees_with_itself_reversed_tinted_or_pale() -> None:
    picture = squares(10)
    assert float(structure(picture, picture)) == pytest.approx(0, abs=1e-4)
    assert float(structure(-picture, picture)) == pytest.approx(0, abs=1e-3)
    tint = torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    assert float(structure(0.7 * picture + tint, picture)) == pytest.approx(0, abs=5e-3)


def test_an_outline_belongs_to_its_square_and_to_no_other() -> None:
    own, moved = (float(structure(outlines(at), squares(10))) for at in (10, 16))
    assert own < 0.1
    assert moved > own + 0.5


@given(st.integers(0, 2**31), st.integers(8, 40), st.floats(0.0, 1.0))
def test_it_lies_between_0_and_2_with_finite_gradients(seed: int, side: int, contrast: float) -> None:
    random = torch.Generator().manual_seed(seed)
    output, wanted = (contrast * (2 * torch.rand((1, 3, side, side), generator=random) - 1) for _ in range(2))
    output.requires_grad_()
    loss = structure(output, wanted)
    loss.backward()
    assert -1e-4 <= float(loss.detach()) <= 2
    assert output.grad is not None
    assert bool(output.grad.isfinite().all())


def test_pictures_count_alike_whatever_their_contrast() -> None:
    strong, weak = squares(10, count=1), 0.2 * squares(10, count=1)
    wanted = squares(16, count=1)
    each = [float(structure(picture, wanted)) for picture in (strong, weak)]
    together = float(structure(torch.cat([strong, weak]), wanted.repeat(2, 1, 1, 1)))
    assert together == pytest.approx(sum(each) / 2, abs=1e-5)


def test_edge_strength_is_cut_to_where_it_is_known() -> None:
    assert edge_strength(squares(10)).shape == (2, 1, 33, 33)
    assert edge_strength(squares(10).bfloat16()).dtype == torch.float32
