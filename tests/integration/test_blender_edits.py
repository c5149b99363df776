"""The add-on in a real Blender: the Python or the program that VIDTRANS_BLENDER names. Without it these tests skip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

BLENDER = os.environ.get("VIDTRANS_BLENDER", "")
SCRIPTS = Path(__file__).resolve().parents[1] / "support" / "in_blender"
ROOT = SCRIPTS.parents[2]
pytestmark = pytest.mark.skipif(not BLENDER, reason="VIDTRANS_BLENDER names no Blender, nor a Python with bpy")


def run_in_blender(script: str, *arguments: object, limit_s: float = 300.0) -> Any:
    """Run a script inside Blender; return the results that it writes to the file of its last argument."""
    results, words = Path(str(arguments[-1])), [str(one) for one in arguments]
    path = str(SCRIPTS / f"{script}.py")
    is_python = "python" in Path(BLENDER).name.lower()
    line = [BLENDER, path, *words] if is_python else [BLENDER, "--background", "--python", path, "--", *words]
    home = results.parent / "config"
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "BLENDER_USER_CONFIG": str(home), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=limit_s, check=False, env=environment)
    assert results.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    return json.loads(results.read_text(encoding="utf-8"))


def program_at(path: Path, *line: str) -> Path:
    """Write a program that runs another line."""
    quoted = " ".join(f"'{word}'" for word in line)
    path.write_text(f"#!/bin/sh\nPYTHONPATH='{ROOT}' OMP_NUM_THREADS=1 exec {quoted} \"$@\"\n")
    path.chmod(0o755)
    return path


def vidtrans_at(folder: Path) -> Path:
    """Return a program that runs the vidtrans under test."""
    return program_at(folder / "vidtrans", sys.executable, "-c", "from vidtrans.cli.main import main; main()")


def numbered(number: int) -> np.ndarray:
    """Return a frame that shows its number in 8 blocks, (48, 64, 3) uint8."""
    frame = np.full((48, 64, 3), 40, np.uint8)
    for bit in range(8):
        frame[8:24, bit * 8 : bit * 8 + 8] = 230 if number >> bit & 1 else 20
    return frame


def write_clip(path: Path, frames: Iterable[np.ndarray], rate: str, times: Sequence[int] = ()) -> None:
    """Write a clip; ``times``: of its frames, in frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "8"}
        for number, picture in enumerate(frames):
            if number == 0:  # PyAV refuses a change after the first frame
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            if times:
                frame.pts, frame.time_base = times[number], 1 / Fraction(rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of numbered clips, and of numbered pictures."""
    folder = tmp_path_factory.mktemp("clips")
    for name, rate in (("24", "24"), ("30", "30"), ("23", "24000/1001")):
        write_clip(folder / f"{name}.mp4", map(numbered, range(100)), rate)
    write_clip(folder / "variable.mp4", map(numbered, range(80)), "24", [at + (at + 4) // 5 for at in range(80)])
    (folder / "pictures").mkdir()
    for number in range(100):
        Image.fromarray(numbered(number)).save(folder / "pictures" / f"shot_{number + 1:04d}.png")
    return folder


def test_every_edit_shows_the_frames_that_it_showed_before(clips: Path, tmp_path: Path) -> None:
    edits = run_in_blender("edits", clips, vidtrans_at(tmp_path), tmp_path / "edits.json", limit_s=600)
    assert len(edits) >= 20
    for name, edit in edits.items():
        before, after = edit["before"], edit["after"]
        assert [number for number, _ in after] == [number for number, _ in before], name
        assert max(abs(a - b) for (_, a), (_, b) in zip(before, after, strict=True)) <= 0.05, name
        assert len({number for number, _ in before}) >= 14, name
        assert edit["again"] == before, name
        assert edit["same"], name
        assert edit["late"] == [], name
    for name in ("half_as_fast", "ramp", "smooth_ramp", "faster_reversed", "hard_trim", "image_sequence_slower"):
        assert edits[name]["part"]["end"] - edits[name]["part"]["first"] <= 85, name  # not the whole file
    assert edits["handles"]["part"] == {"first": 16, "end": 55, "num_frames": 100}
    assert edits["handles"]["channels"] == [2, 3]
    assert edits["transition"]["channels"] == [1, 2]  # the next channel is taken


def frames_in(path: str) -> np.ndarray:
    """Return the frames of a clip, (N, H, W, 3) uint8."""
    with av.open(path) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_a_scene_becomes_a_styled_strip(tmp_path: Path) -> None:
    found = run_in_blender("scene", tmp_path / "files", vidtrans_at(tmp_path), "pencil", tmp_path / "scene.json")
    assert (found["first"], found["end"], found["channel"]) == (3, 11, 1)
    styled = frames_in(found["output"]).astype(float)
    source = np.stack([np.asarray(Image.open(path)) for path in sorted(Path(found["shot"], "colour").iterdir())])
    assert styled.shape == source.shape == (8, 96, 160, 3)
    assert np.ptp(styled, axis=3).mean() < 0.5 * np.ptp(source, axis=3).mean()  # pencil is nearly grey


REFUSALS = """unsaved: never saved
file_gone: not there
picture_gone: not there
meta: meta strip
locked: locked
colour_strip: no frames of its own
channels_full: channels are in use
extended: beyond the rendered frames
strip_gone: is gone
relinked: another file by now
twice: under way
unwritable: vidtrans: it cannot be written
file_moved: moved.mp4: the file of this strip is not there
locked_late: locked
scene_renamed: the scene Scene is gone
program_gone: not a program
program_old: too old
fails: damaged
no_camera: no camera
index_without_cycles: only Cycles"""


@pytest.mark.skipif(shutil.which("sh") is None, reason="its program is a shell script")
def test_jobs_outlive_kills_and_closed_files(clips: Path, tmp_path: Path) -> None:
    fake = program_at(tmp_path / "fake", sys.executable, str(SCRIPTS.parent / "fake_vidtrans.py"))
    old = program_at(tmp_path / "old", "echo")
    found = run_in_blender("lifecycle", clips, fake, old, tmp_path / "lifecycle.json")
    assert found["left_behind"] == []
    assert found["cancelled"] == {"state": "cancelled", "resumed_from_zero": False, "inserted": True}
    assert found["killed"] == {"state": "interrupted", "resumed_from_zero": False, "inserted": True}
    assert found["closed_without_saving"] == {"state": "ready", "inserted": True}
    assert found["undone"] == {"states": ["inserted", "ready", "inserted and there", "ready"], "inserted": True}
    assert found["twins"] == {"places": [[5, False], [200, True]], "files": 2, "sources_are_muted": True}
    assert found["left_folders"] == []
    refusals = found["refusals"]
    assert {key: text.count("\n") for key, text in refusals.items() if "\n" in text} == {}
    told = {line.partition(": ")[0]: line.partition(": ")[2] for line in REFUSALS.split("\n")}
    assert [words for name, words in told.items() if words not in refusals[name]] == []
    assert found["relative_path_and_odd_name"] is True
