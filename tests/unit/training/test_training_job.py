"""A training job: which methods, settings and datasets suit each other, its key; and several processes, on a CPU."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from chain import TINY
from datasets import make_dataset, make_domains
from extractors import TINY_UNET, network
from processes import rank_variables, ranks
from torch import nn

from vidtrans.config.recipe import make_recipe
from vidtrans.core.errors import DeviceError, Interrupted, UsageError
from vidtrans.core.events import Stop, ignore_event
from vidtrans.data.dataset import open_dataset
from vidtrans.data.loading import UnpairedLoader
from vidtrans.models.model_file import load_generator, save_model
from vidtrans.networks.init import build_generator
from vidtrans.session import Context
from vidtrans.training import trials
from vidtrans.training.batch_upload import upload
from vidtrans.training.distributed import DistContext, distributed_context
from vidtrans.training.loop import TrainingLoop
from vidtrans.training.methods.base import TrainingStep
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.set_up import TrainingSetup, check_method, start_with
from vidtrans.training.settings import TrainingSettings


class Newest(Pix2Pix):
    """Learns the newest frame of the other domain by heart, whatever is in the input."""

    unpaired = True

    @staticmethod
    def num_frames(settings: TrainingSettings) -> int:
        return 2

    def optimize(self, step: TrainingStep) -> dict[str, float]:
        assert step.inputs.shape[1] == step.targets.shape[1] == 6
        return super().optimize(replace(step, inputs=step.inputs[:, :3], targets=step.targets[:, :3]))


def job(folder: Path, picture_size: tuple[int, int] | None = None, **settings: Any) -> TrainingSetup:
    tables = {k: TINY[k] for k in ("generator", "discriminator")}
    recipe = make_recipe(None, None, tables | {"training": {"batch_size": 2, "crop_size": 32, **settings}})
    context = Context(cache_dir=folder.parent / "cache", device="cpu")
    made = recipe.settings("training", TrainingSettings)
    return TrainingSetup(open_dataset(folder), recipe, made, None, context, picture_size)


@pytest.fixture
def domains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(TrainingSetup, "method", property(lambda self: Newest))
    return make_domains(tmp_path / "d.dataset", (9, 7), ((48, 40), (40, 48)))


def test_a_method_learns_from_batches_of_domains_and_resumes_to_the_same_bytes(domains: Path, tmp_path: Path) -> None:
    made = job(domains)
    assert [p.domain for p in made.pairs] == [0] * 9  # the frames that its generator sees
    assert made.summary(Path("m.safetensors"), 1)["pairs"] == 9
    whole, stopped, resumed = (job(domains).make_state(tmp_path / name, 6) for name in ("whole", "stopped", "stopped"))
    assert isinstance(whole.loader, UnpairedLoader)
    assert whole.loader.crop == (32, 32)
    assert whole.picture_channels == 6  # that take noise
    batch = whole.loader.make(2)
    assert batch.inputs.shape[1:] == (6, 32, 32)  # two frames
    uploaded = upload(batch, made.device)
    for planes, tensor in ((batch.inputs, uploaded.inputs), (batch.targets, uploaded.targets)):
        assert torch.equal(tensor, torch.from_numpy(planes).float() / 127.5 - 1)
    TrainingLoop(whole, ignore_event, Stop()).train()
    stop = Stop()
    with pytest.raises(Interrupted):
        TrainingLoop(stopped, ignore_event, stop, milestones=lambda _: {3: [lambda: stop.request(130)]}).train()
    assert resumed.load(ignore_event)
    assert resumed.step == 3
    TrainingLoop(resumed, ignore_event, Stop()).train()
    first, second = (run.model.networks["generator"].state_dict() for run in (whole, resumed))
    assert whole.step == resumed.step == 6
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_wrong_operators_are_warned_of_once_where_memory_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Any] = [DeviceError("cpu", "out of memory", "use less"), ["mm on 4×4"], ["mm on 4×4"]]

    def remembered(question: Any, device: Any, find: Any) -> Any:
        answer = found.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(trials, "cached_check", remembered)
    notes: list[Any] = []
    made = job(make_dataset(tmp_path / "d", "edges"), precision="bf16")
    made.context = replace(made.context, report=notes.append)
    assert trials.wrong_operators(made) == []
    assert notes == []
    for _ in range(2):
        assert trials.wrong_operators(made) == ["mm on 4×4"]
    assert [note.level for note in notes] == ["warning"]
    stages = [made.stage(2, "dataset", exact, fresh=False) for exact in ([], ["mm on 4×4"])]
    assert ["exact" in stage.engine for stage in stages] == [False, True]
    made.precision = "fp32"
    assert trials.wrong_operators(made) == []  # nothing is asked
    assert found == []


def test_methods_and_datasets_that_do_not_suit_each_other_are_refused(tmp_path: Path) -> None:
    unpaired, paired = make_domains(tmp_path / "u"), make_dataset(tmp_path / "p", "edges")
    why = r"training\.method=pix2pix: it learns from pairs, .*domain0, domain1.*unpaired"
    with pytest.raises(UsageError, match=why):
        job(unpaired)
    plain = TrainingSettings.of()
    with pytest.raises(UsageError, match=r"without pairs, and this dataset has pairs \('edges'\) — .*--unpaired"):
        check_method(Newest, plain, open_dataset(paired))
    check_method(Newest, plain, open_dataset(unpaired))
    check_method(Pix2Pix, plain, open_dataset(paired))
    with pytest.raises(UsageError, match="pairing 'edges' does not feed outputs back as inputs"):
        job(paired, rollout_fraction=0.5).make_state(tmp_path, 1)
    for name, pairing, value in (("recurrent", "edges", True), ("rollout_fraction", "next-frame", 0.5)):
        alone = job(make_dataset(tmp_path / name, pairing), **{name: value})
        alone.dist = DistContext(0, 2)
        why = rf"training\.{name}: .* — train in one process, or with --set training\.{name}="
        with pytest.raises(UsageError, match=why):
            alone.make_state(tmp_path, 1)


def test_settings_that_go_by_targets_are_refused_without_pairs(domains: Path) -> None:
    for name in ("background_plate", "motion_weight", "colour_rebalancing", "rollout_fraction"):
        value = True if name in ("background_plate", "colour_rebalancing") else 0.5
        with pytest.raises(UsageError, match=rf"training\.{name}: it needs a target for each frame"):
            job(domains, **{name: value})
    recurrent = job(domains, recurrent=True)
    assert recurrent.make_state(Path(), 1).rollouts is None  # it feeds back its outputs itself


def test_another_version_of_rollouts_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_dataset(tmp_path / "d", "next-frame")

    def keys() -> list[str]:
        own = {"rollout_fraction": 0.5}, {"input_noise": 0.05}, {}
        return [job(folder, precision="fp32", **settings).stage(2, "dataset", [], fresh=False).key for settings in own]

    before = keys()
    assert len(set(before)) == 3
    monkeypatch.setattr("vidtrans.training.settings.ROLLOUT_VERSION", 99)
    assert [a == b for a, b in zip(before, keys(), strict=True)] == [False, False, True]


@pytest.mark.parametrize(
    ("generator", "ports", "says"),
    [(TINY_UNET, {"in_channels": 1, "invert": True}, "order of colours"), ("style-net", {}, "rendered, not trained")],
)
def test_a_network_of_another_tool_is_refused_in_one_line(generator: Any, ports: dict[str, Any], says: str) -> None:
    """Its weights alone would start from pictures that it never saw: lines in the negative, say."""
    table = TINY_UNET if generator is TINY_UNET else {"name": generator, "settings": {"channels": 4, "blocks": 1}}
    plain, path = network(Path("plain.safetensors")), Path("theirs.safetensors")
    record = replace(load_generator(plain)[1], generator=table, ports=ports, origin={"family": "theirs"})
    channels = record.in_channels
    save_model(path, build_generator(table["name"], table["settings"], channels, ports=ports), record)
    ours = build_generator(TINY_UNET["name"], TINY_UNET["settings"], channels)
    with pytest.raises(UsageError, match=says):
        start_with(ours, path, TINY_UNET["name"], TINY_UNET["settings"], channels)


PROGRAM = """
import os, sys, torch
from torch import nn
from vidtrans.inference.device import Device
from vidtrans.networks.init import build_discriminator, initialise
from vidtrans.training.distributed import distributed_context
from vidtrans.training.losses.base import TRIPLE_CHANNELS, PrecedingFrames
from vidtrans.training.methods.network_trainer import DiscriminatorTrainer
from vidtrans.training.settings import TrainingSettings

