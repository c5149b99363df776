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
from typing import Any

import numpy as np
import pytest
import torch
from faulty_processor import FaultyProcessor
from torch import nn

from vidtrans.errors import DeviceError, UsageError
from vidtrans.flow import FLOWS, FlowEntry
from vidtrans.flow.estimator import DISFast
from vidtrans.inference import ENGINES, product_checks
from vidtrans.inference.device import CPU, Device, resolve_device
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.inference.user_cache import INDUCTOR_CACHE
from vidtrans.registry import Entry
from vidtrans.rendering import render_benchmark
from vidtrans.self_test import CHECKS, memory_check, product_check, rate_check
from vidtrans.self_test.device_check import cuda_figures
from vidtrans.self_test.findings import Verdict
from vidtrans.self_test.run import SelfTest
from vidtrans.self_test.subject import Scale, Subject, psnr
from vidtrans.temporal import FILTERS, FilterEntry
from vidtrans.temporal.batch_window import BatchWindowFilter
from vidtrans.temporal.window import WindowFilter
from vidtrans.training import trainer
from vidtrans.training.methods.pix2pix import Pix2Pix
from vidtrans.training.trainer import TrainingState

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = Scale(
    rate_frames=4, rate_frames_on_gpu=4, side=128, frames=6, large_side=384, training_steps=4, rate_sizes=((64, 64),)
)
GPU = Device("cuda", "cuda")
COUNTER = itertools.count()  # numbers that no repeat finds again


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rounds, and no engine that takes half a minute to compile."""
    monkeypatch.setattr(render_benchmark, "ROUNDS", 1)
    monkeypatch.setattr(trainer, "TRIAL_SECONDS", 0.01)
    monkeypatch.setattr(trainer, "TRIAL_STEPS", (2, 2))
    monkeypatch.setattr(rate_check, "PAPERS", "unet-small")
    monkeypatch.delitem(ENGINES._entries, "compile")


def verdict(kind: str, name: str, tmp_path: Path, device: Device = CPU) -> Verdict:
    return CHECKS[kind].load()(Subject(device, tmp_path, SMALL))[name]()


def this(name: str) -> str:
    return f"{__name__}:{name}"


def add(monkeypatch: pytest.MonkeyPatch, registry: Any, name: str, cls: str, **more: Any) -> None:
    """Add one of this file's classes to a table for a test."""
    entry = {"engine": Entry, "temporal filter": FilterEntry, "flow method": FlowEntry}[registry.kind]
    monkeypatch.setitem(registry._entries, name, entry(this(cls), "made for a test", **more))


# Convolutions


def test_right_convolutions_pass_and_wrong_ones_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_checks, "_known", {})
    monkeypatch.setattr(product_check, "HEIGHTS", (8,))
    monkeypatch.setattr(product_check, "resolve_precision", lambda wanted, device: "bf16")
    assert verdict("products", "convolutions fp32", tmp_path).state == "ok"
    with FaultyProcessor():
        found = verdict("products", "convolutions bf16", tmp_path)
    assert found.state == "note"  # what renders and trainings do about it is tested with them
    assert found.figures["wrong"]
    assert "in fp32 instead" in found.detail


# Engines


class Darker(TorchEngine):
    def __call__(self, inputs: np.ndarray, *, deep: bool = False) -> np.ndarray:
        return (super().__call__(inputs, deep=deep) * 0.9).astype(np.uint16)


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


class Crashing(TorchEngine):
    def _prepare(self, network: nn.Module) -> Any:
        raise RuntimeError("no kernel image\nis available")


def test_the_engine_torch_passes(tmp_path: Path) -> None:
    found = verdict("engine", "engine torch", tmp_path)
    assert found.state == "ok"
    assert found.figures["repeats"]
    assert found.figures["psnr"]["fp32"] > 100


