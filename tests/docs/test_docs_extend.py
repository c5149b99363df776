"""What the pages of ``docs/extend`` say is done: each adds one file and one table line to a copy of the checkout."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from chain import TINY
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.models.model_file import read_record

ROOT = Path(__file__).resolve().parents[2]
ADDED = re.compile(
    r"^`(?P<path>vidtrans/\S+\.py)`:\n\n```python\n(?P<code>.*?)```\n\n"
    r"A line in the table `(?P<table>\w+)` of `(?P<home>vidtrans/\S+\.py)`.*?\n\n```python\n(?P<line>.*?)```\n",
    re.DOTALL | re.MULTILINE,
)


def add(page: Path, tree: Path) -> None:
    """Write the page's file into the tree, and its line at the end of its table."""
    found = ADDED.search(page.read_text("utf-8"))
    assert found is not None
    assert not (tree / found["path"]).exists()
    (tree / found["path"]).write_text(found["code"], "utf-8")
    home = tree / found["home"]
    line = textwrap.indent(found["line"], " " * 8)
    end = rf"(^{found['table']} = Registry\(\n.*?)(^    \}},\n\))"
    text, count = re.subn(end, lambda t: f"{t[1]}{line}{t[2]}", home.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert count == 1
    home.write_text(text, "utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what a contributor has checked out, apart from the folder that the test runs in."""
    tree = tmp_path / "checkout"
    for name in ("vidtrans", "presets", "docs", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("*.jpg", ".pytest_cache"))
    return tree


@pytest.fixture
def dataset() -> Path:
    clip = write_clip(Path("clip.mp4"), moving_frames(16))
    api.make_dataset(clip, settings=TINY)
    return Path("clip.dataset")


# In one process, as it takes longest to start: train, write the documents' tables, run the contract tests of the entry.
PROGRAM = """
import json, os, runpy, sys
from contextlib import suppress
import pytest, vidtrans
tree, settings, contract, entry = sys.argv[1:]
vidtrans.train("clip.dataset", settings=json.loads(settings))
sys.path.insert(0, f"{tree}/docs")
sys.argv[1:] = []
with suppress(SystemExit):
    runpy.run_path(f"{tree}/docs/generate.py", run_name="__main__")
os.chdir(tree)
sys.exit(pytest.main(["-n0", "-q", "-p", "no:cacheprovider", "-k", entry, f"tests/contracts/{contract}"]))
"""


def run(tree: Path, contract: str, entry: str, **settings: Any) -> list[dict[str, float]]:
    """Run all that in the tree, with settings of the training. Return what ``losses.csv`` holds."""
    tables = {k: TINY[k] for k in ("generator", "discriminator")} | {"training": {**TINY["training"], **settings}}
    command = [sys.executable, "-c", PROGRAM, str(tree), json.dumps(tables), contract, entry]
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    with Path("clip.train/losses.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_adding_a_loss_as_the_page_says(tree: Path, dataset: Path) -> None:
    add(ROOT / "docs/extend/loss.md", tree)
    rows = run(tree, "test_loss_contract.py", "edges or columns or added", lambda_edges=10, steps=4)
    assert list(rows[0]) == ["step", "generator_gan", "generator_l1", "discriminator", "generator_edges"]
    assert all(row["generator_edges"] > 0 for row in rows)
    assert "G: edges" in Path("clip.train/report.html").read_text()
    training = read_record(Path("clip.safetensors")).training
    assert training["settings"]["lambda_edges"] == 10
    assert training["losses"].keys() == {"gan", "l1", "discriminator", "edges"}
    assert "| `edges` | the L1 between the edges" in (tree / "docs/reference/registries.md").read_text()


def test_adding_a_training_method_as_the_page_says(tree: Path, dataset: Path) -> None:
    add(ROOT / "docs/extend/training-method.md", tree)
    own = {"method": "sgd", "momentum": 0.5}
    rows = run(tree, "test_method_contract.py", "sgd or knows", lr=0.05, lambda_l2=1, **own)
    assert list(rows[0]) == ["step", "generator_gan", "generator_l1", "generator_l2"]
    assert rows[-1]["generator_l1"] < rows[0]["generator_l1"]
    assert "G: L2" in Path("clip.train/report.html").read_text()
    assert own.items() <= read_record(Path("clip.safetensors")).training["settings"].items()
    assert "| `sgd` | a generator alone, by gradient descent" in (tree / "docs/reference/registries.md").read_text()
