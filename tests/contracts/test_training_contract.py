"""Every generator, discriminator and loss trains: three steps, finite, and what is minimised falls on one batch.

A new entry of a registry, and a new setting of a loss, is in here by being there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from variants import least, pairwise

from vidtrans.core.settings import Table
from vidtrans.inference.device import Device
from vidtrans.networks import DISCRIMINATORS, GENERATORS
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.training import ADVERSARIAL, LOSSES, weight_key
from vidtrans.training.losses.rarity import rarity
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Device("cpu", "cpu")
STEPS, OVERFITTED = 3, 4
# What can be put beside the adversarial loss and the L1, each by itself.
EXTRAS: dict[str, Table] = {
    "nothing": {},
    **{
        name: {weight_key(name): 10.0}
        for name, loss in LOSSES.items()
        if not loss.reported and "recurrent" not in loss.needs
    },
    "colour_rebalancing": {"colour_rebalancing": True},
    "ema_decay": {"ema_decay": 0.9},
    "grad_accum_steps": {"grad_accum_steps": 2},
    "conditional": {"conditional": False},
    "motion_weight": {"motion_weight": 4.0},
}


def covering(cases: list[Table], beside: str) -> list[Table]:
    """The first cases in which every network, and whatever can be put beside it, meets every value of an axis."""
    found, met = [], set[tuple[str, str, str]]()
    for case in cases:
        new = {(name, value, case.get(beside, "")) for name, value in case.items()}
        if not new <= met:
            found.append(case)
            met |= new
    return found


AXES = {"generator": GENERATORS, "discriminator": DISCRIMINATORS, "adversarial": ADVERSARIAL, "extra": EXTRAS}
CASES = covering(list(pairwise({name: tuple(entries) for name, entries in AXES.items()})), "adversarial")
FIRST = covering(CASES, "")  # in which each is met; the others are of the second tier


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


class Case:
    """Two networks and a batch of two pictures."""

    def __init__(self, names: Table, **more: Any) -> None:
        settings = TrainingSettings.of(
            batch_size=2,
            lr=2e-3,
            gan_mode=names["adversarial"],
            **({"lambda_l1": 10.0} | EXTRAS[names["extra"]] | more),
        )
        generator = build_generator(names["generator"], least(GENERATORS, names["generator"]), 3)
        judged = 6 if settings.conditional else 3
        table = least(DISCRIMINATORS, names["discriminator"], num_layers=2)
        discriminator = build_discriminator(names["discriminator"], table, judged)
        initialise(generator, 0)
        initialise(discriminator, 1)
        m = generator.multiple
        side = max(32, generator.smallest, -(-discriminator.smallest // m) * m)
        self.x = noise(2, 3, side, side)
        self.y = torch.tensor([0.6, -0.5, 0.4]).view(1, 3, 1, 1) + 0.2 * self.x[:, :1]
        seen = ((self.y[0] + 1) * 127.5).permute(1, 2, 0).numpy().astype(np.uint8)
        weights = rarity([seen]) if settings.colour_rebalancing else None
        self.moving = noise(2, 1, side, side, seed=2) + 1 if settings.motion_weight else None
        self.model = Pix2Pix(generator, discriminator, settings, CPU, "fp32", weights)

    def step(self, seed: int = 0) -> dict[str, float]:
        """One update of both on the batch; the seed decides the dropout."""
        return self.model.optimize(
            TrainingStep(self.x, self.y, lr=self.model.settings.lr, seed=seed, weights=self.moving)
        )

    def minimised(self, losses: dict[str, float]) -> float:
        """What G's step went down."""
        return sum(weight * losses[name] for name, weight in self.model.loss.weights.items())

    def falls_by(self, step: Callable[[], float], restore: Callable[[], object], share: float) -> bool:
        """Whether a loss falls to a share within a few steps, after each of which the other network is put back."""
        values = []
        for _ in range(OVERFITTED):
            values.append(step())
            restore()
        return values[-1] < (share * values[0] if values[0] > 0 else values[0])


def keep(network: torch.nn.Module) -> Callable[[], object]:
    """Return what puts a network's weights and statistics back."""
    held = copy.deepcopy(network.state_dict())
    return lambda: network.load_state_dict(held)


def label(case: Table) -> str:
    return "-".join(case.values())


@pytest.mark.parametrize(
    "names", [pytest.param(case, marks=[] if case in FIRST else pytest.mark.thorough, id=label(case)) for case in CASES]
)
def test_any_two_networks_learn_by_any_loss(names: Table) -> None:
    """G's loss falls on one batch before a D that is put back; three steps of both are finite and change both."""
    case = Case(names)
    model = case.model
    assert model.discriminator is not None
    assert case.falls_by(lambda: case.minimised(case.step()), keep(model.discriminator), 0.99)
    before = [copy.deepcopy(n.state_dict()) for n in (model.generator, model.discriminator)]
    for step in range(STEPS):
        losses = case.step(step)
        assert list(losses) == model.columns
        assert np.isfinite(list(losses.values())).all()
    assert model.is_finite()
    for old, network in zip(before, (model.generator, model.discriminator), strict=True):
        assert any(not torch.equal(v, network.state_dict()[k]) for k, v in old.items())
    assert all(v.isfinite().all() for v in model.trained_generator.state_dict().values())
    assert (model.trained_generator is model.generator) == (names["extra"] != "ema_decay")
