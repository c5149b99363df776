"""Files that mean harm, or are broken: none runs, leaves anything, takes much memory or hangs; one line each."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from chain import refuse, said
from clips import moving_frames, write_clip
from hostile_checkpoints import write_hostile
from hostile_models import bad_models, parts_of, written
from processes import Started

from vidtrans.core.errors import _CONTROLS as CONTROLS
from vidtrans.core.errors import ModelError
from vidtrans.dreaming.drift_correction import FrameStatistics, frame_statistics

MOST_BYTES = 1.5e9  # of which torch takes 0.3, and ONNX Runtime, which refuses, in a process of its own
# One ONNX file for each way in which a trial may end: starting a process for each of the others proves nothing more.
TRIED = {"onnx with a tile of 2^40", "onnx with weights that are not numbers", "onnx with words from a picture"}
TRIED_LATER = {"an unknown attribute", "names of half characters", "notes in colours"}
# Those that take longest, with others of their kind among the rest.
SLOW = {
    "a million values",
    "80,000 functions",
    "200,000 references to a list of 200,000",
    "60,000 calls of a function with a long name",
    "a tensor with 200,000 sides",
    "20,000 empty records",
}
# Does what 'model import', or a render, does with a file before it asks for anything, for many files in one process.
LOADS = """
import faulthandler, json, sys
from pathlib import Path
from vidtrans.core.errors import ModelError, VidtransError
from vidtrans.models.formats import detect_format, load_format
from vidtrans.models.formats import ForeignFormat
from vidtrans.models.model_file import file_in_folder, load_generator
from vidtrans.interop.onnx import onnx_format, trial
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.core.system import peak_memory
import torch
trial.MEMORY_BYTES = 2 << 30  # not to wait for what asks for all of it
run_trial = onnx_format.run_trial
def leave_out(path, *rest):
    raise ModelError(str(path), "no trial", "try it")
found = []
for line in open(sys.argv[1]):
    given, is_tried = json.loads(line)
    onnx_format.run_trial = run_trial if is_tried else leave_out
    # Most take less than a second, one several: this only ends a loop without end.
    faulthandler.dump_traceback_later(600, exit=True)
    try:
        path = file_in_folder(Path(given))
        form = load_format(detect_format(path))
        if isinstance(form, ForeignFormat):
            form.load_described(path, form.describe(path), make_pairing("aligned", {}))
        else:
            load_generator(path)
        kind, said = "taken", ""
    except VidtransError as error:
        kind, said = type(error).__name__, str(error)
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
    """What became of a file. ``says``: a word that its refusal has to contain."""

    name: str
    is_refused: bool
    says: str
    kind: str
    said: str


class Outcomes(NamedTuple):
    """``left``: what is there afterwards that was not before; ``models``: the folder of model files of our own."""

    each: list[Outcome]
    peak: int
    left: list[str]
    models: Path


# Some 400 files, the largest of 90 MB, and trials in processes of their own.
@pytest.fixture(scope="module", params=["most", pytest.param("all", marks=pytest.mark.thorough)])
def outcomes(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    folder = tmp_path_factory.mktemp("hostile")
    marker, work, models = folder / "it ran", folder / "work", folder / "models"
    entries = write_hostile(folder / "files", marker)
    work.mkdir()
    models.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(models)
        own = [path.absolute() for path in bad_models(tiny_model)]
    every = request.param == "all"
    tried = TRIED | {f"onnx with {name}" for name in TRIED_LATER if every}
    assert {entry.name for entry in entries} >= tried | SLOW
    cases = [(e.path, e.name, e.refused, e.says) for e in entries if every or e.name not in SLOW]
    cases += [(path, path.name, True, "") for path in own]
    given = folder / "given"
    given.write_text("".join(json.dumps([str(path), name in tried]) + "\n" for path, name, *_ in cases))
    done = Started("-c", LOADS, given, folder=work)
    assert done.wait() == 0, done.said()
    found, peak = json.loads(done.said()[0].splitlines()[-1])
    left = [str(path) for path in (marker, *work.iterdir(), *models.glob("exploded")) if os.path.lexists(path)]
    each = [Outcome(name, refused, says, *row) for (_, name, refused, says), row in zip(cases, found, strict=True)]
    return Outcomes(each, peak, left, models)


def test_none_runs_leaves_anything_or_takes_much_memory(outcomes: Outcomes) -> None:
    assert len(outcomes.each) >= 270
    assert outcomes.left == []
    assert outcomes.peak < MOST_BYTES


def test_each_that_must_be_is_refused_in_one_line_that_says_why(outcomes: Outcomes) -> None:
    assert [o.name for o in outcomes.each if o.kind == "taken" and o.is_refused] == []
    refused = [o for o in outcomes.each if o.kind != "taken"]
    assert [(o.name, o.kind, o.said) for o in refused if o.kind not in ("ModelError", "UsageError")] == []
    assert [(o.name, o.said) for o in refused if " — " not in o.said or CONTROLS.search(o.said)] == []
    assert [(o.name, o.says, o.said) for o in refused if o.says.lower() not in o.said.lower()] == []
    own = {path.name for path in outcomes.models.iterdir()}
    assert [(o.name, o.said) for o in refused if o.name in own and (len(o.said) > 600 or o.kind != "ModelError")] == []


def test_the_command_line_says_why(outcomes: Outcomes, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(Path("clip.mp4"), moving_frames(3))
    names = ["deep-nesting", "a-pickle-of-torch", "a-header-of-90-MB", "wrong-setting-of-its-pairing"]
    for name in (*names, "bfloat16,-signed"):
        model = outcomes.models / f"{name}.safetensors"
        assert name in refuse(capsys, 3, "stylize", "clip.mp4", "--model", model, "-q")
    for name in ("steps-that-are-no-list", "scores-that-are-no-table", "text-for-a-table"):
        assert name in refuse(capsys, 3, "model", "show", outcomes.models / f"{name}.safetensors")


def test_a_card_cannot_steer_the_terminal(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, weights = parts_of(tiny_model)
    record["card"]["author"] = "me\x1b]0;owned\x07\x9b2J"
    Path("card.safetensors").write_bytes(written(record, weights))
    told = said(capsys, 0, "model", "show", "card")
    assert "me�]0;owned��2J" in told
    record["generator"]["name"] = "\x1b[2J"
    Path("name.safetensors").write_bytes(written(record, weights))
    assert "\x1b" not in refuse(capsys, 3, "train", "nothing", "--from", "name.safetensors")


def test_a_bank_of_numbers_that_no_float_holds_is_refused() -> None:
    whole = frame_statistics([np.zeros((32, 32, 3), np.uint8)])
    FrameStatistics.of(whole)
    whole["detail"]["low"][0] = 10**400
    with pytest.raises(ModelError, match="statistics"):
        FrameStatistics.of(whole)
