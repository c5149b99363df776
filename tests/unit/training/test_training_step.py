"""One step of training: every objective learns, parts add up to the whole, and all that it changes is kept."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from chain import TINY, quick_training
from made_models import make_model
from torch import Tensor, nn
from torch.nn import functional as F

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.core.events import Note, Stop, ignore_event
from vidtrans.data.loading import PictureGrowth, PictureScale, TrainingBatch
from vidtrans.inference.device import Device, Precision
from vidtrans.models.model_file import load_generator, read_record
from vidtrans.training import ADVERSARIAL, health
from vidtrans.training.loop import TrainingLoop, TrainingState
from vidtrans.training.losses.rarity import weigh
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.network_trainer import WeightAverage, resolve_precisions
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.settings import TrainingSettings

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Device("cpu", "cpu")
# Everything that a step can do at once.
ALL: dict[str, Any] = {
    "lambda_l2": 5.0,
    "lambda_feature_matching": 10.0,
    "lambda_perceptual": 1.0,
    "colour_rebalancing": True,
    "grad_accum_steps": 2,
    "ema_decay": 0.9,
    "freeze": ("first",),
    "batch_size": 3,
}


class Generator(nn.Module):
    def __init__(self, dropout: float = 0.0, norm: bool = False) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 8, 3, 1, 1), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU())
        self.drop = nn.Dropout(dropout)
        self.last = nn.Conv2d(8, 3, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.last(self.drop(self.first(x))))


class Discriminator(nn.Module):
    def __init__(self, norm: bool = False) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(4, 8, 4, 2, 1) for _ in range(2))
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) if norm else nn.Identity() for _ in range(2))
        self.logits = nn.ModuleList(nn.Conv2d(8, 1, 3, 1, 1) for _ in range(2))

    def judge(self, x: Tensor) -> list[list[Tensor]]:
        judged = []
        for layer, norm, logits in zip(self.layers, self.norms, self.logits, strict=True):
            features = F.leaky_relu(norm(layer(x)), 0.2)
            judged.append([features, logits(features)])
            x = F.avg_pool2d(x, 2)
        return judged


def model(
    *, dropout: float = 0.0, norm: bool = False, precision: Any = "fp32", seed: int = 0, **settings: Any
) -> Pix2Pix:
    torch.manual_seed(seed)
    g = Generator(dropout, norm)
    d = Discriminator(norm) if settings.get("lambda_gan", 1.0) else None
    rarity = torch.rand(23, 23) + 0.5 if settings.get("colour_rebalancing") else None
    return Pix2Pix(g, d, TrainingSettings.of(**settings), CPU, precision, rarity)


class Pictures:
    """Batches that are made up: colours of a grey picture."""

    crop = (16, 16)
    growth = PictureGrowth((PictureScale((16, 16)),))

    def make(self, step: int, count: int = 3) -> TrainingBatch:
        x = np.random.default_rng(step).uniform(-1, 1, (count, 1, 16, 16)).astype(np.float32)
        return TrainingBatch(x, np.concatenate([x, -x, x * x], 1))

    def stream(self, first: int, stop: int) -> Any:
        return (self.make(s) for s in range(first, stop))


def batch(count: int, step: int = 0) -> tuple[Tensor, Tensor]:
    made = Pictures().make(step, count)
    return torch.from_numpy(made.inputs), torch.from_numpy(made.targets)


def steps(of: Pix2Pix, count: int) -> list[list[float]]:
    rows = (of.optimize(TrainingStep(*batch(of.settings.batch_size, s), lr=2e-3, seed=s)) for s in range(count))
    return [list(row.values()) for row in rows]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_defaults_are_the_plain_loop_to_the_bit(precision: Precision) -> None:
    learner = model(dropout=0.5, norm=True, precision=precision)
    g, d = copy.deepcopy(learner.generator).train(), copy.deepcopy(learner.discriminator)
    assert d is not None
    adam_g, adam_d = (torch.optim.Adam(n.parameters(), lr=2e-3, betas=(0.5, 0.999), fused=True) for n in (g, d))
    bce = nn.BCEWithLogitsLoss()

    def judged(*pairs: Tensor) -> list[list[Tensor]]:
        # In one context: D's weights are rounded once, and their gradients summed as they are.
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return [[scale[-1].float() for scale in d.judge(pair)] for pair in pairs]  # type: ignore[operator]

    def against(logits: list[Tensor], wanted: float) -> Tensor:
        return torch.stack([bce(one, torch.full_like(one, wanted)) for one in logits]).mean()

    def both(fake: list[Tensor], real: list[Tensor]) -> Tensor:
        scales = [0.5 * (bce(a, a * 0) + bce(b, b * 0 + 1)) for a, b in zip(fake, real, strict=True)]
        return torch.stack(scales).mean()

    for step in range(3):
        x, y = batch(1, step)
        torch.manual_seed(step)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            fake = g(x)
        fake = fake.float()
        d.requires_grad_(True)
        loss_d = both(*judged(torch.cat([x, fake.detach()], 1), torch.cat([x, y], 1)))
        adam_d.zero_grad()
        loss_d.backward()
        adam_d.step()
        d.requires_grad_(False)
        gan, l1 = against(judged(torch.cat([x, fake], 1))[0], 1.0), F.l1_loss(fake, y)
        adam_g.zero_grad()
        (gan + 100 * l1).backward()
        adam_g.step()
        row = {"gan": gan.item(), "l1": l1.item(), "discriminator": loss_d.item()}
        assert learner.optimize(TrainingStep(x, y, lr=2e-3, seed=step)) == row
    for mine, its in ((learner.generator, g), (learner.networks["discriminator"], d)):
        assert all(map(torch.equal, mine.state_dict().values(), its.state_dict().values()))


@pytest.mark.parametrize(("name", "parts"), list(zip(ADVERSARIAL, (2, 3, 5), strict=True)))
def test_parts_of_a_batch_give_the_gradient_of_the_whole(name: str, parts: int) -> None:
    more = {"lambda_feature_matching": 10.0, "lambda_l2": 1.0, "colour_rebalancing": True}
    whole, apart = (model(gan_mode=name, batch_size=5, grad_accum_steps=count, **more) for count in (1, parts))
    rows = [m.optimize(TrainingStep(*batch(5), lr=1e-3, seed=0)) for m in (whole, apart)]
    assert rows[1] == pytest.approx(rows[0], rel=1e-5)
    for p, q in zip(whole.generator.parameters(), apart.generator.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-4, atol=1e-5)
    judges = (m.networks["discriminator"].parameters() for m in (whole, apart))
    for p, q in zip(*judges, strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-4)


def run_of(folder: Path, total: int, **settings: Any) -> TrainingState:
    return TrainingState(
        folder, model(dropout=0.5, norm=True, checkpoint_seconds=0.0, **settings), Pictures(), 0, [total]
    )


def states(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [x for k, v in value.items() for x in (k, *states(v))]
    return [x for v in value for x in states(v)] if isinstance(value, list | tuple) else [value]


@pytest.mark.parametrize(("name", "precision"), list(zip(ADVERSARIAL, ("fp32", "bf16", "fp16"), strict=True)))
def test_killed_at_any_step_and_resumed_it_is_the_same_bytes(name: str, precision: Precision, tmp_path: Path) -> None:
    total, at = 6, random.Random(f"{name} {precision}").randrange(1, 6)
    options = ALL | {"gan_mode": name, "precision": precision}
    whole, killed, resumed = (run_of(tmp_path / folder, total, **options) for folder in ("whole", "killed", "killed"))
    TrainingLoop(whole, ignore_event, Stop()).train()
    with pytest.raises(ZeroDivisionError):  # the checkpoint of step at − 1 is the last one that is whole
        TrainingLoop(killed, ignore_event, Stop(), milestones=lambda _: {at: [lambda: 1 / 0]}).train()
    assert resumed.load(ignore_event) == (at > 1)
    assert resumed.step == at - 1
    TrainingLoop(resumed, ignore_event, Stop()).train()
    for one, other in zip(states(whole.model.state()), states(resumed.model.state()), strict=True):
        assert torch.equal(one, other) if isinstance(one, Tensor) else one == other
    assert np.array_equal(np.float32(resumed.rows), np.float32(whole.rows))
    assert whole.losses_csv() == resumed.losses_csv()
    names = "generator_gan,generator_l1,discriminator,generator_l2,generator_feature_matching,generator_perceptual"
    assert whole.losses_csv().splitlines()[0] == f"step,{names}".encode()


def test_the_average_follows_the_weights_and_takes_the_statistics_as_they_are() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1, affine=False))
    weight: Any = network[0].weight
    nn.init.constant_(weight, 1.0)
    average = WeightAverage(network, 0.2)
    values = []
    for value in (2.0, 3.0, 4.0):
        nn.init.constant_(weight, value)
        average.update()
        values.append(average.network[0].weight.item())  # type: ignore[index]
    first = 0.1 * 1 + 0.9 * 2  # (1 + n) / (10 + n) as long as it is the smaller
    second = 2 / 11 * first + 9 / 11 * 3
    assert values == pytest.approx([first, second, 0.2 * second + 0.8 * 4])
    network(torch.randn(8, 1))
    average.update()
    assert torch.equal(average.network[1].running_mean, network[1].running_mean)  # type: ignore[index]


def test_a_step_is_taken_in_training_mode_in_the_memory_layout_of_the_settings() -> None:
    learner = model(norm=True, batch_size=2, channels_last=True)
    networks = [network.eval() for network in learner.networks.values()]
    steps(learner, 2)
    assert learner.layout == torch.channels_last
    modules = [module for network in networks for module in network.modules()]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    assert all(c.weight.is_contiguous(memory_format=learner.layout) for c in convolutions)
    assert all(module.num_batches_tracked for module in modules if isinstance(module, nn.BatchNorm2d))


def test_weights_of_motion_and_of_rare_colours_multiply() -> None:
    x, y = batch(3)
    weights = torch.rand(3, 1, 16, 16) + 0.5
    for rebalance in (True, False):
        learner = model(colour_rebalancing=rebalance, lambda_gan=0.0)
        rare = weigh(y, learner.rarity) if learner.rarity is not None else torch.ones(1)
        with torch.no_grad():
            wanted = (weights * rare * (learner.generator(x) - y).abs()).mean()
        assert learner.optimize(TrainingStep(x, y, lr=0.0, seed=0, weights=weights))["l1"] == pytest.approx(
            float(wanted), rel=1e-5
        )


def test_frozen_parts_keep_their_weights_and_the_rest_learns() -> None:
    learner = model(freeze=("first.0",))
    before = copy.deepcopy(learner.generator.state_dict())
    steps(learner, 3)
    after = learner.generator.state_dict()
    assert {k for k in before if not torch.equal(before[k], after[k])} == {"last.weight", "last.bias"}
    with pytest.raises(UsageError, match="did you mean 'first'") as caught:
        model(freeze=("frist",))
    assert "first.0" in str(caught.value)
    with pytest.raises(UsageError, match="no part of the generator is left to train"):
        model(freeze=("first", "last"))


def test_fp16_skips_a_step_whose_gradients_overflow_and_remembers_the_scale() -> None:
    assert not any(model(precision=precision).g.scaler.is_enabled() for precision in ("fp32", "bf16"))
    learner, other = (model(precision="fp16", lambda_l1=1e6, seed=seed) for seed in (0, 1))
    scale, before = learner.g.scaler.get_scale(), copy.deepcopy(learner.generator.state_dict())
    steps(learner, 1)
    assert all(torch.equal(v, before[k]) for k, v in learner.generator.state_dict().items())
    assert learner.g.scaler.get_scale() == scale / 2
    other.restore(copy.deepcopy(learner.state()))
    assert other.g.scaler.get_scale() == scale / 2


def test_fp16_and_tf32_are_for_cuda() -> None:
    for precision, why in (("fp16", "choose auto or bf16"), ("tf32", "needs CUDA")):
        with pytest.raises(UsageError, match=why):
            resolve_precisions(precision, CPU)
    assert resolve_precisions("bf16", CPU) == ("bf16", "bf16")
    assert resolve_precisions("tf32", Device("cuda", "cuda")) == ("tf32", "fp32")


def test_a_discriminator_that_has_won_is_said_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WINDOW", 10), ("CHECK_INTERVAL", 5), ("MAX_WINNING_LOSS", 100.0)):
        monkeypatch.setattr(health, name, value)
    run = TrainingState(tmp_path, model(checkpoint_seconds=1e9, batch_size=3), Pictures(), 0, [25])
    heard: list[Any] = []
    TrainingLoop(run, heard.append, Stop()).train()
    [warning] = [e for e in heard if isinstance(e, Note)]
    assert warning.level == "warning"
    assert warning.text.startswith("step 10: the discriminator has won")
    assert [(step, text.partition(":")[0]) for step, text in run.warnings] == [(10, "the discriminator has won")]


def test_a_model_is_fine_tuned_with_all_of_it(clip: Path) -> None:
    api.make_dataset(clip, pairing="edges", settings=TINY)
    tables = quick_training()
    make_model("first.safetensors", "edges", {"gradient_channel": True})
    more = {k: v for k, v in ALL.items() if k != "batch_size"} | {"freeze": ["stem"], "gan_mode": "hinge"}
    tables["training"] = tables["training"] | more
    with pytest.raises(UsageError, match="give --from MODEL"):
        api.train("clip.dataset", "second.safetensors", settings=tables)
    api.train("clip.dataset", "second.safetensors", settings=tables, start_from="first.safetensors")
    first, second = (load_generator(Path(f"{n}.safetensors"))[0].state_dict() for n in ("first", "second"))
    kept = {name for name in first if torch.equal(first[name], second[name])}
    assert "stem.0.weight" in kept
    assert "down.0.0.0.weight" not in kept
    record = read_record(Path("second.safetensors")).training
    assert record["settings"]["freeze"] == ["stem"]
    assert set(record["losses"]) == {"gan", "l1", "discriminator", "l2", "feature_matching", "perceptual"}
    assert Path("second.train/losses.csv").read_text().startswith("step,generator_gan,generator_l1,discriminator,")
