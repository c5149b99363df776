"""Compiled code: what is said without a compiler, and what a damaged or full disk costs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numba
import pytest

from vidtrans.core import compiling
from vidtrans.core.errors import VidtransError
from vidtrans.doctor import checks
from vidtrans.strokes import kernels


def import_again() -> None:
    """Run the module's code, beside the module that is imported."""
    spec = importlib.util.spec_from_file_location("compiling_again", compiling.__file__)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def twice(number: float) -> float:
    return number * 2


def test_without_a_compiler_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    with pytest.raises(VidtransError, match="NUMBA_DISABLE_JIT is set"):
        import_again()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(VidtransError, match="pip install --force-reinstall numba"):
        import_again()


def test_damaged_code_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    for _ in range(2):
        assert compiling.compiled(twice, "f8(f8)")(2) == 4
        files = [path for path in tmp_path.rglob("*.nb?") if path.is_file()]
        assert len(files) == 2  # the index and the code
        assert all(path.stat().st_size > 9 for path in files)
        for path in files:
            path.write_bytes(b"damaged")


def test_the_doctor_knows_whether_compiled_code_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checks._strokes()[0] == "ok"
    monkeypatch.setattr(kernels, "cache_folder", lambda: None)
    assert "NUMBA_CACHE_DIR" in checks._strokes()[-1]
