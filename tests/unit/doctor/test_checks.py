"""Every check of the self-test passes what is right, and reports what is broken on purpose."""

from __future__ import annotations

import errno
import itertools
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from faulty_processor import FaultyProcessor
from torch import nn

from vidtrans.core.errors import UsageError
from vidtrans.core.registry import Entry
from vidtrans.core.settings import Table
from vidtrans.doctor import Finding, self_test
from vidtrans.doctor.self_test import CHECKS, SelfTest, SelfTestScale, SelfTestSubject, Verdict, cuda_figures, psnr
from vidtrans.flow import FLOWS, FlowEntry
from vidtrans.flow.estimator import DISFast
from vidtrans.inference import ENGINES, operator_checks
from vidtrans.inference.device import CPU, Device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.inference.user_cache import INDUCTOR_CACHE
from vidtrans.temporal import FILTERS, FilterEntry
from vidtrans.temporal.window import WindowFilter
from vidtrans.training.methods.pix2pix import Pix2Pix

SMALL = SelfTestScale(side=64, training_side=32, frames=5, training_steps=2)
GPU = Device("cuda", "cuda")
COUNTER = itertools.count()  # numbers that no repeat finds again


@pytest.fixture(autouse=True, scope="module")
def _quick(one_thread: None) -> Iterator[None]:
    """Few rounds and shapes, one thread, and no engine that takes half a minute to compile."""
    with pytest.MonkeyPatch.context() as patch:
        for name, values in {"KERNELS": (3,), "WIDTHS": (1, 8), "HEIGHTS": (8,)}.items():
            patch.setattr(self_test, name, values)
        patch.setattr(ENGINES, "_entries", {n: e for n, e in ENGINES._entries.items() if n != "compile"})
        yield


def verdict(kind: str, name: str, folder: Path, device: Device = CPU) -> Verdict:
    return CHECKS[kind](SelfTestSubject(device, folder, SMALL))[name]()


def add(patch: pytest.MonkeyPatch, registry: Any, cls: str, **more: Any) -> None:
    """Add one of this file's classes to a table, as "broken"."""
    entry = {"engine": Entry, "temporal filter": FilterEntry, "flow method": FlowEntry}[registry.kind]
    patch.setitem(registry._entries, "broken", entry(f"{__name__}:{cls}", "made for a test", **more))


class Crashing(TorchEngine):
    def _prepare(self, network: nn.Module) -> Any:
        raise RuntimeError("no kernel image\nis available")


class Checked(NamedTuple):
    table: Table
    found: dict[str, Finding]
    left_behind: list[Path]

    def figures(self, name: str) -> Table:
        (check,) = (check for check in self.table["checks"] if check["name"] == name)
        return check["figures"]  # type: ignore[no-any-return]


def all_checks(device: Device, temporary: Path, patch: pytest.MonkeyPatch) -> Checked:
    patch.setattr(tempfile, "tempdir", str(temporary))
    patch.chdir(temporary)
    patch.setitem(os.environ, INDUCTOR_CACHE, "mine")
    add(patch, ENGINES, "Crashing")
    test = SelfTest(device, SMALL)
    found = {finding.name: finding for finding in test}
    assert os.environ[INDUCTOR_CACHE] == "mine"
    return Checked(test.table, found, list(temporary.iterdir()))


@pytest.fixture(scope="module")
def on_cpu(tmp_path_factory: pytest.TempPathFactory) -> Checked:
    with pytest.MonkeyPatch.context() as patch:
        return all_checks(CPU, tmp_path_factory.mktemp("temporary"), patch)


def test_all_checks_are_run_and_nothing_is_left_behind(on_cpu: Checked) -> None:
    assert {check["kind"] for check in on_cpu.table["checks"]} == set(CHECKS)
    assert [name for name, f in on_cpu.found.items() if f.state == "wrong"] == ["engine broken"]
    assert len(on_cpu.found) == len(on_cpu.table["checks"])
    assert on_cpu.left_behind == []
    crash = on_cpu.found["engine broken"]
    assert "RuntimeError: no kernel image" in crash.detail
    assert "\n" not in crash.detail
    assert crash.remedy
    assert {"platform", "python", "vidtrans", "libraries"} == set(on_cpu.table["system"])
    assert json.loads(json.dumps(on_cpu.table, allow_nan=False)) == on_cpu.table


def test_what_is_right_passes_with_its_figures(on_cpu: Checked) -> None:
    engine = on_cpu.figures("engine torch")
    assert engine["repeats"]
    assert engine["psnr"]["fp32"] > 100
    assert all((on_cpu.figures(f"filter {name}")["gain_db"] > 1) == (name not in ("off", "vote")) for name in FILTERS)
    missing = [name for name in FLOWS if not on_cpu.figures(f"flow {name}")]
    assert all(on_cpu.found[f"flow {name}"].state == "note" and name.startswith("raft") for name in missing)
    training = on_cpu.figures("resume")
    assert (training["equal"], training["steps"], training["stopped_at"], training["graph"]) == (True, 2, 1, "")


