"""The plug-in in ``examples/plugin``: built as a wheel, listed, and tested by its own tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from processes import HANG_S

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "plugin"
BUILD = "from setuptools import build_meta; build_meta.build_wheel('.')"


def run(folder: Path, on_path: Path, *words: str) -> str:
    """Run Python in a folder, with a place on its path."""
    env = {**os.environ, "PYTHONPATH": f"{on_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.thorough
def test_its_own_tests_pass_and_its_parts_are_listed_with_package_and_version(tmp_path: Path) -> None:
    """Of a wheel that is built as pip does, without a network."""
    run(tmp_path, EXAMPLE, *f"-m pytest -q -p no:cacheprovider -n0 --rootdir {tmp_path}".split(), str(EXAMPLE))
    copy, site = tmp_path / "plugin", tmp_path / "site"
    shutil.copytree(EXAMPLE, copy, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run(copy, site, "-c", BUILD)
    with zipfile.ZipFile(next(copy.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    rows = json.loads(run(tmp_path, site, "-m", "vidtrans", "plugins", "--json"))["plugins"]
    assert [(r["package"], r["version"], r["kind"], r["name"], r["state"]) for r in rows] == [
        ("vidtrans-negative", "0.1.0", "losses", "edges", "ok"),
        ("vidtrans-negative", "0.1.0", "pairings", "negative", "ok"),
    ]
