"""Pictures rendered: one, a folder, of several sizes; into videos and out of them; and what must not be replaced."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot
from clips import decode, moving_frames, pictures_of, scene, sound_packets, times, write_folder
from directed_clip import same

from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.io.reader import ClipReader

Capsys = pytest.CaptureFixture[str]
SIZES = [(64, 48), (40, 40), (48, 64)]
IDENTITY = ("--model", "identity")


def test_a_picture_gives_a_picture_of_its_own_size(capsys: Capsys) -> None:
    write_folder(Path(), [scene(63, 47, seed=1)], ["photo.jpg"])
    table = said_json(capsys, "stylize", "photo.jpg", *IDENTITY)
    assert (table["output"], table["frames"]) == ("photo.identity.png", 1)
    assert np.array_equal(read_picture(Path("photo.identity.png")), read_picture(Path("photo.jpg")))
    assert "up to date" in said(capsys, 0, "stylize", "photo.jpg", *IDENTITY)


def test_a_folder_gives_a_folder_with_the_same_names_which_is_replaced_only_when_asked(capsys: Capsys) -> None:
    frames, names = moving_frames(12), [f"take{i}.png" for i in range(12)]
    write_folder(Path("in"), frames, names)
    write_picture(Path("in/.hidden.png"), frames[0])
    Path("in/notes.txt").write_text("x")
    command = ("stylize", "in", *IDENTITY, "--set=rendering.chunk_frames=5")
    table = said_json(capsys, *command)
    assert (table["output"], table["frames"]) == ("in.identity", 12)
    found = pictures_of(Path("in.identity"))
    assert sorted(found) == sorted(names)
    assert same([found[n] for n in names], frames)
    write_picture(write_folder(Path("in/sub"), []) / "0.png", frames[0])  # what lies beside pictures changes nothing
    before = snapshot(Path())
    assert "up to date" in said(capsys, 0, *command)
    assert snapshot(Path()) == before
    write_picture(Path("in/take2.png"), scene(64, 48, seed=5))
    Path("in/take3.png").unlink()
    assert "--overwrite" in refuse(capsys, 2, *command)
    said(capsys, 0, *command, "--overwrite")
    found = pictures_of(Path("in.identity"))
    assert sorted(found) == sorted({*names} - {"take3.png"})
    assert np.array_equal(found["take2.png"], scene(64, 48, seed=5))
    assert [p for p in Path().iterdir() if p.name.startswith(".in")] == []
    for place in ("in", ".", "in/../in"):  # never over their sources
        refuse(capsys, 2, *command, "-o", place, "--overwrite")
    refuse(capsys, 2, "stylize", "in/take0.png", *IDENTITY, "-o", "in/take0.png", "--overwrite")


def test_each_picture_of_a_mixed_folder_is_rendered_at_its_own_size(capsys: Capsys) -> None:
    frames = [scene(*size, seed=i) for i, size in enumerate(SIZES)]
    write_folder(Path("in"), frames, ["a.png", "b.bmp", "c.png"])
    before = sorted(Path().rglob("*"))
    table = said_json(capsys, "stylize", "in", *IDENTITY, "--dry-run")
    assert (table["frames"], table["dry_run"]) == (3, True)
    assert table["estimate"]["disk_bytes"] > 0
    assert sorted(Path().rglob("*")) == before
    table = said_json(capsys, "stylize", "in", *IDENTITY)
    assert (table["output"], table["frames"], table["cached"]) == ("in.identity", 3, False)
    assert [item["size"] for item in table["items"]] == [list(size) for size in SIZES]
    found = pictures_of(Path("in.identity"))
    assert same([found["a.png"], found["b.png"], found["c.png"]], frames)
    assert said_json(capsys, "stylize", "in", *IDENTITY)["cached"] is True
    said(capsys, 0, "stylize", "in", *IDENTITY, "--start", "1", "--end", "2", "-o", "part")
    assert sorted(pictures_of(Path("part"))) == ["b.png"]


def test_a_folder_becomes_a_video_at_the_rate_that_is_asked(capsys: Capsys) -> None:
    frames = moving_frames(12)
    write_folder(Path("in"), frames)
    lossless = ("-o", "out.mkv", "--codec", "ffv1", "--set=rendering.picture_fps=12.5")
    said(capsys, 0, "stylize", "in", *IDENTITY, *lossless)
    shown = times(Path("out.mkv"))
    assert all(abs(t - Fraction(2 * i, 25)) <= Fraction(1, 1000) for i, t in enumerate(shown))  # of Matroska
    assert same(decode(Path("out.mkv"))[2], frames)
    assert sound_packets(Path("out.mkv")) == []
    said(capsys, 0, "stylize", "in", *IDENTITY, "-o", "out.mp4")
    assert times(Path("out.mp4")) == [Fraction(i, 25) for i in range(12)]
    said(capsys, 0, "stylize", "in/3.png", *IDENTITY, "-o", "one.mp4")
    assert len(times(Path("one.mp4"))) == 1


def test_a_video_becomes_a_folder_of_pictures(clip: Path, capsys: Capsys) -> None:
    arguments = ("stylize", clip, *IDENTITY, "--codec", "png", "--set=rendering.chunk_frames=7")
    assert said_json(capsys, *arguments)["output"] == "clip.identity"
    found = pictures_of(Path("clip.identity"))
    assert list(found) == [f"{i:06d}.png" for i in range(40)]
    with ClipReader(clip) as reader:
        assert same(list(found.values()), [f.rgb for f in reader.frames()])
    before = snapshot(Path())
    assert "up to date" in said(capsys, 0, *arguments)
    assert snapshot(Path()) == before
    said(capsys, 0, "stylize", clip, *IDENTITY, "--start", "30", "--end", "31", "-o", "still.png")
    assert np.array_equal(read_picture(Path("still.png")), found["000030.png"])
    told = refuse(capsys, 2, "stylize", clip, *IDENTITY, "--start", "3", "--end", "5", "-o", "several.png")
    assert "one picture cannot hold" in told
    assert "--codec png -o several" in told
    for ending, why in (("jpg", "use -o out.png"), ("txt", "written as .png")):
        assert why in refuse(capsys, 2, "stylize", "still.png", *IDENTITY, "-o", f"out.{ending}")


def test_a_damaged_picture_is_one_line_with_its_name(capsys: Capsys) -> None:
    for folder, sizes in (("same", SIZES[:1] * 3), ("mixed", SIZES)):
        write_folder(Path(folder), [scene(*s, seed=i) for i, s in enumerate(sizes)])
        data = Path(folder, "1.png").read_bytes()
        Path(folder, "1.png").write_bytes(data[: len(data) // 3])
        for command in (("stylize", *IDENTITY, folder), ("make-dataset", folder)):
            assert "1.png: not a picture that can be read" in refuse(capsys, 3, *command)


def test_an_empty_folder_is_no_clip_whatever_lies_hidden_in_it(capsys: Capsys) -> None:
    Path("in").mkdir()
    write_picture(Path("in/.hidden.png"), scene(64, 48, 1))
    Path("in/notes.txt").write_text("x")
    for arguments in (("stylize", "in", *IDENTITY), ("make-dataset", "in")):
        assert "no pictures in this folder" in refuse(capsys, 3, *arguments)
    assert "no pairs in it" in refuse(capsys, 3, "make-dataset", "in", "--pairing", "aligned")
    assert not Path(".vidtrans").exists()
