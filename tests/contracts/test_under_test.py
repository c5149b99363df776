"""The tests, and the processes that they start, see the vidtrans of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import under_test

import vidtrans


def test_a_child_process_imports_the_package_that_the_tests_import() -> None:
    assert under_test.imported_by_child() == Path(vidtrans.__file__).resolve().parent


def copied_checkout(folder: Path) -> Path:
    """A checkout with tests/conftest.py's first check, and a test that starts a process."""
    (folder / "tests" / "support").mkdir(parents=True)
    (folder / "vidtrans").mkdir()
    (folder / "vidtrans" / "__init__.py").write_text("NAME = 'this'\n")
    shutil.copy(under_test.__file__, folder / "tests" / "support" / "under_test.py")
    (folder / "tests" / "conftest.py").write_text("import under_test\nunder_test.share_package()\n")
    (folder / "tests" / "test_it.py").write_text(
        "import subprocess, sys, vidtrans\n"
        "def test_it(tmp_path):\n"
        "    ask = [sys.executable, '-c', 'import vidtrans; print(vidtrans.__file__)']\n"
        "    told = subprocess.run(ask, cwd=tmp_path, capture_output=True, text=True, check=True).stdout\n"
        "    assert told.strip() == vidtrans.__file__\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = tests/support\n")
    return folder


def pytest_in(folder: Path, *, module: bool, path: Path | None) -> subprocess.CompletedProcess[str]:
    """Run the copy's tests: ``module``: with the folder itself on the path, as ``python -m pytest`` does."""
    safe = [] if module else ["-P"]
    # Among the folders of all runs it would, at its end, delete those of earlier ones: tens of thousands of files.
    own = f"--basetemp={folder.parent / 'tests'}"
    command = [sys.executable, *safe, "-m", "pytest", "-q", "-p", "no:cacheprovider", own]
    names = ("PYTHONPATH", "PYTEST_XDIST_WORKER", "PYTEST_ADDOPTS")
    environment = {k: v for k, v in os.environ.items() if k not in names} | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    if path:
        environment["PYTHONPATH"] = str(path)
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def other_package(folder: Path, code: str) -> Path:
    (folder / "vidtrans").mkdir(parents=True)
    (folder / "vidtrans" / "__init__.py").write_text(code)
    return folder


def test_children_follow_the_tests_where_another_package_is_installed(tmp_path: Path) -> None:
    checkout, other = copied_checkout(tmp_path / "checkout"), other_package(tmp_path / "other", "NAME = 'other'\n")
    done = pytest_in(checkout, module=True, path=other)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_installed_copy_of_the_same_code_is_taken(tmp_path: Path) -> None:
    checkout, other = copied_checkout(tmp_path / "checkout"), other_package(tmp_path / "other", "NAME = 'this'\n")
    done = pytest_in(checkout, module=False, path=other)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("added", ["", "extra.py"])
def test_an_installed_package_with_other_code_is_refused_in_a_line(added: str, tmp_path: Path) -> None:
    checkout = copied_checkout(tmp_path / "checkout")
    other = other_package(tmp_path / "other", "NAME = 'this'\n" if added else "NAME = 'other'\n")
    if added:
        (other / "vidtrans" / added).write_text("")
    done = pytest_in(checkout, module=False, path=other)
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line]
    assert f"({added or '__init__.py'} differs) " in line
    assert " run pip install -e" in line
