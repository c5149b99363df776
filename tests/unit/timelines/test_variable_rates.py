"""Media with a variable frame rate in a timeline: the command says that their frames are counted."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vidtrans.cli.main import run
from vidtrans.timelines.spans import read_facts
from vidtrans.timelines.timeline import TimelineClip

EDL = "001  AX V C 00:00:01:13 00:00:01:20 01:00:00:00 01:00:00:07\n* FROM CLIP NAME: {}\n"


def write_steps(path: Path, steps_ms: list[int]) -> None:
    """Write a video whose frames last these milliseconds."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("mpeg4", rate=1000)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 32, 32, "yuv420p", Fraction(1, 1000)
        for number, _ in enumerate(steps_ms):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), number * 4, np.uint8), "rgb24")
            frame.pts, frame.time_base = sum(steps_ms[:number]), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("steps_ms", "is_variable"), [([50] * 30 + [25] * 30, True), ([40] * 60, False), ([40, 40, 41, 39] * 15, False)]
)
def test_only_frames_far_from_their_numbers_make_a_rate_variable(
    steps_ms: list[int], is_variable: bool, tmp_path: Path
) -> None:
    write_steps(tmp_path / "a.mp4", steps_ms)
    clip = TimelineClip(1, "a", "a.mp4", None, None, Fraction(25))
    assert read_facts(tmp_path / "a.mp4", clip).is_variable == is_variable


def test_the_command_says_so_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    write_steps(Path("phone.mp4"), [50] * 30 + [25] * 30)
    Path("cut.edl").write_text(EDL.format("phone.mp4"))
    assert run(["stylize", "cut.edl", "--model", "identity", "--rate", "25", "-o", "out", "--dry-run"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "phone.mp4 has a variable frame rate, and its frames are counted" in said
    assert "vidtrans stylize phone.mp4 --model identity --fps 25" in said
