"""Training in several processes: what they exchange, on a CPU."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from processes import rank_variables, ranks
from torch import nn

from vidtrans.core.errors import DeviceError, UsageError
from vidtrans.training.device.distributed import DistContext, distributed_context

PROGRAM = """
import os, sys, torch
from torch import nn
from vidtrans.inference.device import Device
from vidtrans.networks.init import build_discriminator, initialise
from vidtrans.training.device.distributed import distributed_context
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
        mine = earlier.within(own.start, own.stop, of=1)
        count = dist.mean([float(len(mine.rows)) if mine else 0.0])[0]
        mine = earlier.within(own.start, own.stop, of=count)
        fake, real = outputs[own.start:own.stop], targets[own.start:own.stop]
        shown = [(mine.fake(fake), mine.real(real), mine.share)] if mine else []
        of_triples = dist.mean([gan.update(shown, 1e-3).item()])[0]
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
    found = {"weights": model.state_dict() | judge.state_dict(), "losses": [dist.mean([loss.item()])[0], of_triples]}
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


def test_processes_exchange_means_flags_gradients_and_what_the_first_says_and_wait_for_each_other(
    tmp_path: Path,
) -> None:
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