torch.manual_seed(1)
x, y = torch.rand(4, 3, 12, 12), torch.rand(4, 3, 8, 8)
outputs, targets = torch.rand(6, 3, 16, 16), torch.rand(6, 3, 16, 16)
with distributed_context() as dist:
    # Triples of frames, which not every process has in a step.
    judge = build_discriminator("patchgan", {"num_layers": 1, "channels": 8, "norm": "none"}, TRIPLE_CHANNELS)
    initialise(judge, 0)
    settings = TrainingSettings.of(recurrent=True, lambda_temporal_gan=1.0)
    gan = DiscriminatorTrainer(judge, settings, Device("cpu", "cpu"), "fp32", dist)
    own = dist.share(6)
    for rows in ([0, 1, 2], [1, 4, 5], [3, 5]):  # the first process alone has any, both have, the other
        painted, real = torch.rand(len(rows), 6, 16, 16), torch.rand(len(rows), 6, 16, 16)
        earlier = PrecedingFrames(torch.tensor(rows), painted, real)
        mine = earlier.select(own.start, own.stop, num_triples=1)
        count = dist.mean([float(len(mine.rows)) if mine else 0.0])[0]
        mine = earlier.select(own.start, own.stop, num_triples=count)
        fake, real = outputs[own.start:own.stop], targets[own.start:own.stop]
        shown = [(mine.fake(fake), mine.real(real), mine.share)] if mine else []
        loss_d_v = dist.mean([gan.update(shown, 1e-3).item()])[0]
    torch.manual_seed(2)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(5):
        own = slice(dist.share(4).start, dist.share(4).stop)
        loss = (model(x[own]) - y[own]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        dist.average_gradients(model)
        optimizer.step()
    found = {"weights": model.state_dict() | judge.state_dict(), "losses": [dist.mean([loss.item()])[0], loss_d_v]}
    torch.save(found, f"{dist.rank}-of-{dist.size}.pt")
    dist.barrier()
if sys.platform == "linux":  # threads that outlive the group may abort the process when it ends
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/comm") as name:
            assert "gloo" not in name.read()
"""


def test_two_processes_learn_what_one_does() -> None:
    processes = ranks(2, "-c", PROGRAM)
    exec(PROGRAM, {})
    assert [process.wait() for process in processes] == [0, 0], [process.said() for process in processes]
    first, second, alone = (torch.load(f"{name}.pt", weights_only=True) for name in ("0-of-2", "1-of-2", "0-of-1"))
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(first["weights"][name], weight, atol=1e-5, rtol=1e-4)
        assert torch.equal(first["weights"][name], second["weights"][name])
    assert first["losses"] == second["losses"] == pytest.approx(alone["losses"], rel=1e-4)


def together(work: Callable[[DistContext], Any], count: int = 2) -> list[Any]:
    """What ``work`` returns in each of several processes, copies of this one."""
    variables = rank_variables(count)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()

    def one(rank: int) -> None:
        os.environ.update(variables[rank])
        with distributed_context() as dist:
            results.put((rank, work(dist)))
            dist.barrier()
        os._exit(0)

    processes = [context.Process(target=one, args=(rank,)) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * count
    return [value for _, value in sorted(results.get() for _ in processes)]


def test_processes_exchange_means_flags_gradients_and_what_the_first_says_and_wait(tmp_path: Path) -> None:
    """Gradients become their mean, and none counts as zero."""
    network = nn.ModuleList([nn.Linear(2, 3, bias=False), nn.Linear(1, 2), nn.Linear(1, 1)])
    network[2].requires_grad_(False)

    def work(dist: DistContext) -> Any:
        network[0].weight.grad = torch.arange(6.0).reshape(3, 2) * (1 + 2 * dist.rank)
        if dist.rank:
            network[1].bias.grad = torch.tensor([3.0, -1.0])
        dist.average_gradients(network)
        gradients = [None if p.grad is None else p.grad.tolist() for p in network.parameters()]
        flags = [dist.any(dist.rank == 1), dist.any(False), dist.any(True)]
        said = dist.broadcast(f"of {dist.rank}")
        found = (dist.rank, dist.size, dist.is_main, dist.mean([0.1 + dist.rank, 7]), flags, said)
        if dist.rank:
            time.sleep(0.1)
            (tmp_path / "come").touch()
        dist.barrier()
        return (*found, (tmp_path / "come").exists(), gradients)

    exact = [(0.1 + 1.1) / 2, 7.0]
    mean = [(torch.arange(6.0).reshape(3, 2) * 2).tolist(), [[0.0], [0.0]], [1.5, -0.5], None, None]
    wanted = [(rank, 2, rank == 0, exact, [True, False, True], "of 0", True, mean) for rank in (0, 1)]
    assert together(work) == wanted


def test_each_process_of_several_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    second, alone = DistContext(1, 2), DistContext(0, 1)
    wanted = {"auto": "cuda:1", "cuda": "cuda:1", "cpu": "cpu", "cuda:0": "cuda:0"}
    assert {name: second.device(name) for name in wanted} == wanted
    assert (alone.device("auto"), DistContext(0, 2).device("auto")) == ("auto", "cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "1")  # its number on this machine
    assert DistContext(5, 8).device("cuda") == "cuda:1"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    for rank in range(2):  # both refuse: neither waits for the other
        with pytest.raises(DeviceError, match="2 processes on this machine: it has 1 CUDA device"):
            DistContext(rank, 2).device("auto")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert second.device("auto") == "auto"


def test_one_alone_needs_no_launcher_and_half_an_environment_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "RANK"):
        monkeypatch.delenv(name, raising=False)
    with distributed_context() as dist:
        assert (dist.is_main, dist.mean([2.0]), dist.any(True), dist.any(False)) == (True, [2.0], True, False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="torchrun"), distributed_context():
        pass


def test_what_cannot_be_dealt_out_is_said() -> None:
    with pytest.raises(UsageError, match=r"training\.batch_size=6"):
        DistContext(0, 3).share(4)
