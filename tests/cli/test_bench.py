"""``vidtrans bench``: every step has a rate, the slowest is named, nothing stays. How fast it is, no test can say."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from chain import refuse, snapshot, vidtrans, vidtrans_json

from vidtrans.inference import ENGINES

Capsys = pytest.CaptureFixture[str]
FLAGS = ("--size", 64, "--frames", 4, "--device", "cpu")
STEPS = ["decode", "input", "engine", "flow", "filter", "encode"]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidtrans.rendering.benchmark.ROUNDS", 2)
    monkeypatch.setattr("vidtrans.rendering.benchmark.SHORT_SIDE", 72)


def check(table: dict[str, Any]) -> None:
    assert list(table["steps"]) == STEPS
    assert list(table["together"]) == ["filter_with_flow", "stylize", "stylize_unfiltered"]
    assert table["steps"]["engine"] == table["engines"][table["auto"]]
    for part in ("steps", "engines", "together"):
        for name, rate in table[part].items():
            assert 0 < rate["slowest"] <= rate["fps"] <= rate["fastest"], name
    slowest = min(table["steps"].values(), key=lambda rate: rate["fps"])
    assert table["steps"][table["bottleneck"]] == slowest


@pytest.mark.usefixtures("quick")
def test_every_step_has_a_rate_and_the_slowest_is_named(tiny_model: Path) -> None:
    Path("vidtrans.toml").write_text('[rendering]\nsize = "32"\n[encoding]\ncodec = "ffv1"\n')
    before = snapshot(Path())
    dry = vidtrans_json("bench", "--dry-run")
    assert dry["dry_run"]
    assert "steps" not in dry
    table = vidtrans_json("bench", "--model", tiny_model, *FLAGS)
    check(table)
    assert (table["frames"], table["output"], table["model"]) == (4, None, "tiny")
    assert (table["source_size"], table["working_size"]) == ([128, 72], [114, 64])
    assert table["machine"]["device"] == "cpu"
    assert table["machine"]["cpu"]
    assert {*table["engines"], *table["skipped"]} == set(ENGINES)
    assert "torch" in table["engines"]
    assert "--all" in table["skipped"]["compile"]
    assert snapshot(Path()) == before
    assert [path.name for path in Path().iterdir()] == ["vidtrans.toml"]


@pytest.mark.thorough
@pytest.mark.usefixtures("quick")
def test_a_person_gets_a_table_with_why_engines_are_left_out_and_nothing_stays(
    tiny_model: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    done = vidtrans("bench", "--model", tiny_model, *FLAGS, env={"COLUMNS": "80"})
    assert "ONNX Runtime, or onnx, is not installed" in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for label in ("decode 128x72", "engine torch (auto)", "flow, both ways", "stylize --temporal off"):
        (row,) = [line for line in lines if line.strip().startswith(label)]
        assert len(row) <= 80
    assert sum(line.rstrip().endswith("bottleneck") for line in lines) == 1
    assert lines[-1].startswith("the bottleneck is ")
    assert lines[-1].endswith("auto takes engine torch")
    assert [*temporary.iterdir(), *Path().iterdir()] == []
    table = vidtrans_json("bench", "--model", "identity", "--size", 76, "--frames", 2)
    check(table)
    assert list(table["engines"]) == ["identity"]
    assert table["source_size"] == table["working_size"] == [136, 76]


def test_mistakes_are_one_line(capsys: Capsys) -> None:
    assert "no model of this name" in refuse(capsys, 3, "bench", "--model", "nosuch")
    assert "no such device" in refuse(capsys, 2, "bench", "--device", "toaster")
    refuse(capsys, 2, "bench", "--frames", 1)
    table = json.loads(vidtrans("bench", "--model", "nosuch", "--json", expect=3).stdout)
    assert table["exit_status"] == 3
    assert "nosuch" in table["error"]
