"""The programs in examples/live: the Python ones speak to a real server, the others keep to the protocol's layout."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import decode, moving_frames, times, write_clip
from live_server import Running, flat, pixels, png, serving

from vidtrans.live.protocol import (
    DROPPED_FRAME,
    FRAME_HEADER,
    FRAME_KINDS,
    NEW_PICTURE,
    PICTURE_HEADER,
    PROTOCOL_VERSION,
    REPEATED_PICTURE,
)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "live"
COUNT, RATE = 12, 20

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def running() -> Iterator[Running]:
    with serving() as server:
        yield server


@pytest.fixture
def clip() -> Path:
    return write_clip(Path("clip.mp4"), moving_frames(COUNT), rate=RATE)


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_every_frame_of_a_clip_comes_back_at_its_time(running: Running, clip: Path) -> None:
    done = run("send_frames.py", running.link(), clip, "-o", "out.mp4", "--all")
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} of {COUNT} frames painted, 0 dropped" in done.stdout
    assert [float(t) for t in times(Path("out.mp4"))] == pytest.approx([n / RATE for n in range(COUNT)], abs=1e-3)
    last = decode(Path("out.mp4"))[2][-1].astype(int)
    assert last.shape == (48, 64, 3)
    assert np.abs(last - decode(clip)[2][-1]).mean() < 12  # half of it is the picture before: the controls' default
    done = run("send_frames.py", running.link().replace("token=", "token=no"), clip, "-o", "out.mp4")
    assert (done.returncode, "403" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_one_frame_is_painted_and_a_file_that_is_no_picture_is_told_in_a_line(running: Running) -> None:
    Path("in.png").write_bytes(png(flat(60)))
    done = run("post_frame.py", running.link(), "in.png", "-o", "out.jpg", "--kind", "drawing")
    assert done.returncode == 0, done.stderr
    assert np.abs(pixels(Path("out.jpg").read_bytes()).astype(int) - 60).max() <= 2
    Path("in.png").write_bytes(b"junk")
    done = run("post_frame.py", running.link(), "in.png", "-o", "out.png")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("400: ")


# Unity and Godot are not here to run the other two: what they say of the protocol is held against it.


def constants(text: str) -> dict[str, int]:
    """Return what a script defines: ``const int FrameHeader = 16;`` or ``const FRAME_HEADER := 16`` as frameheader."""
    found = re.findall(r"^\s*const (?:\w+ )?(\w+) :?= (\d+);?", text, re.MULTILINE)
    return {name.replace("_", "").lower(): int(value) for name, value in found}


@pytest.mark.parametrize("name", ["VidtransCamera.cs", "vidtrans_camera.gd"])
def test_scripts_of_engines_know_the_version_sizes_and_kinds(name: str) -> None:
    known = constants((EXAMPLES / name).read_text(encoding="utf-8"))
    wanted = {f"kind{kind}": number for number, kind in FRAME_KINDS.items() if kind in ("picture", "drawing")}
    wanted |= {
        "version": PROTOCOL_VERSION,
        "frameheader": FRAME_HEADER.size,
        "pictureheader": PICTURE_HEADER.size,
        "mostunderway": 2,
    }
    wanted |= {"painted": NEW_PICTURE, "repeated": REPEATED_PICTURE, "dropped": DROPPED_FRAME}
    assert {key: known.get(key) for key in wanted} == wanted
