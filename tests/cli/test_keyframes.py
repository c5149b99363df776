"""``vidtrans keyframes`` as a painter would use it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip, write_folder

Capsys = pytest.CaptureFixture[str]


def test_the_frames_of_each_shot_are_written_at_full_size_with_a_sheet(capsys: Capsys) -> None:
    clip = write_clip(Path("c.mkv"), moving_frames(20, shots=(0, 9)), codec="ffv1")
    table = said_json(capsys, "keyframes", clip)
    assert table["shots"] == 2
    assert table["output"] == "c.keyframes"
    first, second = table["keyframes"]
    assert first < 9 <= second < 20
    assert {p.name for p in Path("c.keyframes").iterdir()} == {f"{first:06d}.png", f"{second:06d}.png", "sheet.png"}
    written = cv2.imread(f"c.keyframes/{second:06d}.png")[..., ::-1].astype(int)
    assert int(np.argmin([np.abs(written - frame).mean() for frame in decode(clip)[2]])) == second
    assert len(table["one_more"]) == 3
    assert table["one_more_psnr"] >= table["psnr"] > 10
    assert "up to date" in said(capsys, 0, "keyframes", clip)


def test_how_many_and_where(capsys: Capsys) -> None:
    clip = write_clip(Path("c.mkv"), moving_frames(14, shots=(0, 9)))
    assert "four: 4 frames to paint" in said(capsys, 0, "keyframes", clip, "-n", 4, "-o", "four")
    part = said_json(capsys, "keyframes", clip, "-n", 1, "--start", 10, "--end", 14, "-o", "part")
    assert part["shots"] == 1
    assert 10 <= part["keyframes"][0] < 14
    assert said_json(capsys, "keyframes", clip, "-n", 1, "--cuts", "off", "-o", "whole")["shots"] == 1
    every = said_json(capsys, "keyframes", clip, "-n", 3, "--start", 0, "--end", 3, "-o", "all")
    assert (every["keyframes"], every["one_more"]) == ([0, 1, 2], [])


def test_mistakes_end_in_one_line(capsys: Capsys) -> None:
    clip = write_clip(Path("c.mkv"), moving_frames(20, shots=(0, 9)))
    assert "2 shots, and each needs one" in refuse(capsys, 2, "keyframes", clip, "-n", 1)
    assert "the section has 3 frames" in refuse(capsys, 2, "keyframes", clip, "-n", 4, "--start", 0, "--end", 3)
    assert "no such file" in refuse(capsys, 3, "keyframes", "nothing.mp4")
    cv2.imwrite("one.png", moving_frames(1)[0])
    assert "it is one picture" in refuse(capsys, 2, "keyframes", "one.png")
    Path("mine").mkdir()
    Path("mine/diary.txt").write_text("dear")
    assert "this command did not write" in refuse(capsys, 2, "keyframes", clip, "-o", "mine", "--overwrite")
    assert Path("mine/diary.txt").read_text() == "dear"
    assert not Path("c.keyframes").exists()


def test_paint_is_not_overwritten_unasked(capsys: Capsys) -> None:
    clip = write_clip(Path("c.mkv"), moving_frames(8))
    (first, *_) = said_json(capsys, "keyframes", clip)["keyframes"]
    painted = Path(f"c.keyframes/{first:06d}.png")
    cv2.imwrite(str(painted), 255 - cv2.imread(str(painted)))
    kept = painted.read_bytes()
    for more in ((), ("-n", 3, "--overwrite")):
        assert "painted over" in refuse(capsys, 2, "keyframes", clip, *more)
    assert painted.read_bytes() == kept
    said_json(capsys, "keyframes", clip, "-o", "other")
    said_json(capsys, "keyframes", clip, "-n", 3, "-o", "other", "--overwrite")  # as they were written


def test_pictures_are_a_clip_and_those_of_one_name_have_numbers(capsys: Capsys) -> None:
    folder = write_folder(Path("shots"), moving_frames(6))
    chosen = said_json(capsys, "keyframes", folder, "-n", 2)["keyframes"]
    assert {p.stem for p in Path("shots.keyframes").iterdir()} == {*map(str, chosen), "sheet"}
    Path("mixed").mkdir()
    for number, frame in enumerate(moving_frames(6)):
        cv2.imwrite(f"mixed/{number // 2}.{'jpg' if number % 2 else 'png'}", frame)
    numbers = said_json(capsys, "keyframes", "mixed", "-n", 3, "-o", "m")["keyframes"]
    assert sorted(p.stem for p in Path("m").glob("frame*")) == [f"frame {number:06d}" for number in numbers]
    for path in Path("m").glob("frame*"):
        cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    made = said_json(capsys, "propagate", "mixed", "--keyframes", "m", "--minutes", 0, "-o", "o.mkv")
    assert made["keyframes"] == numbers
