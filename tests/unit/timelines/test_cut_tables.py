"""Cuts from PySceneDetect and from EDLs."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from clips import moving_frames, write_clip
from hypothesis import given
from hypothesis import strategies as st

from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.cut_tables import edit_starts, scene_starts
from vidtrans.clips.indexing import open_clip
from vidtrans.core.errors import UsageError
from vidtrans.session import Context

HEAD = "Scene Number,Start Frame,Start Timecode,Start Time (seconds),End Frame,End Timecode,End Time (seconds)"
SCENES = [HEAD, "1,1,00:00:00.000,0.000,5,00:00:00.200,0.200", "2,6,00:00:00.200,0.200,12,00:00:00.480,0.480"]
CUTS = "Timecode List:,00:00:00.200"
EDL = """\
* CREATED WITH PYSCENEDETECT 0.7.2
TITLE: cuts
FCM: NON-DROP FRAME

001  AX V     C        00:00:00:00 00:00:00:05 01:00:00:00 01:00:00:05
002  AX V     C        00:00:00:05 00:00:00:12 01:00:00:05 01:00:00:12
"""


@pytest.mark.parametrize(
    "lines", [SCENES, [CUTS, *SCENES], [*SCENES, ""], [line.replace(",", "\t") for line in SCENES]]
)
def test_scenes_begin_at_their_frames(lines: list[str]) -> None:
    assert scene_starts(lines, "x.csv") == [0, 5]


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "x", "", "²", "9" * 12])
def test_a_scene_without_a_frame_number_is_named_with_its_line(text: str) -> None:
    with pytest.raises(UsageError, match=r"x\.csv, line 3: .* is not the number of a frame from 1"):
        scene_starts([*SCENES[:2], f"2,{text},00:00:00.200"], "x.csv")


@given(st.lists(st.text(max_size=60), max_size=6))
def test_other_texts_are_no_scenes_or_are_refused(lines: list[str]) -> None:
    try:
        found = scene_starts(lines, "x.csv")
    except UsageError:
        return
    assert found is None or all(start >= 0 for start in found)


@given(st.lists(st.integers(1, 99_999), min_size=1, max_size=30), st.booleans(), st.sampled_from(",;\t"))
def test_every_list_of_scenes_is_read(frames: list[int], has_cuts: bool, separator: str) -> None:
    rows = [f"{n},{frame},00:00:00.000" for n, frame in enumerate(frames, 1)]
    lines = [*([CUTS] if has_cuts else []), HEAD, *rows]
    assert scene_starts([line.replace(",", separator) for line in lines], "x") == [frame - 1 for frame in frames]


@given(st.lists(st.text(max_size=90), max_size=6))
def test_other_texts_are_no_edl(lines: list[str]) -> None:
    with pytest.raises(UsageError):
        edit_starts(Path("x.edl"), lines, Fraction(25))


def test_a_render_takes_the_cuts_of_both(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "a.mp4", moving_frames(12), rate=25)
    clip = open_clip(Context(cache_dir=tmp_path / "cache"), video)
    (tmp_path / "s.csv").write_text("\n".join([CUTS, *SCENES]))
    (tmp_path / "e.edl").write_text(EDL)
    assert [with_cuts(clip, str(tmp_path / name)).shots for name in ("s.csv", "e.edl")] == [(0, 5), (0, 5)]
    (tmp_path / "s.csv").write_text("\n".join([*SCENES, "3,13,00:00:00.480"]))
    with pytest.raises(UsageError, match=r"frame 12 is after the end of a\.mp4"):
        with_cuts(clip, str(tmp_path / "s.csv"))


@pytest.mark.thorough
def test_what_pyscenedetect_writes_is_read(tmp_path: Path) -> None:
    pytest.importorskip("scenedetect", reason="PySceneDetect is not installed")
    video = write_clip(tmp_path / "a.mp4", moving_frames(60, (256, 192), shots=(0, 20, 40)), rate=25)
    scenes = ["detect-content", "-t", "5", "-m", "5", "list-scenes", "-f", "s.csv"]
    command = [sys.executable, "-m", "scenedetect", "-q", "-i", str(video), "-o", str(tmp_path), *scenes]
    subprocess.run(command, check=True, capture_output=True)
    clip = open_clip(Context(cache_dir=tmp_path / "cache"), video)
    assert {0, 20, 40} <= set(with_cuts(clip, str(tmp_path / "s.csv")).shots)
