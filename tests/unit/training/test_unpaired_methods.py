"""What the methods without pairs, and BicycleGAN, teach: when losses count, and that they learn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from method_setup import TRANSLATOR, ToySetup
from torch import Tensor

from vidtrans.core.errors import UsageError
from vidtrans.data.dataset import Pair
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.networks.picture_encoder import code_planes
from vidtrans.networks.wrappers import RecurrentGenerator
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.training import METHODS
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.bicyclegan import BicycleGAN
from vidtrans.training.methods.unpaired_method import ImagePool, UnpairedMethod
from vidtrans.training.picture_codes import code_table, diversity
from vidtrans.training.settings import TrainingSettings
from vidtrans.video.images.picture import write_picture

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
    return method.optimize(TrainingStep(frames(step), -frames(step + 1000), lr=1e-3, seed=step, **options))


def test_a_memory_keeps_only_what_was_there_before() -> None:
    method = made("cut", recurrent=True)
    assert isinstance(method.generator, RecurrentGenerator)
    before = [p.clone() for p in method.generator.keeper.parameters()]
    losses = take(method)
    assert losses["memory"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, method.generator.keeper.parameters(), strict=True))
    alone = frames(3, 3).repeat(1, 2, 1, 1)  # a picture that stands alone has no past
    assert (
        method.optimize(TrainingStep(alone, alone, lr=1e-3, seed=0))["temporal"] < 0.01
    )  # of a history without confidence


def test_steadiness_costs_a_frame_before_and_is_0_where_it_is_off() -> None:
    cases = ("cyclegan", 0.0, 1), ("cyclegan", 1.0, 2), ("recyclegan", 0.0, 3), ("pix2pix", 0.0, 1)
    for name, weight, count in cases:
        settings = TrainingSettings.of(method=name, lambda_steady=weight)
        assert METHODS.load(name).num_frames(settings) == count
    assert "steady" not in made("cyclegan").columns
    assert take(made("cyclegan", lambda_steady=1.0))["steady"] > 0


def test_gradients_of_parts_add_up_to_those_of_the_batch() -> None:
    rows = [
        made("cyclegan", batch_size=2, grad_accum_steps=parts, pool_size=0, lambda_identity=1.0).optimize(
            TrainingStep(frames(1, 3, 2), -frames(2, 3, 2), lr=1e-3, seed=0)
        )
        for parts in (1, 2)
    ]
    assert rows[0] == pytest.approx(rows[1], rel=1e-3)


def test_codes_of_the_target_reach_the_picture() -> None:
    method = made("cyclegan", look_size=3)
    losses = [take(method, step) for step in range(3)]
    assert all(row["kl"] > 0 and row["latent"] > 0 for row in losses)
    x = frames(5, 3)
    method.trained_generator.eval()
    with torch.no_grad():
        planes = [torch.full((1, 3, SIDE, SIDE), value) for value in (-0.5, 0.5)]
        outputs = [method.trained_generator(torch.cat([x, plane], 1)) for plane in planes]
    assert not torch.equal(*outputs)
    assert method.companion_networks["reverse"](x).shape == (1, 3, SIDE, SIDE)


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


SMALL = 16


def bicycle(setup: type[ToySetup] = ToySetup, **settings: Any) -> BicycleGAN:
    given = {"batch_size": 4, "lambda_l1": 10.0, "gan_mode": "least-squares", **settings}
    return BicycleGAN.make(setup(TrainingSettings.of(method="bicyclegan", **given)))  # type: ignore[arg-type]


def batch(step: int, count: int = 4) -> tuple[Tensor, Tensor]:
    """Drawings, and pictures of them that are dark and blue or light and red, by turns."""
    x = torch.stack([torch.from_numpy(scene(SMALL, SMALL, 7 * step + n)[..., :1].copy()) for n in range(count)])
    x = x.permute(0, 3, 1, 2).float() / 127.5 - 1
    looks = torch.tensor([[-0.6, -0.4, 0.1], [0.6, 0.2, 0.0]]).repeat(count // 2, 1)[..., None, None]
    return x, 0.3 * x + looks


@pytest.mark.thorough
def test_a_code_of_a_target_leads_to_its_look() -> None:
    method = bicycle(code_size=3)
    for step in range(80):
        method.optimize(TrainingStep(*batch(step % 10), lr=3e-3, seed=step, progress=0.5))
    x, y = batch(11, 2)
    network = method.generator
    with torch.no_grad():  # by the statistics of the batch, as in training
        codes = method.encoder(y)
        own = network(torch.cat([x, code_planes(codes, SMALL, SMALL)], 1))
        other = network(torch.cat([x, code_planes(codes.flip(0), SMALL, SMALL)], 1))
    assert (own - y).abs().mean() < 0.5 * (other - y).abs().mean()
    assert (own.mean((2, 3)) - y.mean((2, 3))).abs().max() < 0.25


def test_parts_of_a_batch_add_up_to_a_step_and_before_d_takes_part_it_is_not_asked() -> None:
    whole, parts = bicycle(gan_start=0.5), bicycle(gan_start=0.5, grad_accum_steps=2)
    losses = [method.optimize(TrainingStep(*batch(0), lr=1e-3, seed=1, progress=0.0)) for method in (whole, parts)]
    assert list(losses[0]) == list(losses[1]) == whole.columns
    assert parts.last_outputs.shape == whole.last_outputs.shape == (4, 3, SMALL, SMALL)
    assert abs(losses[0]["l1"] - losses[1]["l1"]) < 0.2 * losses[0]["l1"]  # norms see half of the batch
    late, judged = (
        whole.optimize(TrainingStep(*batch(0), lr=1e-3, seed=1, progress=0.6)),
        ("gan", "drawn_gan", "discriminator"),
    )
    assert [losses[0][name] for name in judged] == [0, 0, 0]
    assert all(late[name] > 0 for name in judged)


def test_mode_seeking_makes_pictures_of_random_codes_differ() -> None:
    spread = []
    for weight in (0.0, 0.5):
        method = bicycle(lambda_mode_seeking=weight, code_size=3, lambda_gan=0.0)
        for step in range(16):
            method.optimize(TrainingStep(*batch(step % 10), lr=3e-3, seed=step))
        x = batch(3)[0].repeat(4, 1, 1, 1)
        codes = torch.randn((16, 3), generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            pictures = method.generator(torch.cat([x, code_planes(codes, SMALL, SMALL)], 1))
        spread.append(float(pictures.reshape(4, 4, 3, SMALL, SMALL).std(0).mean()))
    assert spread[1] > 2 * spread[0]


def pairs_of(folder: Path, looks: list[tuple[float, float, float]]) -> list[Pair]:
    pairs = []
    for number, gain in enumerate(looks):
        path = folder / f"{number:04d}.png"
        write_picture(path, np.rint(scene(SMALL, SMALL, 0) * np.array(gain)).astype(np.uint8))
        pairs.append(Pair((path,), path, "val"))
    return pairs


def test_diversity_is_that_of_looks_over_that_of_targets(tmp_path: Path) -> None:
    method, pairing = bicycle(code_size=5), make_pairing("edges", {})
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
