"""A discriminator of three frames in a row: which they are, what it tells apart, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY
from clips import moving_frames
from directed_clip import lossless

import vidtrans as api
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import BatchPlan, Example, Loader, signed_planes
from vidtrans.inference.device import Device
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.training.feedback import RecurrentFeedback, RolloutPool
from vidtrans.training.losses.adversarial import generator_loss
from vidtrans.training.losses.base import TRIPLE_CHANNELS, PrecedingFrames
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.network_trainer import DiscriminatorTrainer
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Device("cpu", "cpu")
ON: dict[str, Any] = {"recurrent": True, "lambda_temporal_gan": 1.0}
PATCHES = {"num_layers": 1, "channels": 8, "norm": "none"}
SHADE = 0.9  # of a target, an output that is none other's


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip in two shots and its dataset, with held-out blocks."""
    folder = tmp_path_factory.mktemp("seen")
    lossless(folder / "clip.mp4", moving_frames(40, shots=(0, 25)))
    given: dict[str, Any] = {"preset": "edges", "settings": TINY, "cache_dir": folder / "cache"}
    api.make_dataset(folder / "clip.mp4", folder / "clip.dataset", **given)
    return folder


def chains_of(folder: Path, *, drifting: float = 0.3, **settings: Any) -> RolloutPool:
    dataset = open_dataset(folder / "clip.dataset")
    plan = BatchPlan(batch_size=4, seed=0, multiple=16, jitter=1.3, flip=True)
    loader = Loader(dataset.role("train"), dataset.pairing, plan, recurrent=True)
    made = TrainingSettings.of(recurrent_fraction=0.8, **(ON | settings))
    return RolloutPool(loader, RecurrentFeedback(loader, "dis", drifting), made)


def before(chains: RolloutPool, example: Example) -> Example:
    """What came right before it: the same picture a step less far, or the frame before, cut out alike."""
    drift = example.geometry.motion
    if drift:
        shorter = replace(drift, steps=drift.steps - 1) if drift.steps > 1 else None
        return replace(example, geometry=replace(example.geometry, motion=shorter))
    numbers = [int(pair.target.stem) for pair in chains.loader.pairs]
    return replace(example, index=numbers.index(numbers[example.index] - 1))


@pytest.mark.parametrize("drifting", [0.0, 1.0])
def test_a_triple_is_of_the_two_frames_right_before_the_older_first(seen: Path, drifting: float) -> None:
    chains = chains_of(seen, drifting=drifting)
    rng = np.random.default_rng(0)
    drifts = []
    for step in range(40):
        if step == 20:  # a run that is resumed goes on with the same triples
            torch.save(chains.state(), "pool.pt")
            chains = chains_of(seen, drifting=drifting)
            chains.restore(torch.load("pool.pt", weights_only=True))
        batch = chains.mix(chains.loader.make(step), step, 1.0)
        ages = [0 if slot is None else getattr(chains.slots[slot], "age", 0) for slot in chains._example_slots]
        earlier = chains.preceding()
        assert (earlier.rows.tolist() if earlier else []) == [k for k, age in enumerate(ages) if age >= 2]
        for k, painted, targets in zip(earlier.rows, earlier.outputs, earlier.targets, strict=True) if earlier else ():
            example = batch.examples[k]
            nearer = before(chains, example)
            shown = [signed_planes(chains.loader.pictures(e, rng)[1]) for e in (before(chains, nearer), nearer)]
            assert np.array_equal(targets, np.concatenate(shown))
            assert np.allclose(painted, SHADE * targets, atol=1e-6)
            assert not np.array_equal(shown[0], shown[1])
            drifts.append(example.geometry.motion is not None)
        chains.update(batch, SHADE * torch.from_numpy(batch.targets))
    assert len(drifts) > 20
    assert np.mean(drifts) == drifting


def judge(seed: int = 0, **settings: Any) -> DiscriminatorTrainer:
    network = build_discriminator("patchgan", PATCHES, TRIPLE_CHANNELS)
    initialise(network, seed)
    return DiscriminatorTrainer(network, TrainingSettings.of(**(ON | settings)), CPU, "fp32")


def film(count: int, seed: int, flicker: float) -> torch.Tensor:
    """Still films of three frames, each brighter or darker by something; ``flicker``: so is each frame of it."""
    still = noise(count, 3, 16, 16, seed=seed).mul(0.5).repeat(1, 3, 1, 1)
    bright = 0.4 * noise(count, 1, 1, 1, seed=seed + 1000)
    return still + bright + flicker * noise(count, 3, 1, 1, seed=seed + 2000).repeat_interleave(3, 1)


def test_a_flickering_film_is_told_from_a_steady_one() -> None:
    """The loss of one that flickers: 0.03 to 0.29 of the balance; of none 1.00 to 1.04 (5 seeds × AVX2, AVX-512)."""

    def learned(flicker: float) -> tuple[DiscriminatorTrainer, float]:
        gan = judge()
        losses = []
        for step in range(100):
            fake, real = film(8, 2 * step, flicker), film(8, 2 * step + 1, 0.0)
            losses.append(gan.update([(fake, real, 1.0)], 5e-3).item())
        return gan, float(np.mean(losses[-20:]))

    flickering, of_flicker = learned(0.6)
    balance = flickering.objective.balance
    assert of_flicker < 0.7 * balance
    assert learned(0.0)[1] > 0.9 * balance  # its frames are a target's, and so are its triples
    steady, unsteady = (film(8, 999, flicker) for flicker in (0.0, 0.4))
    wrong, right = (generator_loss(flickering.objective, flickering.judge(f)[0]).item() for f in (unsteady, steady))
    assert wrong > right


