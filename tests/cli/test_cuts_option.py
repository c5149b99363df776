"""Where shots begin, as the user says: found, nowhere, or listed in a file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, scene, write_folder
from directed_clip import lossless
from flicker import flickering, look

from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import open_clip
from vidtrans.session import Context

Capsys = pytest.CaptureFixture[str]

COUNT, CUT = 30, 17
FLAGS = ("--codec", "ffv1")
LISTED = ("--cuts", "folder/moved.lst")
COMMANDS = {
    "stylize": ("stylize", "p.mp4", "--model", "identity", "--temporal", "window"),
    "deflicker": ("deflicker", "p.mp4", "--source", "s.mp4"),
    "alone": ("deflicker", "p.mp4"),
    "make-dataset": ("make-dataset", "s.mp4"),
}


@pytest.fixture(autouse=True)
def clips(tmp_path: Path) -> None:
    """``s.mp4``, a source of two shots, and ``p.mp4``, what flickers of it."""
    frames = moving_frames(COUNT, shots=(0, CUT))
    lossless(Path("s.mp4"), frames)
    lossless(Path("p.mp4"), flickering([look(f) for f in frames], 12))


def made(capsys: Capsys, *flags: object, name: str = "o.mkv") -> list[np.ndarray]:
    said(capsys, 0, "deflicker", "p.mp4", "--source", "s.mp4", "-o", name, "--overwrite", *FLAGS, *flags)
    return decode(Path(name))[2]


def stylised(capsys: Capsys, *flags: object, name: str = "o.mkv") -> dict[str, Any]:
    """The identity model with a filter."""
    return said_json(capsys, *COMMANDS["stylize"], "-o", name, *FLAGS, *flags)


LISTS = {
    "frame": f"{CUT}\n",
    "first too": f"0\n{CUT}",
    "remarks": f"# shots of s.mp4\n\n   {CUT}   # the second\n\n",
    "seconds, rounded up": f"{CUT / 30:.3f}s\n",
    "clock, of an editor of Windows": f"\ufeff00:00:00.{CUT * 1000 // 30}\r\n",
    "twice and in no order": f"0:00.5666\n{CUT}\n{CUT}\n0\n",
}


def test_a_list_may_be_written_in_many_ways() -> None:
    clip = open_clip(Context(), Path("s.mp4"))
    for name, listed in LISTS.items():
        Path("cuts.txt").write_bytes(listed.encode())
        assert with_cuts(clip, "auto").shots == with_cuts(clip, "cuts.txt").shots == (0, CUT), name
    for empty in ("", "# none\n"):
        Path("cuts.txt").write_text(empty)
        assert with_cuts(clip, "off").shots == with_cuts(clip, "cuts.txt").shots == (0,)


def test_off_averages_across_a_cut_and_a_list_only_where_none_is_listed(capsys: Capsys) -> None:
    """A clip whose two shots look alike enough to be followed, and of which one is brighter."""
    still = scene(64, 48, 1)
    lossless(Path("s.mp4"), [still] * 20)
    lossless(Path("p.mp4"), [np.full_like(still, 60 if i < 10 else 160) for i in range(20)])
    Path("cuts.txt").write_text("10")
    Path("other.txt").write_text("5")
    apart, across, elsewhere = (made(capsys, "--cuts", c) for c in ("cuts.txt", "off", "other.txt"))
    assert [int(f.mean()) for f in apart] == [60] * 10 + [160] * 10
    assert 85 < across[9].mean() < across[10].mean() < 135
    assert [int(f.mean()) for f in elsewhere[:5]] == [60] * 5
    assert elsewhere[5].mean() > 61
    assert 85 < elsewhere[9].mean() < 135
    first = made(capsys, "--cuts", "cuts.txt", "--temporal", "causal")
    assert [int(f.mean()) for f in first] == [60] * 10 + [160] * 10
    assert made(capsys, "--cuts", "off", "--temporal", "causal")[10].mean() < 100


def test_a_render_of_a_model_takes_them_too(capsys: Capsys) -> None:
    Path("cuts.txt").write_text("4\n9\n")
    assert stylised(capsys, "--cuts", "cuts.txt")["shots"] == 3
    assert stylised(capsys, "--cuts", "off", name="off.mkv")["shots"] == 1
    assert stylised(capsys, name="auto.mkv")["shots"] == 2
    part = ("--start", "5", "--end", "20", "--cuts", "cuts.txt")
    assert stylised(capsys, *part, name="part.mkv")["shots"] == 2  # frame numbers are the clip's, not the part's


@pytest.mark.parametrize("command", ["stylize", "deflicker"])
def test_editing_the_list_makes_the_render_anew_and_moving_it_does_not(command: str, capsys: Capsys) -> None:
    def render(cuts: str, *flags: object) -> dict[str, Any]:
        if command == "stylize":
            return stylised(capsys, "--cuts", cuts, *flags)
        return said_json(capsys, *COMMANDS["deflicker"], "-o", "o.mkv", "--cuts", cuts, *FLAGS, *flags)

    Path("cuts.txt").write_text("4\n")
    assert not render("cuts.txt")["cached"]
    assert render("cuts.txt")["cached"]
    Path("folder").mkdir()
    shutil.move("cuts.txt", "folder/moved.lst")
    assert render("folder/moved.lst")["cached"]
    Path("folder/moved.lst").write_text("5\n")
    assert "made with other inputs" in refuse(capsys, 2, *COMMANDS[command], *FLAGS, "-o", "o.mkv", *LISTED)
    again = render("folder/moved.lst", "--overwrite")
    assert not again["cached"]
    assert again["frames_encoded"] == COUNT
    Path("folder/moved.lst").write_text("4\n")
    assert render("folder/moved.lst", "--overwrite")["frames_encoded"] == 0  # its chunks are still there


def test_pictures_have_cuts_too(capsys: Capsys) -> None:
    frames = moving_frames(8, shots=(0, 4))
    write_folder(Path("s"), frames)
    write_folder(Path("p"), [look(f) for f in frames])
    Path("cuts.txt").write_text("4\n")
    flags = ("deflicker", "p", "--source", "s", "--dry-run")
    assert said_json(capsys, *flags)["shots"] == 2
    assert said_json(capsys, *flags, "--cuts", "cuts.txt")["shots"] == 2
    assert said_json(capsys, *flags, "--cuts", "off")["shots"] == 1


BAD = {
    "no list": (None, "--cuts cuts.txt", "there is no such file, and it is not auto or off"),
    "no time": ("4\n\nthe end\n", "--cuts cuts.txt, line 3", "'the end' is neither a frame nor a time"),
    "negative": ("-4\n", "--cuts cuts.txt, line 1", "'-4' is neither a frame nor a time"),
    "two on a line": ("4 5\n", "--cuts cuts.txt, line 1", "'4 5' is neither a frame nor a time"),
    "after the end": ("4\n30\n", "--cuts cuts.txt, line 2", "'30' is after the end of"),
    "a time after the end": ("# x\n1.001s", "--cuts cuts.txt, line 2", "'1.001s' is after the end of"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x01", "--cuts cuts.txt", "it is not a text file"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_bad_list_is_one_line(command: tuple[str, ...], capsys: Capsys) -> None:
    for content, where, why in BAD.values():
        if content is not None:
            Path("cuts.txt").write_bytes(content.encode() if isinstance(content, str) else content)
        line = refuse(capsys, 2, *command, "--cuts", "cuts.txt")
        assert line.startswith(f"error: {where}: {why}")


def test_cuts_are_in_the_file_of_a_project_too(capsys: Capsys) -> None:
    Path("vidtrans.toml").write_text('[rendering]\ncuts = "off"\n')
    flags = ("deflicker", "p.mp4", "--source", "s.mp4", "--dry-run")
    assert said_json(capsys, *flags)["shots"] == 1
    assert said_json(capsys, *flags, "--cuts", "auto")["shots"] == 2
