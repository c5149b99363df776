"""BicycleGAN: what its losses teach, and that looks are learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from method_setup import ToySetup
from torch import Tensor

from vidtrans.data.dataset import Pair
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks.picture_encoder import code_planes
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.training.methods.bicyclegan import BicycleGAN
from vidtrans.training.picture_codes import code_table, diversity
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

pytestmark = pytest.mark.usefixtures("one_thread")
SIDE = 16


def made(setup: type[ToySetup] = ToySetup, **settings: Any) -> BicycleGAN:
    given = {"batch_size": 4, "lambda_l1": 10.0, "gan_mode": "least-squares", **settings}
    return BicycleGAN.make(setup(TrainingSettings.of(method="bicyclegan", **given)))  # type: ignore[arg-type]


def batch(step: int, count: int = 4) -> tuple[Tensor, Tensor]:
    """Drawings, and pictures of them that are dark and blue or light and red, by turns."""
    x = torch.stack([torch.from_numpy(scene(SIDE, SIDE, 7 * step + n)[..., :1].copy()) for n in range(count)])
    x = x.permute(0, 3, 1, 2).float() / 127.5 - 1
    looks = torch.tensor([[-0.6, -0.4, 0.1], [0.6, 0.2, 0.0]]).repeat(count // 2, 1)[..., None, None]
    return x, 0.3 * x + looks


@pytest.mark.thorough
def test_a_code_of_a_target_leads_to_its_look() -> None:
    method = made(code_size=3)
    for step in range(80):
        method.step(*batch(step % 10), lr=3e-3, seed=step, progress=0.5)
    x, y = batch(11, 2)
    network = method.generator
    with torch.no_grad():  # by the statistics of the batch, as in training
        codes = method.encoder(y)
        own = network(torch.cat([x, code_planes(codes, SIDE, SIDE)], 1))
        other = network(torch.cat([x, code_planes(codes.flip(0), SIDE, SIDE)], 1))
    assert (own - y).abs().mean() < 0.5 * (other - y).abs().mean()
    assert (own.mean((2, 3)) - y.mean((2, 3))).abs().max() < 0.25


def test_parts_of_a_batch_add_up_to_a_step_and_before_d_takes_part_it_is_not_asked() -> None:
    whole, parts = made(gan_start=0.5), made(gan_start=0.5, grad_accum_steps=2)
    losses = [method.step(*batch(0), lr=1e-3, seed=1, progress=0.0) for method in (whole, parts)]
    assert list(losses[0]) == list(losses[1]) == whole.columns
    assert parts.painted.shape == whole.painted.shape == (4, 3, SIDE, SIDE)
    assert abs(losses[0]["l1"] - losses[1]["l1"]) < 0.2 * losses[0]["l1"]  # norms see half of the batch
    late, judged = whole.step(*batch(0), lr=1e-3, seed=1, progress=0.6), ("gan", "drawn_gan", "discriminator")
    assert [losses[0][name] for name in judged] == [0, 0, 0]
    assert all(late[name] > 0 for name in judged)


def test_mode_seeking_makes_pictures_of_random_codes_differ() -> None:
    spread = []
    for weight in (0.0, 0.5):
        method = made(lambda_mode_seeking=weight, code_size=3, lambda_gan=0.0)
        for step in range(16):
            method.step(*batch(step % 10), lr=3e-3, seed=step)
        x = batch(3)[0].repeat(4, 1, 1, 1)
        codes = torch.randn((16, 3), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            pictures = method.generator(torch.cat([x, code_planes(codes, SIDE, SIDE)], 1))
        spread.append(float(pictures.reshape(4, 4, 3, SIDE, SIDE).std(0).mean()))
    assert spread[1] > 2 * spread[0]


def pairs_of(folder: Path, looks: list[tuple[float, float, float]]) -> list[Pair]:
    pairs = []
    for number, gain in enumerate(looks):
        path = folder / f"{number:04d}.png"
        write_picture(path, np.rint(scene(SIDE, SIDE, 0) * np.array(gain)).astype(np.uint8))
        pairs.append(Pair((path,), path, "val"))
    return pairs


def test_diversity_is_that_of_looks_over_that_of_targets(tmp_path: Path) -> None:
    method, pairing = made(code_size=5), make_pairing("edges", {})
    method.generator.eval()
    networks = method.generator, method.generator.painter
    engine, painter = (TorchEngine(network, ToySetup.device, "fp32", batch=1) for network in networks)
    differing = pairs_of(tmp_path / "a", [(1, 1, 1), (0.2, 0.5, 1), (1, 0.4, 0.2)])
    found = diversity(engine, pairing, differing)
    assert found is not None
    assert 0 <= found < 1
    alike = pairs_of(tmp_path / "b", [(1, 1, 1)] * 3)
    assert diversity(engine, pairing, alike) is diversity(engine, pairing, differing[:1]) is None
    assert diversity(painter, pairing, differing) is None
    assert method.validate(engine, pairing, differing)["diversity"] == found
    table = code_table(method.generator, differing)  # where the codes of pictures lie, for the record
    assert (table["size"], len(table["mean"]), len(table["spread"])) == (5, 5, 5)
    assert max(table["spread"]) > 0
    assert code_table(method.generator.painter, differing) == {}
