"""Child processes under the rules of another system, and what they said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import other_systems
import pytest

# Emulation reads /proc, and a system cannot be emulated on top of another.
on_linux_alone = pytest.mark.skipif(
    not sys.platform.startswith("linux") or bool(other_systems.current()), reason="other systems are emulated on Linux"
)


def start(system: str, *words: object, folder: Path | None = None) -> subprocess.Popen[str]:
    """Start ``python`` with these words under the rules of a system; '' for this one."""
    variables = {**os.environ, "OMP_NUM_THREADS": "1", **other_systems.variables(system)}
    encoding = "cp1252" if system == "windows" else "utf-8"
    pipe: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": encoding}
    command = [sys.executable, *map(str, words)]
    return subprocess.Popen(command, cwd=folder or Path(), env=variables, **pipe)


def python(system: str, *words: object, folder: Path | None = None, expect: int = 0) -> str:
    """Run ``python`` so, to its end, and return what it printed: no traceback, and the expected status."""
    process = start(system, *words, folder=folder)
    out, err = process.communicate(timeout=240)
    assert "Traceback" not in err, err
    assert process.returncode == expect, out + err
    return out + err


def vidtrans(system: str, *arguments: object, folder: Path | None = None, expect: int = 0) -> str:
    """Run a command so."""
    return python(system, "-m", "vidtrans", *arguments, folder=folder, expect=expect)


def commands(system: str, lines: Sequence[Sequence[object]], folder: Path) -> str:
    """Run commands one after another in one process, so that torch is imported once; each must succeed."""
    program = f"""
from vidtrans.cli.console import allow_any_text
from vidtrans.cli.main import run
allow_any_text()
for command in {[[*map(str, line)] for line in lines]!r}:
    assert run(command) == 0, command
"""
    return python(system, "-c", program, folder=folder)