@pytest.mark.thorough
@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_is_compared_with_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("device", "engine", "filter", "flow", "training")  # products are those of the CPU here
    monkeypatch.setattr("vidtrans.doctor.self_test.CHECKS", {kind: CHECKS[kind] for kind in kinds})
    for name in ("onnx", "openvino"):
        monkeypatch.setattr(ENGINES, "_entries", {n: e for n, e in ENGINES._entries.items() if n != name})
    checked = all_checks(GPU, tmp_path, monkeypatch)
    assert [name for name, f in checked.found.items() if f.state == "wrong"] == ["engine broken"]
    flows = [checked.figures(f"flow {name}") for name in FLOWS]
    assert ["apart_px" in figures for figures in flows] == [figures.get("on_device", False) for figures in flows]
    # A pretended GPU has no graphs, which is told; it is no failure.
    assert checked.found["resume"].state == "note"
    assert checked.figures("resume")["graph"]


def test_wrong_convolutions_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operator_checks, "_correct_operators", {})
    monkeypatch.setattr(self_test, "resolve_precision", lambda wanted, device: "bf16")
    with FaultyProcessor():
        found = verdict("products", "convolutions bf16", tmp_path)
    assert found.state == "note"  # what renders and trainings do about it is tested with them
    assert found.figures["wrong"]
    assert "use fp32 for these instead" in found.detail


class Unsteady(TorchEngine):
    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        made = super().__call__(inputs, deep=deep)
        made[0, 0, 0, 0] ^= np.uint16(next(COUNTER) % 2)
        return made


class Rounded(TorchEngine):
    """What TF32 would do to fp32: factors of ten bits."""

    def _prepare(self, network: nn.Module) -> Any:
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                bits = module.weight.data.contiguous().float().view(torch.int32)
                rounded = ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
                module.weight = nn.Parameter(rounded.to(module.weight.dtype), requires_grad=False)
        return network


class Absent(TorchEngine):
    def _prepare(self, network: nn.Module) -> Any:
        raise UsageError("--engine absent", "Absent is not installed")


class Brighter(WindowFilter):
    def __call__(self, window: Any) -> np.ndarray:
        return super().__call__(window) + np.uint16(200)


class Still(DISFast):
    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.zeros_like(super().__call__(first, second))


# The table that it is in, and figures of its check.
BROKEN: dict[str, tuple[Any, Table]] = {
    "Unsteady": (ENGINES, {"repeats": False}),
    "Rounded": (ENGINES, {"repeats": True}),
    "Brighter": (FILTERS, {"repeats": True}),
    "Still": (FLOWS, {"repeats": True}),
}


@pytest.mark.parametrize("cls", BROKEN)
def test_an_engine_a_filter_or_a_flow_method_that_is_broken_fails(
    cls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, figures = BROKEN[cls]
    more: Table = {} if registry is not FILTERS else {"on_gpu": f"{__name__}:{cls}"}  # on a GPU another than on a CPU
    add(monkeypatch, registry, "WindowFilter" if more else cls, **more)
    kind = registry.kind.removeprefix("temporal ").removesuffix(" method")
    found = verdict(kind, f"{kind} broken", tmp_path)
    assert (found.state, found.figures | figures) == ("wrong", found.figures)


def test_an_engine_that_is_not_here_is_listed_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, ENGINES, "Absent")
    found = verdict("engine", "engine broken", tmp_path)
    assert (found.state, found.detail) == ("note", "not available: Absent is not installed")


def test_a_training_that_forgets_its_state_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pix2Pix, "restore", lambda self, state: None)
    found = verdict("training", "resume", tmp_path)
    assert (found.state, found.figures["equal"]) == ("wrong", False)
    assert "NOT the same weights" in found.detail


def test_pictures_that_are_no_match_are_never_called_equal() -> None:
    black = np.zeros((2, 4, 4, 3), np.uint8)
    assert psnr(black, black) == 200
    assert psnr(black, black + np.uint8(255)) == 0
    for other in (black[:1], black.astype(np.uint16)):
        with pytest.raises(ValueError, match="instead of"):
            psnr(other, black)


def test_a_full_disk_is_no_fault_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> dict[str, Callable[[], Verdict]]:
        def check() -> Verdict:
            raise OSError(errno.ENOSPC, "No space left on device", "step.pt")

        return {"resume": check}

    monkeypatch.setattr("vidtrans.doctor.self_test.CHECKS", {"training": full})
    (finding,) = SelfTest(CPU, SMALL)
    assert finding.state == "wrong"
    assert finding.detail.startswith("the check could not run: step.pt: no space left on device")
    assert "TMPDIR" in finding.remedy


class OtherOnTheCpu(DISFast):
    """In torch, as it says; the third object of it, which is the CPU's, is off by a tenth of a pixel."""

    made = itertools.count(1)

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        self.off = np.float32((next(self.made) == 3) * 0.08)

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return super().__call__(first, second) + self.off


@pytest.mark.usefixtures("two_gpus")
def test_a_flow_that_is_another_on_the_cpu_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, FLOWS, "OtherOnTheCpu", identity="vidtrans.flow.identity:torch_identity")
    found = verdict("flow", "flow broken", tmp_path, GPU)
    assert found.figures["repeats"]
    assert found.figures["error_px"] <= found.figures["most_error_px"]
    assert found.figures["apart_px"] > found.figures["most_apart_px"]
    assert found.state == "wrong"


def test_what_torch_says_of_a_cuda_device_can_be_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(total_memory=2**37, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr("vidtrans.doctor.self_test.driver_version", lambda: 12080)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    found = json.loads(json.dumps(cuda_figures(torch.device("cuda"))))
    assert (found["compute_capability"], found["cuda_driver"], found["bf16_in_hardware"]) == ("9.0", "12.8", True)
