"""Wrong kernels are found at the shapes where they are wrong, and what they compute is computed in fp32 instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from faulty_processor import FaultyProcessor
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from vidtrans.inference import ENGINES, compiled, operator_checks, torch_engine, user_cache
from vidtrans.inference.compiled import WholeNetworkChecks
from vidtrans.inference.device import CPU
from vidtrans.inference.operator_checks import find_wrong_operators
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.inference.user_cache import use_cache_folder
from vidtrans.networks.init import build_generator, initialise

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Start without results of earlier comparisons: a faulty processor has others."""
    monkeypatch.setattr(operator_checks, "_correct_operators", {})
    with use_cache_folder(tmp_path / "cache"):
        yield


def generator(channels: int = 8) -> Any:
    made = build_generator("unet-small", {"channels": channels, "blocks": [1, 1, 1]}, 3)
    initialise(made, 0)
    return made.eval()


def strip(height: int = 64, width: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def psnr(made: np.ndarray, wanted: np.ndarray) -> float:
    error = np.mean((made.astype(np.float64) - wanted) ** 2)
    return float(10 * np.log10(65535**2 / max(error, 1e-9)))


class Changed(TorchDispatchMode):
    """Passes what an operator gives on changed: ``change`` gets its name, its arguments and that."""

    def __init__(self, change: Callable[[str, Any, Any], Any]) -> None:
        super().__init__()
        self.change = change

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.change(str(func), args, func(*args, **(kwargs or {})))


@pytest.mark.parametrize("wrong", [torch.nan, 1e9, 0.0])
def test_nan_and_what_lay_in_memory_are_found_and_named(wrong: float) -> None:
    def change(name: str, args: Any, made: Any) -> Any:
        if "convolution" in name and made.dtype == torch.bfloat16:
            made[-1, -1, 3, -1] = wrong  # one value of one picture
        return made

    conv, x = nn.Conv2d(3, 9, 3, padding=1).bfloat16(), torch.ones(2, 3, 8, 8).bfloat16()
    with torch.no_grad(), Changed(change):
        (found,) = find_wrong_operators(lambda: conv(x), CPU)
    assert found.startswith("aten.convolution(2×3×8×8 bfloat16, 9×3×3×3 bfloat16, 9 bfloat16")


@pytest.mark.parametrize(("batch", "packed"), [(1, True), (2, True), (2, False)])
def test_a_strip_is_right_on_a_faulty_processor(batch: int, packed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    can_pack = torch_engine.can_pack
    monkeypatch.setattr(torch_engine, "can_pack", lambda *given: packed and can_pack(*given))
    exact = TorchEngine(generator(), CPU, "fp32", batch)(strip(), deep=True)
    with FaultyProcessor(wrong=50.0):
        engine, wide = (TorchEngine(generator(), CPU, "bf16", batch) for _ in range(2))
        assert "exact" in engine.identity_at(16, 64)
        first, again = engine(strip(), deep=True), engine(strip(), deep=True)
        wide(strip(64, 64))
    assert psnr(first, exact) > 40
    assert np.array_equal(first, again)
    assert engine.exact
    assert wide.exact == []  # nothing is wrong at that size


def test_too_little_memory_to_compare_is_no_reason_not_to_paint() -> None:
    def no_more(name: str, args: Any, made: Any) -> Any:
        if "convolution" in name and args[0].dtype == torch.float32:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
        return made

    for precision in ("bf16", "fp32"):  # memory for the network, but not for a comparison in fp32; for neither
        engine = TorchEngine(generator(), CPU, precision, 2)
        with Changed(no_more):
            assert engine.identity_at(64, 64) == engine.identity
    engine = TorchEngine(generator(), CPU, "bf16", 2)
    with Changed(no_more):
        made = engine(strip(64, 64))
    assert (engine.tile, engine.batch) == (None, 2)
    assert np.array_equal(made, TorchEngine(generator(), CPU, "bf16", 2)(strip(64, 64)))


def test_the_key_says_what_is_computed_in_fp32_at_a_size_and_at_no_other() -> None:
    with FaultyProcessor():
        engine = TorchEngine(generator(), CPU, "bf16")
        assert engine.identity_at(64, 64) == engine.identity
        narrow = engine.identity_at(16, 64)
    assert narrow.pop("exact").count("convolution") >= 1
    assert narrow == engine.identity
    assert TorchEngine(generator(), CPU, "fp32").identity_at(16, 64).get("exact") is None


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("write_json", PermissionError(13, "Permission denied")),
        ("cache_folder", RuntimeError("Could not determine home directory.")),
    ],
)
def test_a_lost_folder_costs_nothing_but_time(name: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*values: object) -> None:
        raise error

    monkeypatch.setattr(user_cache, name, refuse)
    with FaultyProcessor():
        assert "exact" in TorchEngine(generator(), CPU, "bf16").identity_at(16, 64)


class Broken(TorchEngine):
    """An engine of another library that is wrong for strips."""

    name = "broken"
    checks = WholeNetworkChecks

    def _prepare(self, network: nn.Module) -> Any:
        return lambda x: network(x) * (torch.nan if x.shape[3] == 16 else 1)


def test_an_engine_whose_operators_cannot_be_seen_is_replaced_where_it_is_wrong() -> None:
    exact, engine = TorchEngine(generator(), CPU, "fp32", 2), Broken(generator(), CPU, "fp32", 2)
    for shown in (strip(), strip(), strip(64, 64)):
        assert psnr(engine(shown, deep=True), exact(shown, deep=True)) > 90
    assert engine.exact == ["broken on 2×3×64×16"]
    assert engine.identity_at(16, 64)["exact"] == "broken on 2×3×64×16"
    assert engine.identity_at(64, 64) == engine.identity
    own = [cls for name in ENGINES if (cls := ENGINES.load(name)) is not TorchEngine]
    assert own
    assert all(cls.checks is WholeNetworkChecks for cls in own)
    assert compiled.MAX_RMS_ERROR.keys() == {"fp32", "tf32", "bf16", "fp16"}
