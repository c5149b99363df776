"""What the executor ``ray`` makes of a cluster: which machines it takes, and what it does when one is lost."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import batch_jobs
import pretended_ray
import pytest
from pretended_ray import NODES, PretendedRay
from processes import states

from vidtrans.batch.batch_options import BatchOptions
from vidtrans.batch.executors import Task
from vidtrans.batch.executors import ray as on_ray
from vidtrans.batch.executors.ray import EventBoard, RayExecutor
from vidtrans.batch.inputs import Item
from vidtrans.batch.jobs import Outcome, run_batch
from vidtrans.core.errors import DeviceError, UsageError, VidtransError
from vidtrans.session import Context

RUN = "run_on_ray"


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> PretendedRay:
    return pretended_ray.pretend(monkeypatch)


def cluster(folder: Path, told: list[str] | None = None, device: str = "cpu") -> Context:
    report: list[str] = [] if told is None else told
    return Context(cache_dir=folder / "cache", device=device, report=lambda event: report.append(str(event)))


def run(folder: Path, *whats: str, told: list[str] | None = None) -> list[Outcome]:
    sources = [Path(f"{n} {what}") for n, what in enumerate(whats)]
    items = [Item(s, None, partial(batch_jobs.job, s, what)) for s, what in zip(sources, whats, strict=True)]
    return run_batch(items, "job", folder, BatchOptions(executor="ray"), cluster(folder, told))[0]


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("versions", r"it has torch 1\.0, and .* results would differ — install torch .* there"),
        ("processor", "it renders on ABACUS.*make a cluster of machines of one kind"),
        ("sees", "it does not see .*share the folder with all machines"),
    ],
)
def test_a_machine_that_would_make_other_bytes_is_refused_by_name(
    what: str, why: str, ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_node = on_ray.describe_node
    other = {"versions": {"torch": "1.0"}, "processor": "ABACUS", "sees": False}[what]

    def odd(*arguments: Any) -> dict[str, Any]:
        found = describe_node(*arguments)
        if ray.node == NODES[1]:
            found |= {"host": "oddity", what: found[what] | other if isinstance(other, dict) else other}
        return found

    monkeypatch.setattr(on_ray, "describe_node", odd)
    with pytest.raises(UsageError, match=f"oddity: {why}"):
        run(tmp_path, "good")
    assert not [name for name, _ in ray.ran if name == RUN]


def test_one_that_comes_later_is_refused_as_well(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_node = on_ray.describe_node

    def odd_when_it_runs(folder: str, marker: str, device: str) -> dict[str, Any]:
        found = describe_node(folder, marker, device)
        return found if marker else found | {"processor": "ABACUS"}  # a task names no marker

    monkeypatch.setattr(on_ray, "describe_node", odd_when_it_runs)
    outcome = run(tmp_path, "good")[0]
    assert (outcome.state, outcome.exit_status) == ("failed", 2)
    assert "ABACUS" in outcome.error


def test_a_task_that_took_too_much_memory_gets_a_machine_to_itself(ray: PretendedRay, tmp_path: Path) -> None:
    told: list[str] = []
    ray.lose = lambda name, node: ray.exceptions.OutOfMemoryError if name == RUN and len(asked()) == 1 else None
    asked = partial(ray.asked_cpus, RUN)
    assert states(run(tmp_path, "good", told=told)) == ["done"]
    assert any("ran out of memory; the next try gets a whole machine" in text for text in told)
    assert asked()[1] == 64.0 > asked()[0]
    assert [node for name, node in ray.ran if name == "describe_node"] == list(NODES)  # all machines are asked


def test_one_that_always_takes_too_much_is_named_and_a_machine_that_is_lost_costs_no_try(
    ray: PretendedRay, tmp_path: Path
) -> None:
    ray.lose = lambda name, node: ray.exceptions.NodeDiedError if name == RUN and len(ray.asked_cpus(RUN)) < 5 else None
    assert states(run(tmp_path, "good")) == ["done"]
    assert len(ray.asked_cpus(RUN)) == 5
    ray.lose = lambda name, node: ray.exceptions.OutOfMemoryError if name == RUN else None
    outcome = run(tmp_path, "good")[0]
    assert outcome.state == "failed"
    assert "perhaps out of memory" in outcome.error


def test_a_board_that_was_lost_hears_again_that_all_are_to_stop(ray: PretendedRay, tmp_path: Path) -> None:
    executor = RayExecutor(cluster(tmp_path), None, "")
    executor.submit(Task(0, "whole", partial(batch_jobs.job, Path("0 good"), "good")), lambda event: None)
    executor.stop(130)
    executor._board._actor = EventBoard()
    assert executor.receive(0) is not None
    assert executor._board._actor.exchange(1, []) == 130


def test_a_machine_that_does_not_answer_is_told(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait_in_vain(*arguments: Any, timeout: float) -> Any:
        raise ray.exceptions.GetTimeoutError

    monkeypatch.setattr(ray, "get", wait_in_vain)
    with pytest.raises(VidtransError, match="did not answer in 120 s"):
        RayExecutor(cluster(tmp_path), None, "")


def test_one_kind_of_device_is_chosen_for_all(
    ray: PretendedRay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DeviceError, match="no machine of the cluster has a GPU"):
        RayExecutor(cluster(tmp_path, device="cuda"), None, "")
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 128.0, "GPU": 1.0})
    resources = [{"CPU": 64.0, "GPU": float(n)} for n in range(len(NODES))]
    nodes = [{"NodeID": n, "Alive": True, "Resources": has} for n, has in zip(NODES, resources, strict=True)]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    executor = RayExecutor(cluster(tmp_path), None, "")
    assert executor.device_kind == "cpu"
    assert [node["NodeID"] for node in executor._nodes()] == list(NODES)
    assert executor._device_kind("auto") == "cuda"
