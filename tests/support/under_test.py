"""Make sure that the tests, and every process that they start, import the vidtrans of this checkout.

It may be the checkout's own package, an editable install of it, or an installed copy with the same code.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
ASK = "import importlib.util as u; s = u.find_spec('vidtrans'); print(s.origin if s else '')"


def share_package() -> None:
    """Check the package in this process, and have child processes import the same one, by PYTHONPATH if need be.

    Raises SystemExit, with a line that says what to do, where that is not possible.
    """
    spec = find_spec("vidtrans")
    if spec is None or spec.origin is None:
        sys.exit(f"error: vidtrans is not installed — run pip install -e '{CHECKOUT}[test]'")
    package = Path(spec.origin).resolve().parent
    if name := first_difference(CHECKOUT / "vidtrans", package):
        sys.exit(
            f"error: {package} is not the code of this checkout ({name} differs) — "
            f"run pip install -e '{CHECKOUT}[test]', or set PYTHONPATH={CHECKOUT}"
        )
    if imported_by_child() != package:
        others = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(package.parent), *([others] if others else [])])
        if (other := imported_by_child()) != package:
            sys.exit(f"error: child processes import {other}, not {package} — run the tests in another environment")


def first_difference(one: Path, other: Path) -> str:
    """Return the name of the first module that the two packages do not share; '' where all are the same."""
    if one.resolve() == other.resolve():
        return ""
    codes = [{p.relative_to(package).as_posix(): p for p in package.rglob("*.py")} for package in (one, other)]
    for name in sorted(codes[0].keys() | codes[1].keys()):
        paths = [code.get(name) for code in codes]
        if None in paths or len({path.read_bytes() for path in paths if path}) > 1:
            return name
    return ""


def imported_by_child() -> Path | None:
    """Return the folder of the vidtrans that a new process imports which runs in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([sys.executable, "-c", ASK], cwd=folder, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip()).resolve().parent if done.stdout.strip() else None


def put_first(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let the modules in ``folder`` be found first by child processes, and vidtrans where it was found before."""
    others = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *([others] if others else [])]))
