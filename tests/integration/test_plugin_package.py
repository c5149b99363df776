"""The plug-in in ``examples/plugin``: built, installed, used in a chain, and missed on a machine without it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from chain import tiny_flags, vidtrans
from clips import moving_frames, write_clip
from processes import HANG_S

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "plugin"
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
# Several commands in one process, as to import torch for each would take seconds.
COMMANDS = """
import json, sys
from vidtrans.cli.main import run
for command in json.loads(sys.argv[1]):
    status = run(command)
    if status:
        sys.exit(status)
"""


def start(code: str, argument: str, folder: Path, path: Sequence[Path], **variables: str) -> Any:
    """Run Python code in a folder, with more places on its path."""
    places = os.pathsep.join(map(str, (*path, ROOT)))
    return subprocess.run(
        [sys.executable, "-c", code, argument],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": places, **variables},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel as pip does, without a network, and unpack it into a folder of its own."""
    copy, site = tmp_path_factory.mktemp("build") / "plugin", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    built = start(BUILD, str(copy), copy, ())
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(next(copy.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return site


NETWORK_FLAGS = tiny_flags("generator", "discriminator", "training")
CHAIN = [
    ["make-dataset", "clip.mp4", "-o", "clip.dataset", "--pairing", "negative", *tiny_flags("dataset")],
    ["train", "clip.dataset", "-o", "positive.safetensors", "--set=training.lambda_edges=10", *NETWORK_FLAGS],
    ["stylize", "clip.mp4", "--model", "positive", "-o", "out.mkv", "--json"],
]


@pytest.fixture(scope="module")
def folder(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train with the plug-in's pairing and loss, and render, on a machine that has the plug-in."""
    folder = tmp_path_factory.mktemp("chain")
    write_clip(folder / "clip.mp4", moving_frames(8))
    done = start(COMMANDS, json.dumps(CHAIN), folder, [site])
    assert done.returncode == 0, done.stderr
    return folder


def test_it_is_as_short_as_is_promised() -> None:
    assert len((EXAMPLE / "vidtrans_negative.py").read_text(encoding="utf-8").splitlines()) <= 40


def test_its_own_tests_pass(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", "--rootdir", tmp_path, EXAMPLE]
    done = subprocess.run(
        [*map(str, command)],
        env={**os.environ, "PYTHONPATH": f"{EXAMPLE}{os.pathsep}{ROOT}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert done.returncode == 0, done.stdout


def test_its_parts_are_listed_with_package_and_version(site: Path, tmp_path: Path) -> None:
    rows = json.loads(start(COMMANDS, '[["plugins", "--json"]]', tmp_path, [site]).stdout)["plugins"]
    assert [(r["package"], r["version"], r["kind"], r["name"], r["state"]) for r in rows] == [
        ("vidtrans-negative", "0.1.0", "losses", "edges", "ok"),
        ("vidtrans-negative", "0.1.0", "pairings", "negative", "ok"),
    ]


@pytest.mark.thorough
def test_a_model_is_trained_with_it_and_renders(folder: Path) -> None:
    assert (folder / "out.mkv").stat().st_size > 0
    with (folder / "positive.train/losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["generator_edges"]) > 0 for row in rows)
    assert "G: edges" in (folder / "positive.train/report.html").read_text(encoding="utf-8")


def test_without_it_its_model_is_refused_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    done = vidtrans("stylize", "clip.mp4", "--model", "positive", "-o", "other.mkv", expect=3)
    assert re.fullmatch(
        r"error: .*positive\.safetensors: its pairing 'negative' is of the plug-in vidtrans-negative 0\.1\.0, which is "
        r"not installed here — if you trust it: pip install vidtrans-negative\n",
        done.stderr,
    )
    assert not Path("other.mkv").exists()
    done = vidtrans("train", "clip.dataset", "-o", "other.safetensors", expect=3)
    assert "clip.dataset: its pairing 'negative' is of the plug-in vidtrans-negative 0.1.0" in done.stderr


def test_it_is_on_record_in_the_model(folder: Path) -> None:
    text = (folder / "positive.safetensors").read_bytes()
    package = b'{\\"package\\":\\"vidtrans-negative\\",\\"version\\":\\"0.1.0\\"}'
    assert text.count(b'\\"plugin\\":' + package) == 1  # of the pairing
    assert text.count(b'\\"plugins\\":{\\"edges\\":' + package) == 1  # in the record of the training
