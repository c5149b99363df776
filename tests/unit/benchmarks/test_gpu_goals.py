"""The benchmark of the goals for GPUs goes its way on any machine, judges by its goals, and says where no GPU is."""

from __future__ import annotations

import importlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from vidtrans.inference.device import CPU, resolve_device
from vidtrans.rendering import render_benchmark

ROOT = Path(__file__).resolve().parents[3]
if not (ROOT / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not part of this distribution", allow_module_level=True)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, with few rounds and a folder of its own for temporary files."""
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(render_benchmark, "ROUNDS", 1)
    monkeypatch.setattr(importlib.import_module("benchmarks.training.rates"), "WARM_UP_STEPS", 1)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return importlib.import_module("benchmarks.gpu.bench")


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_without_a_device_it_says_so_in_a_line_and_by_its_exit_status(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main([]) == 4
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 1
    assert "no CUDA device here" in told[0]


def test_on_a_cpu_it_goes_the_same_way_and_judges_nothing(
    bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--device", "cpu", "--json", "figures.json"]) == 0
    told = capsys.readouterr().out
    assert "the figures mean nothing" in told
    rows = json.loads(Path("figures.json").read_text())["rows"]
    assert [row["met"] for row in rows] == [None] * 3
    assert all(row["about"]["figure"] > 0 for row in rows)
    assert all(f"| {row['name']} | {row['goal']} |" in told for row in rows)
    assert list((tmp_path / "temporary").glob("vidtrans-*")) == []


@pytest.mark.usefixtures("two_gpus")
def test_a_pretended_gpu_goes_the_way_of_a_gpu(bench: Any) -> None:
    rows = bench.run(resolve_device("cuda"), bench.TINY, None, False)
    assert all(row.about["figure"] > 0 for row in rows)
    assert any("graph" in name for name in rows[-1].about)


def test_figures_are_judged_by_the_goals(bench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = replace(bench.TINY)
    monkeypatch.setattr(bench, "FULL", plan)
    one = bench.GpuBench(CPU, plan, tmp_path, tmp_path)
    assert [one._row("x", figure, 400.0, "{:.0f}", {}).met for figure in (399.0, 400.0, 512.0)] == [False, True, True]
    monkeypatch.setattr(bench, "NETWORK_RATE", 1e9)
    assert one.network().met is False
    monkeypatch.setattr(bench, "TESTS", ("tests/docs/test_benchmarks.py::no_such_test",))
    assert one.tests().met is False
    monkeypatch.setattr(bench, "resolve_device", lambda name: CPU)
    monkeypatch.setattr(bench, "run", lambda *given: [one._row("x", 1.0, 2.0, "{:.0f}", {})])
    assert bench.main([]) == 1
