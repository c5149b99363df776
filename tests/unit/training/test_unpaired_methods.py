"""What the methods without pairs teach: when losses count, that they learn, and what they say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from method_setup import TRANSLATOR, ToySetup
from torch import Tensor

from vidtrans.errors import UsageError
from vidtrans.networks.recurrent import RecurrentGenerator
from vidtrans.training import METHODS
from vidtrans.training.methods.cut import Projection
from vidtrans.training.methods.unpaired import UnpairedMethod
from vidtrans.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 32


class Translators(ToySetup):
    generator, in_channels = TRANSLATOR, 3


class Others(ToySetup):
    in_channels = 3


def made(name: str, **settings: Any) -> UnpairedMethod:
    own = {"contrastive_features": "own"} if name == "cut" else {}
    method: UnpairedMethod = METHODS.load(name).make(
        Translators(TrainingSettings(method=name, gan_mode="least-squares", **own | settings))  # type: ignore[arg-type]
    )
    return method


def frames(seed: int, count: int = 9, batch: int = 1) -> Tensor:
    """Smooth pictures, (batch, count, SIDE, SIDE) in [−1, 1]."""
    random = torch.Generator().manual_seed(seed)
    small = torch.rand((batch, count, 4, 4), generator=random) * 2 - 1
    return torch.nn.functional.interpolate(small, SIDE, mode="bilinear").clamp(-1, 1)


def take(method: UnpairedMethod, step: int = 0, **options: Any) -> dict[str, float]:
    return method.step(frames(step), -frames(step + 1000), lr=1e-3, seed=step, **options)


@pytest.mark.parametrize("name", ["cyclegan", "recyclegan", "cut"])
def test_the_identity_loss_ends_where_it_is_said(name: str) -> None:
    method = made(name, lambda_identity=5.0, identity_end=0.5)
    assert take(method, progress=0.49)["identity"] > 0
    assert take(method, progress=0.5)["identity"] == 0
    assert method.turning_point == 0.5
    whole = made(name, lambda_identity=5.0)
    assert take(whole, progress=1.0)["identity"] > 0
    assert whole.turning_point == 0


@pytest.mark.parametrize(("name", "updates"), [("cyclegan", 2), ("recyclegan", 2), ("cut", 1)])
def test_each_direction_has_an_update_of_its_own(name: str, updates: int) -> None:
    method = made(name)
    take(method)
    taken = [int(method.g.optimizer.state[p]["step"]) for p in method.generator.parameters()]
    assert set(taken) == {updates}


@pytest.mark.parametrize(("name", "steps", "most"), [("cyclegan", 60, 0.6), ("cut", 120, 0.9)])
def test_a_translator_learns_how_light_the_other_domain_is(name: str, steps: int, most: float) -> None:
    """Its mean is 0.4, of the inputs 0. Outputs: 0.39 to 0.44, CUT's 0.36 to 0.67 (5 seeds × AVX2, AVX-512)."""
    method = made(name, lambda_identity=0.0, pool_size=0, lambda_contrastive=0.1, lambda_cycle=2.0)
    for step in range(steps):
        method.step(frames(step, 3), 0.4 + 0.2 * frames(step + 1000, 3), lr=2e-3, seed=step)
    method.learned.eval()
    with torch.no_grad():
        output = method.learned(frames(9999, 3, batch=4))
    assert 0.2 < float(output.mean()) < most


def test_a_predictor_learns_the_next_frame() -> None:
    method = made("recyclegan")
    still = frames(1, 3).repeat(1, 3, 1, 1)
    losses = [method.step(still, still, lr=1e-3, seed=step)["prediction"] for step in range(40)]
    assert losses[-1] < losses[0] / 2


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
    name = "cyclegan"
    assert METHODS.load(name).num_frames(TrainingSettings(method=name)) == 1
    assert METHODS.load(name).num_frames(TrainingSettings(method=name, lambda_steady=1.0)) == 2
    assert METHODS.load("recyclegan").num_frames(TrainingSettings(method="recyclegan")) == 3
    assert "steady" not in made(name).columns
    assert take(made(name, lambda_steady=1.0))["steady"] > 0


@pytest.mark.parametrize("name", ["cyclegan", "recyclegan", "cut"])
def test_structure_is_asked_for_in_each_direction(name: str) -> None:
    assert "structure" not in made(name).columns
    assert 0 < take(made(name, lambda_structure=3.0))["structure"] < 2 * len(made(name).judges)


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
    settings = TrainingSettings(method="cut", contrastive_features="own")
    with pytest.raises(UsageError, match="does not show its features"):
        METHODS.load("cut").make(Others(settings))
    with pytest.raises(UsageError, match="look_size"):
        made("cut", look_size=3)


def test_projections_are_of_each_tap() -> None:
    projected = Projection([4, 8])([torch.ones(2, 5, 4), torch.ones(2, 5, 8)])
    assert [tuple(p.shape) for p in projected] == [(2, 5, 64)] * 2


def test_gradients_of_parts_add_up_to_those_of_the_batch() -> None:
    rows = [
        made("cyclegan", batch_size=2, grad_accum_steps=parts, pool_size=0, lambda_identity=1.0).step(
            frames(1, 3, 2), -frames(2, 3, 2), lr=1e-3, seed=0
        )
        for parts in (1, 2)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)
