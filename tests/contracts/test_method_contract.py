"""Contracts of every training method. A new line of ``METHODS`` is tested by being there."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from method_setup import CLASSES, TRANSLATOR, ToySetup

from vidtrans.data.dataset import Pair
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.training import LOSSES, METHODS, training_words
from vidtrans.training.methods.base import TrainingMethod, TrainingStep
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

pytestmark = pytest.mark.usefixtures("one_thread", "small_paintings")
every_method = pytest.mark.parametrize("name", METHODS)
SIDE = 32


class LookSetup(ToySetup):
    """For a painter of two looks."""

    generator, in_channels = ("painter", {"channels": 4, "blocks": 1, "looks": 2}), 6


class UnpairedSetup(ToySetup):
    """For methods without pairs."""

    generator, in_channels = TRANSLATOR, 3


class ColourSetup(ToySetup):
    """For colours as classes."""

    generator = ("colour-classes", {"channels": 8, "blocks": [0, 0, 0]})


SETUPS: dict[str, type[ToySetup]] = {"look": LookSetup, "colour-classes": ColourSetup} | {
    name: UnpairedSetup for name in METHODS if METHODS.load(name).unpaired
}
FRAMES = 3  # in a row, of an example without pairs


@cache
def own_settings(name: str) -> dict[str, Any]:
    """What a method cannot do without."""
    if name == "cut":
        return {"contrastive_features": "own", "lambda_steady": 1.0}
    if METHODS.load(name).unpaired:
        return {"lambda_steady": 1.0, "pool_size": 3}
    if name != "look":
        return {}
    folder = Path(tempfile.mkdtemp())
    for number in range(2):
        write_picture(folder / f"{number}.png", scene(48, 40, number))
    return {"look_pictures": (str(folder / "0.png"), str(folder / "1.png"))}


def made(name: str, seed: int = 0, **settings: Any) -> TrainingMethod:
    given = TrainingSettings.of(method=name, batch_size=2, **{**own_settings(name), **settings})
    method: TrainingMethod = METHODS.load(name).make(SETUPS.get(name, ToySetup)(given, seed))
    return method


def take(method: TrainingMethod, step: int) -> dict[str, float]:
    random = torch.Generator().manual_seed(step)
    count = SETUPS.get(method.settings.method, ToySetup).in_channels * (FRAMES if method.unpaired else 1)
    x = torch.rand((2, count, SIDE, SIDE), generator=random) * 2 - 1
    targets = torch.cat([x[:, :1], -x[:, :1], x[:, :1].square()], 1)
    if method.unpaired:
        targets = torch.cat([-x[:, :3]] * FRAMES, 1)
    if method.has_label_targets:
        drawn = torch.randint(len(CLASSES), (2, SIDE, SIDE), generator=random)
        targets = torch.from_numpy(CLASSES)[drawn].permute(0, 3, 1, 2) / 127.5 - 1
    return method.optimize(TrainingStep(x, targets, lr=1e-3, seed=step, progress=step / 10))


@every_method
def test_a_step_gives_finite_losses_by_columns_with_labels_and_changes_the_generator(name: str) -> None:
    method, own = made(name), METHODS[name].curves
    assert len(set(method.columns)) == len(method.columns) > 0
    assert not set(own) & set(LOSSES)
    for column in method.columns:
        label = LOSSES[column].label if column in LOSSES else own[column]
        assert training_words.loss_label(column).name == label.name != ""
    assert all(network.smallest >= 1 for network in method.networks.values())
    assert method.networks["generator"].multiple >= 1
    before = [p.clone() for p in method.networks["generator"].parameters()]
    losses = take(method, 0)
    assert list(losses) == method.columns
    assert np.isfinite(list(losses.values())).all()
    assert any(not torch.equal(p, q) for p, q in zip(before, method.networks["generator"].parameters(), strict=True))
    assert method.last_outputs.shape == (2, 3, SIDE, SIDE)
    assert not method.last_outputs.requires_grad
    # Nothing is wrong with a new run.
    assert method.describe(losses)
    assert method.find_problems([list(losses.values())], 10) == []
    assert method.balance is None or method.balance > 0
    for network in method.networks.values():
        assert method.is_finite()
        weight = next(iter(network.parameters())).data.view(-1)[:1]
        held = weight.clone()
        weight.fill_(torch.nan)
        assert not method.is_finite()
        weight.copy_(held)


@every_method
def test_the_same_steps_are_the_same_bytes_and_a_restored_method_goes_on_to_them(name: str, tmp_path: Path) -> None:
    one, again, other = (made(name, seed, ema_decay=0.9) for seed in (0, 0, 7))
    rows = [take(method, 0) for method in (one, again)]
    assert rows[0] == rows[1]
    assert torch.equal(one.last_outputs, again.last_outputs)
    assert take(other, 0) != rows[0]
    torch.save(one.state(), tmp_path / "state.pt")
    other.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    for step in (1, 2):
        assert take(one, step) == take(other, step)
    for mine, its in ((one.networks[kind], other.networks[kind]) for kind in one.networks):
        held = its.state_dict()
        assert all(torch.equal(value, held[key]) for key, value in mine.state_dict().items())
    assert all(
        torch.equal(p, q)
        for p, q in zip(one.trained_generator.parameters(), other.trained_generator.parameters(), strict=True)
    )


@every_method
def test_held_out_pairs_are_scored(name: str, tmp_path: Path) -> None:
    method = made(name)
    picture = tmp_path / "000001.png"
    write_picture(picture, scene(SIDE, SIDE, 0))
    pair = Pair((picture,), picture, "val")
    others = [replace(pair, domain=1)] if method.unpaired else []
    engine = TorchEngine(method.trained_generator, ToySetup.device, "fp32", batch=1)
    pairings = {"look": make_pairing("look", {"looks": ["a", "b"]})}
    pairings |= dict.fromkeys([n for n in METHODS if METHODS.load(n).unpaired], make_pairing("unpaired", {}))
    scores = method.validate(engine, pairings.get(name, make_pairing("edges", {})), [pair, *others])
    assert scores["pairs"] == 1


@every_method
def test_a_method_is_chosen_by_a_setting_whose_default_is_in_no_key(name: str) -> None:
    settings = TrainingSettings.of(method=name)
    assert settings.for_key().get("method", "pix2pix") == name
    assert type(settings.method_settings) is METHODS[name].settings
    assert isinstance(METHODS.load(name).identity(TrainingSettings.of(method=name, **own_settings(name))), str)
