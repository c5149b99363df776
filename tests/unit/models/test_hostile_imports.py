"""Files of other tools that mean harm, or are broken: none runs, leaves anything or loops forever; one line each."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import NamedTuple

import pytest
from hostile_checkpoints import Hostile, write_hostile

from vidtrans.errors import _CONTROLS as CONTROLS

MOST_BYTES = 1.5e9  # of which torch takes 0.3, and ONNX Runtime, which refuses, in a process of its own

# Does what 'model import' does before it asks for anything, for each of many files, in one process.
LOADS = """
import faulthandler, json, sys
from pathlib import Path
from vidtrans.errors import VidtransError
from vidtrans.models.formats import format_of, load_format
from vidtrans.models.formats.foreign import ForeignFormat
from vidtrans.models.model_file import file_in_folder
from vidtrans.models.onnx import trial
from vidtrans.pairing.base import make_pairing
from vidtrans.system import peak_memory
import torch
trial.MEMORY = 2 << 30  # not to wait for what asks for all of it
found = []
for line in sys.stdin:
    given = Path(json.loads(line))
    # Most take less than a second, one several: this only ends a loop without end.
    faulthandler.dump_traceback_later(600, exit=True)
    try:
        path = file_in_folder(given)
        form = load_format(format_of(path))
        if isinstance(form, ForeignFormat):
            form.load_described(path, form.describe(path), make_pairing("aligned", {}))
        else:
            form.load(path)
        kind, said = "taken", ""
    except VidtransError as error:
        kind, said = "refused", str(error)
    except Exception as error:
        kind, said = "bug", repr(error)
    faulthandler.cancel_dump_traceback_later()
    found.append([kind, said])
status = Path("/proc/self/status")  # on Linux the other number is at least that of the process that began this one
rows = dict(line.split(":", 1) for line in status.read_text("utf-8").splitlines()) if status.exists() else {}
peak = int(rows["VmHWM"].split()[0]) * 1024 if rows else peak_memory()
print(json.dumps([found, peak]))
"""


class Outcome(NamedTuple):
    entry: Hostile
    kind: str
    said: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Outcome], int, list[str]]:
    """What became of each file, the most bytes held, and what is there afterwards that was not before."""
    folder = tmp_path_factory.mktemp("hostile")
    marker, work = folder / "it ran", folder / "work"
    entries = write_hostile(folder / "files", marker)
    work.mkdir()
    lines = "".join(json.dumps(str(entry.path)) + "\n" for entry in entries)
    done = subprocess.run([sys.executable, "-c", LOADS], input=lines, capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, done.stderr
    found, peak = json.loads(done.stdout.splitlines()[-1])
    left = [str(path) for path in (marker, *work.iterdir()) if path.exists()]
    return [Outcome(entry, *row) for entry, row in zip(entries, found, strict=True)], peak, left


Outcomes = tuple[list[Outcome], int, list[str]]


def test_there_are_hundreds(outcomes: Outcomes) -> None:
    assert len(outcomes[0]) >= 200


def test_none_runs_or_leaves_anything(outcomes: Outcomes) -> None:
    assert outcomes[2] == []


def test_none_that_must_be_refused_is_taken(outcomes: Outcomes) -> None:
    assert [o.entry.name for o in outcomes[0] if o.kind == "taken" and o.entry.refused] == []


def test_each_refusal_is_one_line_that_says_why(outcomes: Outcomes) -> None:
    refused = [o for o in outcomes[0] if o.kind != "taken"]
    assert [(o.entry.name, o.said) for o in refused if o.kind == "bug"] == []
    assert [(o.entry.name, o.said) for o in refused if " — " not in o.said or CONTROLS.search(o.said)] == []
    wrong = [(o.entry.name, o.entry.says, o.said) for o in refused if o.entry.says.lower() not in o.said.lower()]
    assert wrong == []


def test_none_takes_much_memory(outcomes: Outcomes) -> None:
    assert outcomes[1] < MOST_BYTES
