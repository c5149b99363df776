"""Training: the paper's loop to the digit, and nothing lost on the way."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY
from made_runs import Numbers, run_of
from torch import nn
from torch.nn import functional as F

import vidtrans as api
from vidtrans.core.events import Note, Stop, ignore_event
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import BatchPlan, Loader, TrainingBatch, signed_planes
from vidtrans.inference.device import Device
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.networks.init import build_discriminator, build_generator, initialise
from vidtrans.training.loop import (
    Diverged,
    TrainingLoop,
    TrainingState,
    learning_rate,
    load_checkpoint,
    save_checkpoint,
    step_seed,
    take_step,
)
from vidtrans.training.methods.network_trainer import reestimate
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

CPU = Device("cpu", "cpu")


def paper_losses(g: nn.Module, d: nn.Module, batches: list[TrainingBatch], total: int, seed: int) -> list[list[float]]:
    """The paper's loop, written out plainly: D on fake and real (halved), then G on cGAN + 100·L1."""
    adam_g = torch.optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    adam_d = torch.optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    bce = nn.BCEWithLogitsLoss()
    g.train(), d.train()
    rows = []
    for step, batch in enumerate(batches):
        lr = 2e-4 if step < total // 2 else 2e-4 * (total - step) / (total - total // 2)
        for adam in (adam_g, adam_d):
            adam.param_groups[0]["lr"] = lr
        torch.manual_seed(step_seed(seed, step))
        x, y = (torch.from_numpy(signed_planes(planes)) for planes in (batch.inputs, batch.targets))
        fake = g(x)
        on_fake = d(torch.cat([x, fake.detach()], 1))
        on_real = d(torch.cat([x, y], 1))
        loss_d = (bce(on_fake, torch.zeros_like(on_fake)) + bce(on_real, torch.ones_like(on_real))) * 0.5
        adam_d.zero_grad()
        loss_d.backward()
        adam_d.step()
        judged = d(torch.cat([x, fake], 1))
        gan, l1 = bce(judged, torch.ones_like(judged)), F.l1_loss(fake, y)
        adam_g.zero_grad()
        (gan + 100 * l1).backward()
        adam_g.step()
        rows.append([gan.item(), l1.item(), loss_d.item()])
    return rows


def test_the_first_losses_are_those_of_the_papers_loop(clip: Path) -> None:
    api.make_dataset(
        clip, settings={"dataset": {"size": "48"}, "pairing": {"gradient_channel": False, "tone_channel": False}}
    )
    dataset = open_dataset(Path("clip.dataset"))
    settings = TrainingSettings.of(steps=10, crop_size=32, precision="fp32")
    # The paper's own networks, thinner and with fewer halvings so that a 32-pixel picture fits.
    g = build_generator("unet-256", {"channels": 8, "downsamplings": 5}, 1)
    d = build_discriminator("patchgan", {"channels": 8}, 4)
    initialise(g, 3)
    initialise(d, 4)
    plan = BatchPlan(batch_size=1, seed=3, multiple=g.multiple, crop=32, jitter=settings.jitter, flip=True)
    loader = Loader(dataset.role("train"), dataset.pairing, plan)
    # In 64 bits: in 32, rounding, which each processor does in another order, grows to 1e-4 in some 20 steps.
    batches = [in_64_bits(loader.make(step)) for step in range(7)]
    wanted = paper_losses(copy.deepcopy(g.double()), copy.deepcopy(d.double()), batches, 10, seed=3)
    run = TrainingState(Path(), Pix2Pix(g, d, settings, CPU, "fp32"), loader, 3, [10])
    for row, batch in zip(wanted, batches, strict=True):
        losses = take_step(run, batch)
        run.step += 1
        assert [losses[n] for n in ("gan", "l1", "discriminator")] == pytest.approx(row, abs=1e-6)


def in_64_bits(batch: TrainingBatch) -> TrainingBatch:
    """Return ``batch`` with its planes as float64 in [−1, 1]."""
    inputs, targets = (signed_planes(planes).astype(np.float64) for planes in (batch.inputs, batch.targets))
    return dataclasses.replace(batch, inputs=inputs, targets=targets)