# Off by more than eager torch is from the CPU; Rounded's factors have the 10 bits of TF32.
@pytest.mark.parametrize(("cls", "least", "most"), [("Darker", 0, 90), ("Unsteady", 0, 150), ("Rounded", 50, 90)])
def test_an_engine_that_is_broken_fails(
    cls: str, least: float, most: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, ENGINES, "broken", cls)
    found = verdict("engine", "engine broken", tmp_path)
    assert found.state == "wrong"
    assert found.figures["repeats"] == (cls != "Unsteady")
    assert least < found.figures["psnr"]["fp32"] < most


def test_an_engine_that_is_not_here_is_listed_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, ENGINES, "absent", "Absent")
    found = verdict("engine", "engine absent", tmp_path)
    assert (found.state, found.detail) == ("note", "not here: Absent is not installed")


# Filters


class Brighter(WindowFilter):
    def __call__(self, window: Any) -> np.ndarray:
        return super().__call__(window) + np.uint16(200)


class Flickering(WindowFilter):
    def __call__(self, window: Any) -> np.ndarray:
        made = super().__call__(window)
        made[0, 0] += np.uint16(next(COUNTER) % 97)
        return made


class Worse(WindowFilter):
    """It makes the same everywhere, but no steadier clip."""

    def __call__(self, window: Any) -> np.ndarray:
        return window.samples[window.centre].output // 2


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("pretended", [False, True])
def test_the_filters_pass(name: str, pretended: bool, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if pretended:
        request.getfixturevalue("two_gpus")
    found = verdict("filter", f"filter {name}", tmp_path, GPU if pretended else CPU)
    assert found.state == "ok", found.detail
    assert (found.figures["gain_db"] > 1) == (name != "off")


@pytest.mark.parametrize("cls", ["Brighter", "Flickering"])
def test_a_filter_that_is_another_on_a_gpu_fails(cls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = "vidtrans.temporal.window:WindowFilter"
    monkeypatch.setitem(FILTERS._entries, "broken", FilterEntry(path, "made for a test", on_gpu=this(cls)))
    found = verdict("filter", "filter broken", tmp_path)
    assert found.state == "wrong"
    assert found.figures["repeats"] == (cls != "Flickering")


def test_a_filter_that_makes_a_clip_worse_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, FILTERS, "broken", "Worse")
    found = verdict("filter", "filter broken", tmp_path)
    assert found.state == "wrong"
    assert found.figures["psnr"] == 200
    assert found.figures["gain_db"] < 0


# Flow methods


class Still(DISFast):
    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.zeros_like(super().__call__(first, second))


class Trembling(DISFast):
    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return super().__call__(first, second) + np.float32(1e-3 * next(COUNTER))


class Lost(DISFast):
    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return super().__call__(first, second) * np.float32(np.nan)


class OtherOnTheCpu(DISFast):
    """In torch, as it says; the third object of it, which is the CPU's, is off by a tenth of a pixel."""

    made = 0

    def __init__(self, device: str = "cpu") -> None:
        super().__init__(device)
        OtherOnTheCpu.made += 1
        self.off = np.float32((OtherOnTheCpu.made == 3) * 0.08)

    @staticmethod
    def identity(device: str = "cpu") -> str:
        return device

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return super().__call__(first, second) + self.off


@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.parametrize("pretended", [False, True])
def test_the_flow_methods_pass_or_are_not_here(
    name: str, pretended: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if pretended:
        request.getfixturevalue("two_gpus")
    found = verdict("flow", f"flow {name}", tmp_path, GPU if pretended else CPU)
    assert found.state == ("ok" if found.figures else "note"), found.detail
    assert found.figures or name.startswith("raft")
    assert ("apart_px" in found.figures) == (pretended and found.figures.get("on_device", False))


@pytest.mark.parametrize("cls", ["Still", "Trembling"])
def test_a_flow_method_that_is_broken_fails(cls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(monkeypatch, FLOWS, "broken", cls)
    found = verdict("flow", "flow broken", tmp_path)
    assert found.state == "wrong"
    assert found.figures["repeats"] == (cls == "Still")


@pytest.mark.usefixtures("two_gpus")
def test_a_flow_method_that_finds_another_motion_on_the_cpu_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(monkeypatch, FLOWS, "broken", "OtherOnTheCpu")
    found = verdict("flow", "flow broken", tmp_path, GPU)
    assert found.figures["repeats"]
    assert found.figures["error_px"] <= found.figures["most_error_px"]
    assert found.figures["apart_px"] > found.figures["most_apart_px"]
    assert found.state == "wrong"


# Memory


@pytest.mark.parametrize("pretended", [False, True])
def test_memory_that_runs_out_passes_in_tiles_and_in_smaller_batches(
    pretended: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if pretended:
        request.getfixturevalue("two_gpus")
    device = GPU if pretended else CPU
    engine, filtered = (verdict("memory", f"memory {part}", tmp_path, device) for part in ("engine", "filter"))
    assert (engine.state, filtered.state) == ("ok", "ok")
    assert engine.figures["tile"] == 256
    assert filtered.figures["batch_size"] < SMALL.frames
    assert "simulated" in engine.detail


def test_tiles_of_another_picture_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.inference.torch_engine.run_tiled", lambda network, x, *rest: 0 * x[:, :3])
    found = verdict("memory", "memory engine", tmp_path)
    assert found.state == "wrong"
    assert found.figures["psnr"] < found.figures["least_psnr"]


def test_a_filter_whose_batches_change_its_result_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ByBatch(BatchWindowFilter):
        def flush(self) -> Any:
            return [(s, p + np.uint16(self.batch_size)) for s, p in super().flush()]

    monkeypatch.setattr(memory_check, "BatchWindowFilter", ByBatch)
    found = verdict("memory", "memory filter", tmp_path)
    assert (found.state, found.figures["equal"]) == ("wrong", False)


@pytest.mark.parametrize("part", ["engine", "filter"])
def test_where_memory_did_not_run_out_that_is_said(part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_check, "SHARES", (1.0,))
    monkeypatch.setattr(memory_check, "PAIRS_AT_ONCE", 100)
    found = verdict("memory", f"memory {part}", tmp_path)
    assert found.state == "note"
    assert "did not run out" in found.detail


def test_on_cuda_the_limit_is_a_share_of_what_was_needed_and_is_lifted(monkeypatch: pytest.MonkeyPatch) -> None:
    fractions: list[tuple[float, int]] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 100)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=1000))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda f, i: fractions.append((f, i)))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)

    def run_out() -> None:
        with memory_check._limit(Subject(GPU, Path()), 0.5, 400):
            assert fractions == [(0.3, 0)]
            raise MemoryError

    with pytest.raises(MemoryError):
        run_out()
    assert fractions == [(0.3, 0), (1.0, 0)]


