"""Wrong kernels are found at the shapes where they are wrong, and what they compute is computed in fp32 instead."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clips import scene
from faulty_processor import FaultyProcessor
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from variants import least

from vidtrans.inference import ENGINES, compiled, product_checks, torch_engine
from vidtrans.inference.compiled import WholeNetworkEngine
from vidtrans.inference.device import CPU
from vidtrans.inference.product_checks import computed_in_fp32, find_wrong
from vidtrans.inference.torch_engine import TorchEngine
from vidtrans.inference.user_cache import caches_in
from vidtrans.networks import GENERATORS
from vidtrans.networks.init import build_generator, initialise

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def _of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Start without results of earlier comparisons: a faulty processor has others."""
    monkeypatch.setattr(product_checks, "_known", {})
    with caches_in(tmp_path / "cache"):
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


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("groups", [1, 4])
def test_right_convolutions_are_right_in_every_form(transposed: bool, dtype: torch.dtype, groups: int) -> None:
    torch.manual_seed(0)
    kind = nn.ConvTranspose2d if transposed else nn.Conv2d
    convs = [kind(8, 12, k, s, p, groups=groups) for k, s, p in ((3, 1, 1), (4, 2, 1), (1, 1, 0), (5, 2, 2))]
    for conv in convs:
        x = torch.randn(2, 8, 16, 6, requires_grad=True)

        def step(conv: nn.Module = conv, x: torch.Tensor = x) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                conv(x).float().square().sum().backward()

        assert find_wrong(step, CPU) == []
    assert len(product_checks._known) == 2 * len(convs)  # each forward and backward