def test_learning_rates() -> None:
    linear = TrainingSettings.of(lr=1.0)
    rates = [learning_rate(s, 10, linear) for s in range(10)]
    assert rates[:5] == [1.0] * 5
    assert rates[5:] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    assert learning_rate(9, 10, TrainingSettings.of(lr=0.5)) == pytest.approx(0.1)
    warm = TrainingSettings.of(lr=0.5, lr_warmup_steps=4)
    assert [learning_rate(s, 100, warm) for s in range(6)] == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    cosine = TrainingSettings.of(lr=1.0, lr_schedule="cosine", lr_warmup_steps=4)
    rates = [learning_rate(s, 100, cosine) for s in range(100)]
    assert rates[0] == pytest.approx(0.25, abs=0.01)
    assert all(a > b for a, b in itertools.pairwise(rates[4:]))
    assert 0.02 <= rates[-1] < 0.03
    for settings in (linear, cosine):  # by the share that is done, where the steps were revised
        assert learning_rate(30, 60, settings, 0.75) == pytest.approx(learning_rate(45, 60, settings))


class Poisoned(Numbers):
    """Batches that are no numbers from step 6 on."""

    def make(self, step: int) -> TrainingBatch:
        batch = super().make(step)
        return batch if step < 5 else TrainingBatch(batch.inputs * np.nan, batch.targets)


def test_a_loss_that_is_not_a_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    run = run_of(tmp_path, checkpoint_seconds=0.0)
    run.loader = Poisoned()  # type: ignore[assignment]
    with pytest.raises(Diverged, match="step 6") as caught:
        TrainingLoop(run, ignore_event, Stop()).train()
    assert caught.value.exit_status == 1
    kept = run_of(tmp_path)
    assert kept.load(ignore_event)
    assert kept.step == 5
    assert kept.model.is_finite()


def flip_a_bit(folder: Path) -> None:
    [file] = folder.glob("step-*.pt")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


DEEP = "[" * 100_000
DAMAGES: list[Callable[[Path], object]] = [
    flip_a_bit,
    lambda folder: save_checkpoint(folder, 4, {"step": 4, "run": print}),  # a function: torch refuses to load it
    lambda folder: (folder / "checkpoint.json").write_text(DEEP),
    lambda folder: (folder / "checkpoint.json").write_text("[]"),
]


def test_a_damaged_checkpoint_is_a_warning_and_a_miss(tmp_path: Path) -> None:
    for number, damage in enumerate(DAMAGES):
        folder = tmp_path / str(number)
        save_checkpoint(folder, 3, {"step": 3, "x": torch.ones(4)})
        assert load_checkpoint(folder, ignore_event) is not None
        damage(folder)
        heard: list[Any] = []
        assert load_checkpoint(folder, heard.append) is None, number
        assert [e.level for e in heard if isinstance(e, Note)] == ["warning"]


def test_norm_statistics_are_plain_averages_over_the_given_pictures() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Dropout(0.9), nn.BatchNorm2d(2)).train()
    batches = [torch.randn(1, 1, 8, 8) for _ in range(5)]
    net(torch.randn(4, 1, 8, 8) + 9)  # what was there before is forgotten
    reestimate(net, iter(batches))
    outputs = [net[0](b) for b in batches]  # dropout takes no part
    wanted = torch.stack([o.mean((0, 2, 3)) for o in outputs]).mean(0)
    assert torch.allclose(net[2].running_mean, wanted, atol=1e-6)
    assert not any(module.training for module in net.modules())
    assert net[2].momentum == 0.1


@pytest.fixture
def tables() -> dict[str, dict[str, Any]]:
    """Settings of a training."""
    return {k: dict(TINY[k]) for k in ("generator", "discriminator", "training")}


def test_the_same_training_gives_the_same_bytes_and_record(
    dataset: str, tmp_path: Path, tables: dict[str, dict[str, Any]]
) -> None:
    tables["training"] |= {"steps": 2}
    for name in ("a", "b"):
        api.train(dataset, f"{name}.safetensors", settings=tables, cache_dir=f"cache-{name}")
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    record = read_record(Path("a.safetensors"))
    assert record.size == 32
    assert record.pairing["name"] == "edges"
    assert record.training["steps"] == [2]
    assert set(record.training["held_out"]) == {"pairs", "l1", "psnr", "ssim", "sharpness"}
    assert str(tmp_path).encode() not in Path("a.safetensors").read_bytes()[:100_000]
    assert math.isfinite(record.training["held_out"]["psnr"])
    generator, _ = load_generator(Path("a.safetensors"))
    assert not generator.training
    assert Path("a.train/preview.png").is_file()
    assert len(Path("a.train/losses.csv").read_text().splitlines()) == 3
