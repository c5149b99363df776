"""Model files from hostile_models: refused with the reason, without code run, memory taken or a loop without end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said
from clips import moving_frames, write_clip
from hostile_models import bad_models, parts_of, written
from processes import HANG_S

from vidtrans.errors import ModelError

PEAK_MB = 1500
# Loads each file of a folder, in a process whose memory can be told.
LOADS = """
import faulthandler, json
from pathlib import Path
from vidtrans.models.model_file import load_generator
from vidtrans.system import peak_memory
import torch
found = {}
for path in sorted(Path().glob("*.safetensors")):
    # Each takes less than a second: this only ends a loop without end.
    faulthandler.dump_traceback_later(300, exit=True)
    try:
        load_generator(path)
        kind, said = "taken", ""
    except Exception as error:
        kind, said = type(error).__name__, str(error)
    faulthandler.cancel_dump_traceback_later()
    found[path.name] = [kind, said]
# On Linux getrusage counts the process that started this one, too.
status = Path("/proc/self/status")
lines = status.read_text("utf-8").splitlines() if status.exists() else []
own = [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]
peak = own[0] if own else peak_memory()
print(json.dumps([found, peak / 1e6]))
"""


@pytest.fixture(scope="module")
def hostile_models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of bad models."""
    folder, here = tmp_path_factory.mktemp("hostile_models"), Path.cwd()
    os.chdir(folder)
    try:
        bad_models(tiny_model)
    finally:
        os.chdir(here)
    return folder


def test_each_is_refused_in_a_line_and_in_little_memory(hostile_models: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADS], cwd=hostile_models, capture_output=True, text=True, timeout=2 * HANG_S
    )
    assert done.returncode == 0, done.stderr
    found, peak_mb = json.loads(done.stdout)
    assert len(found) > 70
    wrong = [f"{n}: {kind} {said[:300]}" for n, (kind, said) in found.items() if kind != "ModelError"]
    wrong += [f"{n}: {said}" for n, (_, said) in found.items() if " — " not in said or len(said) > 600]
    assert not wrong, "\n".join(wrong)
    assert peak_mb < PEAK_MB
    assert not (hostile_models / "exploded").exists()


@pytest.mark.parametrize(
    "name",
    ["deep-nesting", "a-pickle-of-torch", "a-header-of-90-MB", "wrong-setting-of-its-pairing", "bfloat16,-signed"],
)
def test_the_command_line_says_why(name: str, hostile_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(Path("clip.mp4"), moving_frames(3))
    assert name in refuse(capsys, 3, "stylize", "clip.mp4", "--model", hostile_models / f"{name}.safetensors", "-q")


@pytest.mark.parametrize("name", ["steps-that-are-no-list", "scores-that-are-no-table", "text-for-a-table"])
def test_what_is_shown_of_a_model_is_looked_at_first(
    name: str, hostile_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert name in refuse(capsys, 3, "model", "show", hostile_models / f"{name}.safetensors")


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
    from vidtrans.dreaming.drift_correction import FrameStatistics, frame_statistics

    whole = frame_statistics([np.zeros((32, 32, 3), np.uint8)])
    FrameStatistics.of(whole)
    whole["detail"]["low"][0] = 10**400
    with pytest.raises(ModelError, match="statistics"):
        FrameStatistics.of(whole)
