"""What the methods without pairs teach: when losses count, that they learn, and what they say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from method_setup import TRANSLATOR, ToySetup
from torch import Tensor

from vidtrans.core.errors import UsageError
from vidtrans.networks.recurrent import RecurrentGenerator
from vidtrans.training import METHODS
from vidtrans.training.methods.image_pool import ImagePool
from vidtrans.training.methods.unpaired_method import UnpairedMethod
from vidtrans.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE, CPU = 32, torch.device("cpu")


class Translators(ToySetup):
    generator, in_channels = TRANSLATOR, 3


class Others(ToySetup):
    in_channels = 3


def made(name: str, **settings: Any) -> UnpairedMethod:
    quick = {"cut": {"contrastive_features": "own", "contrastive_patches": 48}, "recyclegan": {"predictor_channels": 8}}
    own = quick.get(name, {})
    method: UnpairedMethod = METHODS.load(name).make(
        Translators(TrainingSettings.of(method=name, gan_mode="least-squares", **own | settings))  # type: ignore[arg-type]
    )
    return method


def frames(seed: int, count: int = 9, batch: int = 1) -> Tensor:
    """Smooth pictures, (batch, count, SIDE, SIDE) in [−1, 1]."""
    random = torch.Generator().manual_seed(seed)
    small = torch.rand((batch, count, 4, 4), generator=random) * 2 - 1
    return torch.nn.functional.interpolate(small, SIDE, mode="bilinear").clamp(-1, 1)


def take(method: UnpairedMethod, step: int = 0, **options: Any) -> dict[str, float]:
    return method.step(frames(step), -frames(step + 1000), lr=1e-3, seed=step, **options)


def test_a_memory_keeps_only_what_was_there_before() -> None:
    method = made("cut", recurrent=True)
    assert isinstance(method.generator, RecurrentGenerator)
    before = [p.clone() for p in method.generator.keeper.parameters()]
    losses = take(method)
    assert losses["memory"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, method.generator.keeper.parameters(), strict=True))
    alone = frames(3, 3).repeat(1, 2, 1, 1)  # a picture that stands alone has no past
    assert method.step(alone, alone, lr=1e-3, seed=0)["temporal"] < 0.01  # of a history without confidence


def test_steadiness_costs_a_frame_before_and_is_0_where_it_is_off() -> None:
    cases = ("cyclegan", 0.0, 1), ("cyclegan", 1.0, 2), ("recyclegan", 0.0, 3), ("pix2pix", 0.0, 1)
    for name, weight, count in cases:
        settings = TrainingSettings.of(method=name, lambda_steady=weight)
        assert METHODS.load(name).num_frames(settings) == count
    assert "steady" not in made("cyclegan").columns
    assert take(made("cyclegan", lambda_steady=1.0))["steady"] > 0


def test_gradients_of_parts_add_up_to_those_of_the_batch() -> None:
    rows = [
        made("cyclegan", batch_size=2, grad_accum_steps=parts, pool_size=0, lambda_identity=1.0).step(
            frames(1, 3, 2), -frames(2, 3, 2), lr=1e-3, seed=0
        )
        for parts in (1, 2)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)


def test_codes_of_the_target_reach_the_picture() -> None:
    method = made("cyclegan", look_size=3)
    losses = [take(method, step) for step in range(3)]
    assert all(row["kl"] > 0 and row["latent"] > 0 for row in losses)
    x = frames(5, 3)
    method.learned.eval()
    with torch.no_grad():
        planes = [torch.full((1, 3, SIDE, SIDE), value) for value in (-0.5, 0.5)]
        outputs = [method.learned(torch.cat([x, plane], 1)) for plane in planes]
    assert not torch.equal(*outputs)
    assert method.learned_more["reverse"](x).shape == (1, 3, SIDE, SIDE)


def test_own_features_need_a_generator_that_shows_them() -> None:
    settings = TrainingSettings.of(method="cut", contrastive_features="own")
    with pytest.raises(UsageError, match="does not return its inner features"):
        METHODS.load("cut").make(Others(settings))
    with pytest.raises(UsageError, match="look_size"):
        made("cut", look_size=3)


def flat(value: float, side: int = 4) -> Tensor:
    return torch.full((1, 3, side, side), float(value))


@hypothesis_settings(max_examples=20)
@given(size=st.integers(0, 6), count=st.integers(1, 40), seed=st.integers(0, 99))
def test_what_comes_out_was_put_in_and_no_picture_comes_twice_from_the_pool(size: int, count: int, seed: int) -> None:
    pool, random = ImagePool(size, CPU), torch.Generator().manual_seed(seed)
    shown = [float(pool.exchange(flat(n), random).mean()) for n in range(count)]
    assert all(value <= n for n, value in enumerate(shown))
    assert shown[:size] == list(range(min(size, count)))  # it fills first
    earlier = [value for n, value in enumerate(shown) if value != n]
    assert len(set(earlier)) == len(earlier)