def test_an_engine_that_does_not_fit_in_tiles_either_is_no_missing_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 100)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=1000))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda f, i: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    engine: Any = None
    with (
        pytest.raises(RuntimeError, match="with 50% of the memory: cuda"),
        memory_check._engine_limit(engine, Subject(GPU, Path()), 0.5, 400),
    ):
        raise DeviceError("cuda", "out of memory for one frame")


# Training


@pytest.mark.parametrize("pretended", [False, True])
def test_a_training_that_resumes_exactly_passes(
    pretended: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if pretended:
        request.getfixturevalue("two_gpus")
    found = verdict("training", "resume", tmp_path, GPU if pretended else CPU)
    assert found.figures["equal"]
    assert (found.figures["steps"], found.figures["stopped_at"]) == (4, 2)
    # A pretended GPU has no graphs, which is told; it is no failure.
    assert found.state == ("note" if pretended else "ok")
    assert bool(found.figures["graph"]) == pretended


def test_a_training_that_forgets_its_state_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pix2Pix, "restore", lambda self, state: None)
    found = verdict("training", "resume", tmp_path)
    assert (found.state, found.figures["equal"]) == ("wrong", False)
    assert "NOT the same weights" in found.detail


def test_a_training_without_a_checkpoint_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainingState, "save", lambda self: True)
    with pytest.raises(RuntimeError, match="left no checkpoint"):
        verdict("training", "resume", tmp_path)


