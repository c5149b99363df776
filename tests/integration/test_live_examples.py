"""The programs in examples/live: the Python ones speak to a real server, the others keep to the protocol's layout."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from clips import decode, moving_frames, times, write_clip
from live_server import Running, flat, pixels, png, serving

from vidtrans.live.protocol import DROPPED, FRAME, FRAME_KINDS, PAINTED, PICTURE, REPEATED, VERSION

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


def test_frames_that_are_dropped_are_counted(running: Running, clip: Path) -> None:
    with running.program() as page:
        page.send(type="controls", values={"freeze": True})
        page.state(freeze=True)
    done = run("send_frames.py", running.link(), clip, "-o", "out.mp4", "--all")
    assert done.returncode == 0, done.stderr
    assert f"1 of {COUNT} frames painted, {COUNT - 1} dropped" in done.stdout


@pytest.mark.thorough
def test_a_clip_is_played_and_what_does_not_fit_is_left_out(running: Running, clip: Path) -> None:
    done = run("send_frames.py", running.link(), clip, "-o", "out.mp4")
    assert done.returncode == 0, done.stderr
    stamps = [float(t) for t in times(Path("out.mp4"))]
    assert 1 <= len(stamps) <= COUNT
    assert all(min(abs(t - n / RATE) for n in range(COUNT)) < 2e-3 for t in stamps)


def test_one_that_does_not_know_the_token_is_told_in_a_line(running: Running, clip: Path) -> None:
    done = run("send_frames.py", running.link().replace("token=", "token=no"), clip, "-o", "out.mp4")
    assert done.returncode == 1
    assert "403" in done.stderr
    assert "Traceback" not in done.stderr


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


def offsets(layout: struct.Struct) -> list[tuple[str, int]]:
    """Return the code of each field of a header, and where it begins."""
    found, at = [], 0
    for code in layout.format.lstrip("<"):
        found.append((code, at))
        at += struct.calcsize(f"<{code}")
    assert at == layout.size
    return found


def constants(text: str) -> dict[str, int]:
    """Return what a script defines: ``const int FrameHeader = 16;`` or ``const FRAME_HEADER := 16`` as frameheader."""
    found = re.findall(r"^\s*const (?:\w+ )?(\w+) :?= (\d+);?", text, re.MULTILINE)
    return {name.replace("_", "").lower(): int(value) for name, value in found}


@pytest.mark.parametrize("name", ["VidtransCamera.cs", "vidtrans_camera.gd"])
def test_scripts_of_engines_know_the_version_sizes_and_kinds(name: str) -> None:
    known = constants((EXAMPLES / name).read_text(encoding="utf-8"))
    wanted = {f"kind{kind}": number for number, kind in FRAME_KINDS.items() if kind in ("picture", "drawing")}
    wanted |= {"version": VERSION, "frameheader": FRAME.size, "pictureheader": PICTURE.size, "mostunderway": 2}
    wanted |= {"painted": PAINTED, "repeated": REPEATED, "dropped": DROPPED}
    assert {key: known.get(key) for key in wanted} == wanted


GODOT = {"u8": "B", "u16": "H", "u32": "I", "double": "d", "float": "f"}
UNITY = {"UInt16": "H", "UInt32": "I", "Int64": "d", "Int32": "f"}  # a double is written as the bits of an Int64
FIELDS = r"BinaryPrimitives\.{}(\w+)LittleEndian\(\w+\.AsSpan\((\d+)"
BYTES_OF = {"Write": r"frame\[(\d+)\] =", "Read": r"data\[(\d+)\]"}
SCRIPTS: dict[str, tuple[dict[str, str], tuple[tuple[str, str], ...]]] = {  # … patterns of fields, and of single bytes
    "vidtrans_camera.gd": (GODOT, ((r"encode_(\w+)\((\d+),", "(?!)"), (r"decode_(\w+)\((\d+)\)", "(?!)"))),
    "VidtransCamera.cs": (UNITY, tuple((FIELDS.format(w), BYTES_OF[w]) for w in ("Write", "Read"))),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_of_engines_write_and_read_fields_where_they_are(name: str) -> None:
    text, (codes, ways) = (EXAMPLES / name).read_text(encoding="utf-8"), SCRIPTS[name]
    found = []
    for pattern, single in ways:
        fields = {(codes[kind], int(at)) for kind, at in re.findall(pattern, text)}
        found.append(fields | {("B", int(at)) for at in filter(None, re.findall(single, text))})
    assert found[0] == set(offsets(FRAME))
    assert {("B", 0), ("B", 1), ("I", 4), ("I", 16), ("I", 28)} <= found[1] <= set(offsets(PICTURE))
