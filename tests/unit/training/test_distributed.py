"""Training in several processes: what they exchange, on a CPU."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from chain import TINY
from clips import moving_frames, write_clip
from hypothesis import given
from hypothesis import strategies as st
from processes import Started, rank_variables, ranks
from torch import nn

import vidtrans as api
from vidtrans.config.recipe import make_recipe
from vidtrans.data.dataset import open_dataset
from vidtrans.errors import UsageError
from vidtrans.session import Context
from vidtrans.training.distributed import DistContext, distributed_context
from vidtrans.training.settings import TrainingSettings
from vidtrans.training.training_job import TrainingJob

PROGRAM = """
import os, sys, torch
from torch import nn
from vidtrans.training.distributed import distributed_context

def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3))

torch.manual_seed(1)
x, y = torch.rand(4, 3, 12, 12), torch.rand(4, 3, 8, 8)
with distributed_context() as dist:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(5):
        own = slice(dist.share(4).start, dist.share(4).stop)
        loss = (model(x[own]) - y[own]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        dist.average_gradients(model)
        optimizer.step()
    found = {"weights": model.state_dict(), "loss": dist.mean([loss.item()])[0]}
    found["any"] = [dist.any(dist.rank == 1), dist.any(False)]
    torch.save(found, f"{sys.argv[1]}-{dist.rank}-of-{dist.size}.pt")
    dist.barrier()
if sys.platform == "linux":  # threads that outlive the group may abort the process when it ends
    names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
    assert not [name for name in names if "gloo" in name], names
"""


def taught(folder: Path, count: int) -> list[dict[str, object]]:
    """What each of the processes has in the end."""
    words = ("-c", PROGRAM, folder / "made")
    processes = ranks(count, *words) if count > 1 else [Started(*words)]
    assert [process.wait(120) for process in processes] == [0] * count, [process.said() for process in processes]
    return [torch.load(folder / f"made-{i}-of-{count}.pt", weights_only=True) for i in range(count)]


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    first, second = taught(tmp_path, 2)
    (alone,) = taught(tmp_path, 1)
    for name, weight in alone["weights"].items():  # type: ignore[attr-defined]
        torch.testing.assert_close(first["weights"][name], weight, atol=1e-5, rtol=1e-4)  # type: ignore[index]
        assert torch.equal(first["weights"][name], second["weights"][name])  # type: ignore[index]
    assert first["loss"] == second["loss"] == pytest.approx(alone["loss"], rel=1e-4)
    assert first["any"] == [True, False]
    assert alone["any"] == [False, False]


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


def test_processes_exchange_means_flags_and_what_the_first_says() -> None:
    def work(dist: DistContext) -> Any:
        flags = [dist.any(dist.rank == 1), dist.any(False), dist.any(True)]
        return (
            dist.rank,
            dist.size,
            dist.is_main,
            dist.mean([0.1 + dist.rank, 7]),
            flags,
            dist.broadcast(f"of {dist.rank}"),
        )

    exact = [(0.1 + 1.1) / 2, 7.0]
    found = together(work)
    assert found == [(rank, 2, rank == 0, exact, [True, False, True], "of 0") for rank in (0, 1)]


def test_gradients_become_their_mean_and_none_counts_as_zero() -> None:
    network = nn.ModuleList([nn.Linear(2, 3, bias=False), nn.Linear(1, 2), nn.Linear(1, 1)])
    network[2].requires_grad_(False)

    def work(dist: DistContext) -> Any:
        network[0].weight.grad = torch.arange(6.0).reshape(3, 2) * (1 + 2 * dist.rank)
        if dist.rank:
            network[1].bias.grad = torch.tensor([3.0, -1.0])
        dist.average_gradients(network)
        return [None if p.grad is None else p.grad.tolist() for p in network.parameters()]

    wanted = [(torch.arange(6.0).reshape(3, 2) * 2).tolist(), [[0.0], [0.0]], [1.5, -0.5], None, None]
    assert together(work) == [wanted, wanted]


def test_whoever_waits_goes_on_when_all_have_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def work(dist: DistContext) -> Any:
        if dist.rank:
            time.sleep(0.1)
            (tmp_path / "come").touch()
        dist.barrier()
        return (tmp_path / "come").exists()

    assert together(work) == [True, True]


@pytest.mark.parametrize(
    ("dist", "wanted", "has_gpus", "found"),
    [
        (DistContext(1, 2), "auto", True, "cuda:1"),
        (DistContext(1, 2), "cuda", True, "cuda:1"),
        (DistContext(1, 2), "cpu", True, "cpu"),
        (DistContext(1, 2), "cuda:0", True, "cuda:0"),
        (DistContext(1, 2), "auto", False, "auto"),
        (DistContext(0, 1), "auto", True, "auto"),
        (DistContext(0, 2), "auto", True, "cuda:0"),
    ],
)
def test_each_process_of_several_has_a_gpu_of_its_own(
    dist: DistContext, wanted: str, has_gpus: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpus)
    assert dist.device(wanted) == found


def test_the_gpu_is_that_of_the_number_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert DistContext(5, 8).device("cuda") == "cuda:1"


@given(st.integers(1, 8), st.integers(1, 8))
def test_every_pair_of_a_batch_is_somebodys(size: int, each: int) -> None:
    dealt = [i for rank in range(size) for i in DistContext(rank, size).share(size * each)]
    assert dealt == list(range(size * each))


def test_what_cannot_be_dealt_out_is_said() -> None:
    with pytest.raises(UsageError, match=r"training\.batch_size=6"):
        DistContext(0, 3).share(4)


def test_one_alone_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed_context() as dist:
        assert (dist.is_main, dist.mean([2.0]), dist.any(True)) == (True, [2.0], True)


def test_half_an_environment_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(UsageError, match="torchrun"), distributed_context():
        pass


@pytest.mark.parametrize("name", ["recurrent", "rollout_fraction"])
def test_what_is_kept_in_one_process_is_refused_in_several_by_its_own_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", moving_frames(20))
    pairing = "next-frame" if name == "rollout_fraction" else "edges"
    api.make_dataset(clip, tmp_path / "d.dataset", pairing=pairing, settings=TINY, cache_dir=tmp_path / "cache")
    value = {"recurrent": True, "rollout_fraction": 0.5}[name]
    tables = {k: TINY[k] for k in ("generator", "discriminator")} | {"training": {name: value}}
    recipe = make_recipe(None, None, tables)
    settings = recipe.settings("training", TrainingSettings)
    context = Context(cache_dir=tmp_path / "cache")
    job = TrainingJob(open_dataset(tmp_path / "d.dataset"), recipe, settings, None, context)
    monkeypatch.setattr(job, "dist", SimpleNamespace(size=2, share=lambda batch: range(batch)))
    with pytest.raises(
        UsageError, match=rf"training\.{name}: .* — train in one process, or with --set training\.{name}="
    ):
        job.make_run(tmp_path, 1)
