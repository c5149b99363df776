"""Contracts of every term of the generator's loss. A new line of ``LOSSES`` is tested by being there."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from vidtrans.core.settings import from_table, setting_fields
from vidtrans.networks.init import build_discriminator, initialise
from vidtrans.training import LOSSES, training_words, weight_key
from vidtrans.training.losses.base import TRIPLE_CHANNELS, GeneratorLoss, LossContext, PrecedingFrames, Term
from vidtrans.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("one_thread")
every_loss = pytest.mark.parametrize("name", LOSSES)
SIDE = 32
# Of these the least is not where the output is the target, but where a discriminator takes it for one.
ADVERSARIAL_LOSSES = {"gan", "temporal_gan"}


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def settings_of(name: str, weight: float = 2.0, **more: Any) -> TrainingSettings:
    """With this loss on, and all that it needs."""
    needed: dict[str, Any] = {need: True if need == "recurrent" else 1.0 for need in LOSSES[name].needs}
    return TrainingSettings.of(**(needed | {weight_key(name): weight} | more))


def discriminator(channels: int) -> Any:
    network = build_discriminator("patchgan", {"channels": 8, "num_layers": 1, "norm": "none"}, channels)
    initialise(network, 1)
    return network


def context(painted: Tensor, **more: Any) -> LossContext:
    """All that a term may look at, of pictures without a past of their own."""
    count = len(painted)
    d, d_v = discriminator(6), discriminator(TRIPLE_CHANNELS)
    shapes = ((3, 2), (3, 3), (6, 4))  # channels, and the seed
    x, y, earlier = (noise(1, c, SIDE, SIDE, seed=seed).expand(count, -1, -1, -1) for c, seed in shapes)
    given = {
        "target": y,
        "output": painted,
        "judge": lambda picture: d.judge(torch.cat([x, picture], 1)),
        "judge_triples": d_v.judge,
        "past": torch.cat([y, torch.ones(count, 1, SIDE, SIDE)], 1),
        "earlier": PrecedingFrames(torch.arange(count), earlier, earlier),
    }
    return LossContext(input=x, raw_output=painted, **(given | more))


def term_of(name: str) -> Term:
    term: Term = LOSSES.load(name)(settings_of(name))
    return term


def value_of(name: str, step: LossContext) -> Tensor:
    value = term_of(name)(step)
    assert isinstance(value, Tensor)
    return value


@every_loss
def test_a_loss_is_a_finite_mean_over_pictures_that_learn_from_it(name: str) -> None:
    painted = noise(2, 3, SIDE, SIDE).requires_grad_(True)
    value = value_of(name, context(painted))
    assert value.shape == ()
    assert value.isfinite()
    value.backward()
    assert painted.grad is not None
    assert painted.grad.isfinite().all()
    assert painted.grad.abs().sum() > 0
    one = noise(1, 3, SIDE, SIDE)
    several = value_of(name, context(one.expand(3, -1, -1, -1)))
    assert several.item() == pytest.approx(value_of(name, context(one)).item(), rel=1e-5)


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in ADVERSARIAL_LOSSES])
def test_a_loss_is_least_where_the_output_is_the_target(name: str) -> None:
    target = context(noise(1, 3, SIDE, SIDE)).target
    least = value_of(name, context(target)).item()
    assert least >= 0
    for amount in (0.1, 0.5):
        assert value_of(name, context(target + amount * noise(1, 3, SIDE, SIDE, seed=9))).item() > least


@every_loss
def test_a_loss_counts_as_much_as_it_weighs_and_not_where_d_which_it_asks_takes_no_part(name: str) -> None:
    step, totals = context(noise(2, 3, SIDE, SIDE)), []
    for weight in (1.0, 3.0):
        loss = GeneratorLoss(settings_of(name, weight))
        assert name in loss(step)
        totals.append(loss.total(loss(step)).item())
    assert totals[1] - totals[0] == pytest.approx(2 * value_of(name, step).item(), rel=1e-3)
    assert (name not in loss(replace(step, judge=None))) == loss.terms[name].uses_discriminator
    off = GeneratorLoss(settings_of(name, weight=0.0, **({"lambda_l1": 1.0} if name != "l1" else {"lambda_l2": 1.0})))
    assert off.weights.get(name, 0.0) == 0
    assert (name in off.terms) == LOSSES[name].reported
    without = {other: value for other, value in off(step).items() if other != name}
    assert off.total(off(step)).item() == pytest.approx(off.total(without).item(), rel=1e-6)


@every_loss
def test_the_weight_of_a_loss_is_a_setting_of_its_name_and_its_curve_has_a_label(name: str) -> None:
    loss, key = LOSSES[name], weight_key(name)
    field = setting_fields(TrainingSettings, [key])[key][0]
    assert field.default == loss.weight
    needed = {"recurrent": True} if "recurrent" in loss.needs else {}
    settings = from_table(TrainingSettings, {key: 7} | needed, "training")
    assert settings.loss_weights[name] == 7
    assert settings.for_key()[key] == 7
    assert training_words.loss_label(name).name == loss.label.name != ""
    assert [other.label.name for other in LOSSES.values()].count(loss.label.name) == 1


@pytest.mark.parametrize(
    ("name", "need"), [(n, need) for n, loss in LOSSES.items() if not loss.weight for need in loss.needs]
)
def test_turning_on_a_loss_without_what_it_needs_is_an_error(name: str, need: str) -> None:
    off = type(TrainingSettings.of().values()[need])()
    said = f"training.{weight_key(name)} needs training.{need}, which is {'off' if off is False else 0}"
    with pytest.raises(ValueError, match=re.escape(said)):
        TrainingSettings.of(**(settings_of(name).values() | {need: off}))


def test_those_that_ask_d_are_added_up_first() -> None:
    """Another order would round otherwise, and training would not give the same bytes as it did."""
    loss = GeneratorLoss(TrainingSettings.of(recurrent=True, **dict.fromkeys(map(weight_key, LOSSES), 1.0)))
    order = list(loss(context(noise(1, 3, SIDE, SIDE))))
    assert order[:4] == ["gan", "feature_matching", "perceptual", "l1"]
    assert [name for name in order if name not in order[:3]] == [name for name in LOSSES if name not in order[:3]]
