"""Earlier outputs that a discriminator is shown."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vidtrans.training.image_pool import ImagePool


def picture(value: float, side: int = 4) -> Tensor:
    return torch.full((1, 3, side, side), float(value))


def test_a_pool_of_nothing_gives_back_what_is_put_in() -> None:
    pool = ImagePool(0)
    assert all(float(pool.exchange(picture(n), torch.Generator()).mean()) == n for n in range(5))


@given(size=st.integers(1, 6), count=st.integers(1, 40), seed=st.integers(0, 99))
def test_what_comes_out_was_put_in_and_no_picture_comes_twice_from_the_pool(size: int, count: int, seed: int) -> None:
    pool, random = ImagePool(size), torch.Generator().manual_seed(seed)
    shown = [float(pool.exchange(picture(n), random).mean()) for n in range(count)]
    assert all(value <= n for n, value in enumerate(shown))
    assert shown[:size] == list(range(min(size, count)))  # it fills first
    earlier = [value for n, value in enumerate(shown) if value != n]
    assert len(set(earlier)) == len(earlier)


def test_half_of_what_is_shown_is_earlier() -> None:
    pool, random = ImagePool(10), torch.Generator().manual_seed(0)
    shown = [float(pool.exchange(picture(n), random).mean()) for n in range(1010)]
    earlier = sum(value != n for n, value in enumerate(shown[10:], 10))
    assert 430 < earlier < 570


def test_a_restored_pool_goes_on_with_the_same_pictures() -> None:
    one, other = ImagePool(4), ImagePool(4)
    random = torch.Generator().manual_seed(1)
    for n in range(9):
        one.exchange(picture(n), random)
    other.restore(one.state(), torch.device("cpu"))
    for n in range(9, 30):
        first, second = (torch.Generator().manual_seed(n) for _ in range(2))
        assert torch.equal(one.exchange(picture(n), first), other.exchange(picture(n), second))


def test_pictures_of_another_size_begin_it_anew() -> None:
    pool, random = ImagePool(3), torch.Generator().manual_seed(0)
    for n in range(6):
        pool.exchange(picture(n), random)
    assert pool.exchange(picture(7, side=8), random).shape == (1, 3, 8, 8)
    assert len(pool.state()["pictures"]) == 1