@pytest.mark.parametrize("wrong", [torch.nan, 1e9, 0.0])
def test_nan_and_what_lay_in_memory_are_found_and_named(wrong: float) -> None:
    class OneWrong(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            if "convolution" in str(func) and made.dtype == torch.bfloat16:
                made[-1, -1, 3, -1] = wrong  # one value of one picture
            return made

    conv, x = nn.Conv2d(3, 9, 3, padding=1).bfloat16(), torch.ones(2, 3, 8, 8).bfloat16()
    with torch.no_grad(), OneWrong():
        (found,) = find_wrong(lambda: conv(x), CPU)
    assert found.startswith("aten.convolution(2×3×8×8 bfloat16, 9×3×3×3 bfloat16, 9 bfloat16")


def test_products_of_matrices_are_compared_too() -> None:
    class Wrong(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            return made + 1 if "mm" in str(func) and made.dtype == torch.bfloat16 else made

    linear, x = nn.Linear(8, 4).bfloat16(), torch.randn(3, 8).bfloat16()
    with torch.no_grad(), Wrong():
        found = find_wrong(lambda: linear(x), CPU)
        assert len(found) == 1
        with computed_in_fp32(found):
            made = linear(x)
    assert torch.equal(made, linear.float()(x.float()).bfloat16())


def test_weights_that_are_no_numbers_are_no_fault_of_the_processor() -> None:
    conv, x = nn.Conv2d(3, 4, 3), torch.ones(1, 3, 8, 8)
    conv.weight.data.fill_(torch.inf)
    with torch.no_grad():
        assert find_wrong(lambda: conv(x), CPU) == []


@pytest.mark.parametrize("batch", [1, 2])
def test_an_engine_paints_a_strip_right_on_a_faulty_processor(batch: int) -> None:
    exact = TorchEngine(generator(), CPU, "fp32", batch)(strip(), deep=True)
    with FaultyProcessor():
        engine = TorchEngine(generator(), CPU, "bf16", batch)
        first, again = engine(strip(), deep=True), engine(strip(), deep=True)
    assert psnr(first, exact) > 40
    assert np.array_equal(first, again)
    assert engine.exact
    wide = TorchEngine(generator(), CPU, "bf16", batch)
    with FaultyProcessor():
        wide(strip(64, 64))
    assert wide.exact == []  # nothing is wrong at that size


def test_a_network_whose_convolutions_are_not_packed_is_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_engine, "can_pack", lambda device, precision: False)
    exact = TorchEngine(generator(), CPU, "fp32", 2)(strip(), deep=True)
    with FaultyProcessor():
        engine = TorchEngine(generator(), CPU, "bf16", 2)
        assert "exact" in engine.identity_at(16, 64)
        first, again = engine(strip(), deep=True), engine(strip(), deep=True)
    assert psnr(first, exact) > 40
    assert np.array_equal(first, again)


def test_what_is_wrong_in_fp32_is_computed_in_fp64() -> None:
    class Wrong(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            made = func(*args, **(kwargs or {}))
            if args[0].dtype != torch.float32:
                return made
            if str(func) == "aten.convolution_backward.default":
                return tuple(None if part is None else part * torch.nan for part in made)
            return made * torch.nan if str(func) == "aten.addmm.default" else made

    conv, linear = nn.Conv2d(3, 4, 3), nn.Linear(36, 2)
    x = torch.rand(1, 3, 5, 5)

    def run() -> torch.Tensor:
        return linear(conv(x).flatten(1))

    wanted = run()
    with Wrong():
        found = find_wrong(lambda: run().sum().backward(), CPU)
        assert [name.partition("(")[0] for name in found] == ["aten.addmm", "aten.convolution_backward"]
        with computed_in_fp32(found):
            assert torch.allclose(run(), wanted, rtol=1e-4, atol=1e-6)
    assert all(parameter.grad.isfinite().all() for parameter in conv.parameters() if parameter.grad is not None)


def test_what_is_corrected_around_a_comparison_is_not_taken_for_right() -> None:
    conv, x = nn.Conv2d(3, 4, 4, 2, 1).bfloat16(), torch.ones(1, 3, 16, 2).bfloat16()
    with torch.no_grad(), FaultyProcessor():
        found = find_wrong(lambda: conv(x), CPU)
        product_checks._known.clear()
        with computed_in_fp32(found):
            assert find_wrong(lambda: conv(x), CPU) == found
            assert conv(x).isfinite().all()


def test_numbers_that_fp16_cannot_hold_are_no_fault() -> None:
    linear = nn.Linear(4, 4).half()
    large, small = torch.full((2, 4), 6e4).half(), torch.full((2, 4), 1e-7).half()
    with torch.no_grad():
        linear.weight.fill_(9)
        assert find_wrong(lambda: (linear(large), linear(small), linear(small) @ linear(small).T), CPU) == []


def test_arguments_by_name_are_kept() -> None:
    a, b, c = (torch.rand(3, 3).bfloat16() for _ in range(3))
    assert find_wrong(lambda: torch.addmm(c, a, b, beta=0.5, alpha=-1), CPU) == []


def test_too_little_memory_to_compare_is_no_reason_not_to_paint() -> None:
    class NoMore(TorchDispatchMode):
        """Memory for the network alone, not for a comparison in fp32."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "convolution" in str(func) and args[0].dtype == torch.float32:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
            return func(*args, **(kwargs or {}))

    engine = TorchEngine(generator(), CPU, "bf16", 2)
    with NoMore():
        assert engine.identity_at(64, 64) == engine.identity
        made = engine(strip(64, 64))
    assert engine.tile is None
    assert engine.batch == 2
    assert np.array_equal(made, TorchEngine(generator(), CPU, "bf16", 2)(strip(64, 64)))


@pytest.mark.parametrize("name", list(GENERATORS))
@pytest.mark.parametrize("faulty", [False, True])
def test_a_strip_through_any_generator_is_near_fp32_on_any_processor(name: str, faulty: bool) -> None:
    made = build_generator(name, least(GENERATORS, name), 3)
    initialise(made, 0)
    width = max(made.multiple, 16)
    shown = scene(width, 4 * width, 0)[
        None
    ]  # smooth: of noise, one that is moved by flow in bf16 would be another picture
    exact = TorchEngine(made.eval(), CPU, "fp32", 1)(shown, deep=True)
    with FaultyProcessor() if faulty else nullcontext():
        bf16 = TorchEngine(made, CPU, "bf16", 1)(shown, deep=True)
    assert psnr(bf16, exact) > 40


def test_the_key_says_what_is_computed_in_fp32_at_a_size_and_at_no_other() -> None:
    with FaultyProcessor():
        engine = TorchEngine(generator(), CPU, "bf16")
        assert engine.identity_at(64, 64) == engine.identity
        narrow = engine.identity_at(16, 64)
    assert narrow.pop("exact").count("convolution") >= 1
    assert narrow == engine.identity
    assert TorchEngine(generator(), CPU, "fp32").identity_at(16, 64).get("exact") is None


def test_another_process_does_not_compare_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FaultyProcessor():
        found = TorchEngine(generator(), CPU, "bf16").identity_at(16, 64)
        monkeypatch.setattr(product_checks, "_known", {})
        FaultyProcessor.runs = 0
        assert TorchEngine(generator(), CPU, "bf16").identity_at(16, 64) == found
        assert FaultyProcessor.runs == 0
        (file,) = (tmp_path / "cache" / "checks").iterdir()
        file.write_text("{", "utf-8")  # damaged: it is compared again
        assert TorchEngine(generator(), CPU, "bf16").identity_at(16, 64) == found
        assert FaultyProcessor.runs > 0


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("write_json", PermissionError(13, "Permission denied")),
        ("cache_folder", RuntimeError("Could not determine home directory.")),
    ],
)
def test_a_folder_that_cannot_be_written_or_found_costs_nothing_but_time(
    name: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*values: object) -> None:
        raise error

    monkeypatch.setattr(product_checks, name, refuse)
    with FaultyProcessor():
        assert "exact" in TorchEngine(generator(), CPU, "bf16").identity_at(16, 64)


def test_a_size_for_which_memory_does_not_suffice_is_not_compared_before() -> None:
    class Full(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if "convolution" in str(func):
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")
            return func(*args, **(kwargs or {}))

    engine = TorchEngine(generator(), CPU, "fp32")
    with Full():
        assert engine.identity_at(64, 64) == engine.identity
    assert engine.identity_at(64, 64) == engine.identity


class Broken(WholeNetworkEngine):
    """An engine of another library that is wrong for strips."""

    name = "broken"

    def _prepare(self, network: nn.Module) -> Any:
        return lambda x: network(x) * (torch.nan if x.shape[3] == 16 else 1)


def test_an_engine_whose_operators_cannot_be_seen_is_replaced_where_it_is_wrong() -> None:
    exact = TorchEngine(generator(), CPU, "fp32", 2)
    engine = Broken(generator(), CPU, "fp32", 2)
    assert psnr(engine(strip(), deep=True), exact(strip(), deep=True)) > 90
    assert psnr(engine(strip(), deep=True), exact(strip(), deep=True)) > 90
    assert engine.exact == ["broken on 2×3×64×16"]
    assert engine.identity_at(16, 64)["exact"] == "broken on 2×3×64×16"
    assert engine.identity_at(64, 64) == engine.identity
    assert psnr(engine(strip(64, 64), deep=True), exact(strip(64, 64), deep=True)) > 90


def test_every_engine_of_other_operators_is_one_of_these() -> None:
    own = [cls for name in ENGINES if (cls := ENGINES.load(name)) is not TorchEngine]
    assert own
    assert all(issubclass(cls, WholeNetworkEngine) for cls in own)
    assert compiled.MOST_ERROR.keys() == {"fp32", "tf32", "bf16", "fp16"}