# Rates


@pytest.mark.parametrize("pretended", [False, True])
def test_every_step_has_a_rate_and_the_slowest_is_named(
    pretended: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if pretended:
        request.getfixturevalue("two_gpus")
    found = verdict("rates", "rates 64x64", tmp_path, GPU if pretended else CPU)
    rates = {name: found.figures["fps"][name]["fps"] for name in render_benchmark.STEPS}
    assert found.figures["slowest"] == min(rates, key=lambda name: rates[name])
    assert all(rate > 0 for rate in rates.values())
    assert verdict("rates", "rate unet-256", tmp_path).figures["fps"]["unet-small"]["fps"] > 0
    assert verdict("rates", "rate training", tmp_path).figures["pictures_per_second"] > 0


@pytest.mark.usefixtures("two_gpus")
def test_larger_clips_are_for_gpus(tmp_path: Path) -> None:
    names = [list(rate_check.rate_checks(Subject(device, tmp_path))) for device in (CPU, GPU)]
    assert names[0] == ["rates 256x256", "rate unet-256", "rate training"]
    assert names[1] == ["rates 256x256", "rates 1280x720", "rate unet-256", "rate training"]


# The device


def test_what_torch_says_of_a_cuda_device_can_be_written_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    card = SimpleNamespace(total_memory=2**37, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: card)
    monkeypatch.setattr(torch._C, "_cuda_getDriverVersion", lambda: 12080, raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    found = json.loads(json.dumps(cuda_figures(torch.device("cuda"))))
    assert found["compute_capability"] == "9.0"
    assert found["cuda_driver"] == "12.8"
    assert found["bf16_in_hardware"]


# All of them


def test_pictures_that_are_no_match_are_never_called_equal() -> None:
    black = np.zeros((2, 4, 4, 3), np.uint8)
    assert psnr(black, black) == 200
    assert psnr(black, black + np.uint8(255)) == 0
    for other in (black[:1], black.astype(np.uint16)):
        with pytest.raises(ValueError, match="instead of"):
            psnr(other, black)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, which is empty."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_full_disk_is_no_fault_of_the_machine(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> dict[str, Callable[[], Verdict]]:
        def check() -> Verdict:
            raise OSError(errno.ENOSPC, "No space left on device", "step.pt")

        return {"resume": check}

    monkeypatch.setattr("vidtrans.self_test.run.CHECKS", {"training": SimpleNamespace(load=lambda: full)})
    (finding,) = SelfTest(resolve_device("cpu"), SMALL)
    assert finding.state == "wrong"
    assert finding.detail.startswith("it cannot be tested: step.pt: no space left on device")
    assert "TMPDIR" in finding.remedy


@pytest.mark.parametrize("pretended", [False, True])
def test_all_checks_are_run_and_nothing_is_left_behind(
    pretended: bool, temporary: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    if pretended:
        request.getfixturevalue("two_gpus")
    add(monkeypatch, ENGINES, "crashing", "Crashing")
    monkeypatch.setitem(os.environ, INDUCTOR_CACHE, "mine")
    test = SelfTest(resolve_device("cuda" if pretended else "cpu"), SMALL)
    found = {finding.name: finding for finding in test}
    assert {check["kind"] for check in test.table["checks"]} == set(CHECKS)
    assert [name for name, f in found.items() if f.state == "wrong"] == ["engine crashing"]
    assert "RuntimeError: no kernel image" in found["engine crashing"].detail
    assert "\n" not in found["engine crashing"].detail
    assert found["engine crashing"].remedy
    assert len(found) == len(test.table["checks"])
    assert {"platform", "python", "vidtrans", "libraries"} == set(test.table["system"])
    assert json.loads(json.dumps(test.table, allow_nan=False)) == test.table
    assert os.environ[INDUCTOR_CACHE] == "mine"
    assert list(temporary.iterdir()) == []
    assert [p.name for p in Path().iterdir()] == ["temporary"]