def model(precision: Any = "fp32", seed: int = 0, **settings: Any) -> Pix2Pix:
    generator = build_generator("residual", {"channels": 8, "blocks": 1, "norm": "none"}, 3, memory=True)
    judges = [build_discriminator("patchgan", PATCHES, channels) for channels in (6, TRIPLE_CHANNELS)]
    for more, network in enumerate((generator, *judges)):
        initialise(network, seed + more)
    return Pix2Pix(
        generator, judges[0], TrainingSettings.of(**(ON | settings)), CPU, precision, temporal_discriminator=judges[1]
    )


def step(learner: Pix2Pix, rows: list[int], **options: Any) -> dict[str, float]:
    """One on five made-up pictures with a sure past, of which ``rows`` end a triple."""
    x, y = noise(5, 7, 32, 32), noise(5, 3, 32, 32, seed=2)
    count = len(rows)
    earlier = PrecedingFrames(torch.tensor(rows), noise(count, 6, 32, 32, seed=3), noise(count, 6, 32, 32, seed=4))
    return learner.optimize(TrainingStep(x, y, lr=1e-3, seed=0, earlier=earlier if rows else None, **options))


def weights(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_it_learns_in_steps_that_have_triples_when_the_gan_is_on() -> None:
    learner = model(batch_size=5, gan_start=0.5)
    network = learner.networks["temporal_discriminator"]
    assert learner.columns == ["gan", "l1", "discriminator", "temporal", "temporal_gan", "temporal_discriminator"]
    first = weights(network)
    for rows, progress in (([], 1.0), ([0, 2], 0.0)):
        losses = step(learner, rows, progress=progress)
        assert losses["temporal_gan"] == losses["temporal_discriminator"] == 0
        assert torch.equal(weights(network), first)
    losses = step(learner, [0, 2])
    assert losses["temporal_discriminator"] == pytest.approx(learner.objective.balance, rel=0.1)
    assert losses["temporal_gan"] == pytest.approx(learner.objective.balance, rel=0.1)
    assert not torch.equal(weights(network), first)


@pytest.mark.parametrize(("parts", "rows"), [(2, [4]), (3, [0, 2])])
def test_parts_of_a_batch_give_the_gradient_of_the_whole(parts: int, rows: list[int]) -> None:
    whole, split = model(batch_size=5), model(batch_size=5, grad_accum_steps=parts)
    a, b = step(whole, rows), step(split, rows)
    assert list(b.values()) == pytest.approx(list(a.values()), rel=1e-4)
    for p, q in zip(whole.generator.parameters(), split.generator.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)
    mine, its = (weights(learner.networks["temporal_discriminator"]) for learner in (whole, split))
    assert torch.allclose(mine, its, rtol=0, atol=1e-4)


def test_a_restored_one_goes_on_exactly() -> None:
    one, other = model("fp16", batch_size=5), model("fp16", seed=7, batch_size=5)
    step(one, [0])
    assert one.d_v is not None
    assert other.d_v is not None
    one.d_v.scaler.update(8.0)
    torch.save(one.state(), "state.pt")
    other.restore(torch.load("state.pt", weights_only=True))
    assert other.d_v.scaler.get_scale() == 8.0
    for rows in ([], [3], [0, 4]):
        assert step(one, rows) == step(other, rows)
    assert one.is_finite()
    torch.nn.init.constant_(next(one.networks["temporal_discriminator"].parameters()), torch.nan)
    assert not one.is_finite()
    assert "temporal_gan" not in Pix2Pix(one.generator, None, TrainingSettings.of(lambda_gan=0.0), CPU, "fp32").state()


def test_a_generator_learns_by_the_last_frame_of_its_triples_alone() -> None:
    gan = judge()
    outputs = noise(4, 3, 16, 16).requires_grad_(True)
    earlier = PrecedingFrames(torch.tensor([1, 3]), noise(2, 6, 16, 16, seed=2), noise(2, 6, 16, 16, seed=3), 0.5)
    assert torch.equal(earlier.fake(outputs), torch.cat([earlier.outputs, outputs[[1, 3]]], 1))
    assert torch.equal(earlier.real(outputs), torch.cat([earlier.targets, outputs[[1, 3]]], 1))
    generator_loss(gan.objective, gan.judge(earlier.fake(outputs))[0]).backward()
    assert outputs.grad is not None
    assert [bool(g.any()) for g in outputs.grad] == [False, True, False, True]
    placed = earlier.to(torch.device("meta"), torch.channels_last)
    assert [t.device.type for t in (placed.rows, placed.outputs, placed.targets)] == ["meta"] * 3
    assert all(t.is_contiguous(memory_format=torch.channels_last) for t in (placed.outputs, placed.targets))
    assert placed.share == 0.5
