"""Edges are compared by their places and relative strength: not by light and dark, colour or contrast."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vidtrans.training.losses.structure import ENOUGH, edge_strength, structure


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
    tint = torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    for other in (picture, -picture, 0.7 * picture + tint):
        assert float(structure(other, picture)) == 0


def test_a_picture_with_texture_of_its_own_is_let_be_as_far_as_its_edges_are_clear() -> None:
    picture = squares(10)
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    light, heavy = (float(structure(picture + size * noise, picture)) for size in (0.02, 0.5))
    assert light == 0
    assert heavy > 0.1


def test_an_outline_belongs_to_its_square_and_to_no_other() -> None:
    own, moved = (float(structure(outlines(at), squares(10))) for at in (10, 16))
    assert own < 0.1
    assert moved > own + 0.5


@given(st.integers(0, 2**31), st.integers(8, 40), st.floats(0.0, 1.0))
def test_it_is_bounded_and_has_finite_gradients(seed: int, side: int, contrast: float) -> None:
    random = torch.Generator().manual_seed(seed)
    output, wanted = (contrast * (2 * torch.rand((1, 3, side, side), generator=random) - 1) for _ in range(2))
    output.requires_grad_()
    loss = structure(output, wanted)
    loss.backward()
    assert 0 <= float(loss.detach()) <= 1 + ENOUGH
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
