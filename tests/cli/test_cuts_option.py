"""Where shots begin, as the user says: found, nowhere, or listed in a file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chain import refuse, said, said_json, tiny_flags
from clips import decode, moving_frames, scene, write_folder
from directed_clip import lossless
from flicker import flickering, look

from vidtrans.clips.cut_list import with_cuts
from vidtrans.clips.indexing import open_clip
from vidtrans.data.dataset import open_dataset
from vidtrans.session import Context

Capsys = pytest.CaptureFixture[str]

COUNT, CUT = 30, 17
FLAGS = ("--codec", "ffv1")
LISTED = ("--cuts", "folder/moved.lst")
COMMANDS = {
    "stylize": ("stylize", "p.mp4", "--model", "identity", "--temporal", "window"),
    "deflicker": ("deflicker", "p.mp4", "--source", "s.mp4"),
    "make-dataset": ("make-dataset", "s.mp4"),
}


@pytest.fixture(autouse=True)
def clips(tmp_path: Path) -> None:
    """``s.mp4``, a source of two shots, ``p.mp4``, what flickers of it, and two lists of cuts that are none."""
    Path("cuts.txt").write_text("4\n9\n")
    Path("other.txt").write_text("20\n")
    frames = moving_frames(COUNT, shots=(0, CUT))
    lossless(Path("s.mp4"), frames)
    lossless(Path("p.mp4"), flickering([look(f) for f in frames], 12))


def made(capsys: Capsys, *flags: object, name: str = "o.mkv") -> list[np.ndarray]:
    said(capsys, 0, "deflicker", "p.mp4", "--source", "s.mp4", "-o", name, "--overwrite", *FLAGS, *flags)
    return decode(Path(name))[2]


def stylised(capsys: Capsys, *flags: object, name: str = "o.mkv") -> dict[str, Any]:
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
    across, elsewhere = (made(capsys, "--cuts", cuts) for cuts in ("off", "other.txt"))
    assert 85 < across[9].mean() < across[10].mean() < 135
    assert [int(f.mean()) for f in elsewhere[:5]] == [60] * 5
    assert 61 < elsewhere[5].mean() < elsewhere[9].mean() < 135
    for method in ("window", "causal"):
        apart = made(capsys, "--cuts", "cuts.txt", "--temporal", method)
        assert [int(f.mean()) for f in apart] == [60] * 10 + [160] * 10


def test_editing_the_list_makes_the_render_anew_and_moving_it_does_not(capsys: Capsys) -> None:
    def render(cuts: str, *flags: object) -> dict[str, Any]:
        return said_json(capsys, *COMMANDS["deflicker"], "-o", "o.mkv", "--cuts", cuts, *FLAGS, *flags)

    Path("cuts.txt").write_text("4\n")
    assert not render("cuts.txt")["cached"]
    assert render("cuts.txt")["cached"]
    Path("folder").mkdir()
    shutil.move("cuts.txt", "folder/moved.lst")
    assert render("folder/moved.lst")["cached"]
    Path("folder/moved.lst").write_text("5\n")
    assert "made with other inputs" in refuse(capsys, 2, *COMMANDS["deflicker"], *FLAGS, "-o", "o.mkv", *LISTED)
    again = render("folder/moved.lst", "--overwrite")
    assert not again["cached"]
    assert again["frames_encoded"] == COUNT
    Path("folder/moved.lst").write_text("4\n")
    assert render("folder/moved.lst", "--overwrite")["frames_encoded"] == 0  # its chunks are still there


BAD = {
    "no list": (None, "--cuts cuts.txt", "there is no such file, and it is not auto or off"),
    "no time": ("4\n\nthe end\n", "--cuts cuts.txt, line 3", "'the end' is neither a frame nor a time"),
    "two on a line": ("4 5\n", "--cuts cuts.txt, line 1", "'4 5' is neither a frame nor a time"),
    "after the end": ("4\n30\n", "--cuts cuts.txt, line 2", "'30' is after the end of"),
    "a time after the end": ("# x\n1.001s", "--cuts cuts.txt, line 2", "'1.001s' is after the end of"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe\x00\x01", "--cuts cuts.txt", "it is not a text file"),
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_bad_list_is_one_line(command: tuple[str, ...], capsys: Capsys) -> None:
    Path("cuts.txt").unlink()
    for content, where, why in BAD.values():
        if content is not None:
            Path("cuts.txt").write_bytes(content.encode() if isinstance(content, str) else content)
        line = refuse(capsys, 2, *command, "--cuts", "cuts.txt")
        assert line.startswith(f"error: {where}: {why}")


def test_a_model_and_the_file_of_a_project_take_cuts_too(capsys: Capsys) -> None:
    part = ("--start", "5", "--end", "20", "--dry-run")  # frame numbers are the clip's, not the part's
    assert stylised(capsys, *part, "--cuts", "cuts.txt")["shots"] == 2
    Path("vidtrans.toml").write_text('[rendering]\ncuts = "off"\n')
    flags = ("deflicker", "p.mp4", "--source", "s.mp4", "--dry-run")
    assert said_json(capsys, *flags)["shots"] == 1
    assert said_json(capsys, *flags, "--cuts", "auto")["shots"] == 2


NEXT = ("--pairing", "next-frame", "--set=pairing.context_frames=1", "--set=dataset.val_fraction=0")
MAKE = ("make-dataset", "s.mp4", *NEXT, *tiny_flags("dataset"))


def missing_steps(folder: str = "s.dataset") -> list[int]:
    """The frames that no pair leads to from the one before."""
    there = {tuple(int(p.stem) for p in (*pair.inputs, pair.target)) for pair in open_dataset(Path(folder)).pairs}
    assert all(b == a + 1 for a, b in there)
    return [n for n in range(1, COUNT) if (n - 1, n) not in there]


def built(capsys: Capsys, *flags: object) -> dict[str, Any]:
    return said_json(capsys, *MAKE, "--set=dataset.drop_duplicates=false", "--set=dataset.min_sharpness=0", *flags)


@pytest.mark.parametrize(
    ("flags", "cuts"),
    [(("--cuts", "auto"), [CUT]), (("--cuts", "off"), []), (("--set=dataset.cuts='cuts.txt'",), [4, 9])],
    ids=["auto", "off", "a list"],
)
def test_pairs_reach_across_no_cut_that_is_named_and_across_all_others(
    flags: tuple[str, ...], cuts: list[int], capsys: Capsys
) -> None:
    assert built(capsys, *flags)["shots"] == len(cuts) + 1
    assert missing_steps() == cuts
    (source,) = json.loads(Path("s.dataset/dataset.json").read_text())["sources"]
    assert source.get("cuts") == (None if cuts == [CUT] else cuts)  # found ones are not on record


def test_an_edited_list_makes_another_dataset_and_a_moved_one_does_not(capsys: Capsys) -> None:
    assert not built(capsys, "--cuts", "cuts.txt")["cached"]
    assert built(capsys, "--cuts", "cuts.txt")["cached"]
    Path("folder").mkdir()
    shutil.move("cuts.txt", "folder/moved.lst")
    assert built(capsys, "--cuts", "folder/moved.lst")["cached"]
    Path("folder/moved.lst").write_text("5\n")
    for flags in (("--cuts", "other.txt"), ("--cuts", "off"), (), LISTED):
        assert "made from other inputs, by another command or with other options" in refuse(capsys, 2, *MAKE, *flags)


def test_a_list_is_refused_where_it_fits_nothing(capsys: Capsys) -> None:
    shutil.copy("s.mp4", "t.mp4")
    frames = moving_frames(4)
    write_folder(Path("pairs/A"), frames)
    write_folder(Path("pairs/B"), [255 - f for f in frames])
    write_folder(Path("sizes"), [*frames, *moving_frames(4, size=(48, 64))])
    for sources, flags, cuts, says in (
        (("s.mp4", "t.mp4"), NEXT[:2], "cuts.txt", "--cuts cuts.txt: one list fits one video"),
        (("pairs",), ("--pairing", "aligned"), "cuts.txt", "--cuts cuts.txt: the pairs of pairs are in no order"),
        (("sizes",), NEXT[:2], "off", "sizes are of several sizes"),
    ):
        assert says in refuse(capsys, 2, "make-dataset", *sources, *flags, "--cuts", cuts)
    assert built(capsys, "--start", "6", "--end", "25", "--cuts", "cuts.txt")["shots"] == 2
    assert [n for n in missing_steps() if 6 < n < 25] == [9]  # frames are counted in the clip
