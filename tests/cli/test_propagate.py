"""``vidtrans keyframes`` and ``vidtrans propagate`` as a painter would use them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode, moving_frames, write_clip, write_folder
from paintings import EXACT, QUICK, clip_and_keys, painted, write

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


def test_key_frames_that_cannot_be_are_one_line(capsys: Capsys) -> None:
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


PLAIN = ("--minutes", 0, *EXACT)  # without a network


def propagate(capsys: Capsys, *flags: object, keys: str = "keys", output: str = "o.mkv") -> dict[str, Any]:
    return said_json(capsys, "propagate", "c.mkv", "--keyframes", keys, "-o", output, *(flags or PLAIN))


def error(output: str, frames: list[np.ndarray], numbers: Any = range(12)) -> float:
    made = decode(Path(output))[2]
    return float(np.mean([np.abs(made[n].astype(float) - painted(frames[n])).mean() for n in numbers]))


def test_two_painted_frames_paint_the_clip(capsys: Capsys) -> None:
    frames = clip_and_keys()
    table = propagate(capsys)
    assert table["keyframes"] == [2, 9]
    assert (table["frames"], table["steps"], table["model"]) == (12, 0, None)
    assert error("o.mkv", frames, (2, 9)) == 0
    assert error("o.mkv", frames) < 4
    assert propagate(capsys)["cached"]


def test_a_network_is_left_beside_the_result_and_paints_other_clips(capsys: Capsys) -> None:
    clip_and_keys()
    table = propagate(capsys, *QUICK, *EXACT)
    assert table["steps"] == 2
    assert table["model"] == "o.safetensors"
    assert 0 <= min(table["shares"]) <= max(table["shares"]) <= 1
    assert len(list(Path("o.dataset").rglob("*.png"))) == 4
    write_clip(Path("other.mkv"), moving_frames(3))
    said(capsys, 0, "stylize", "other.mkv", "--model", "o", "-o", "s.mkv")
    look = propagate(capsys, *QUICK, "--follow", "look", *EXACT, output="l.mkv")
    assert not any(look["shares"])
    said(capsys, 0, "stylize", "c.mkv", "--model", "o", "--size", "source", "-o", "n.mkv", *EXACT)
    assert np.array_equal(decode(Path("l.mkv"))[2], decode(Path("n.mkv"))[2])


def test_nothing_passes_a_cut(capsys: Capsys) -> None:
    frames = clip_and_keys((5, 6), shots=(0, 6))
    propagate(capsys, output="both.mkv")
    shutil.copytree("keys", "other")
    write(Path("other/006.png"), frames[6] // 3)
    propagate(capsys, keys="other", output="one.mkv")
    both, one = decode(Path("both.mkv"))[2], decode(Path("one.mkv"))[2]
    assert np.array_equal(both[:6], one[:6])
    assert not np.array_equal(both[6:], one[6:])
    Path("keys/006.png").unlink()
    assert propagate(capsys, output="first.mkv")["shots_without"] == [6]
    told = said(capsys, 0, "propagate", "c.mkv", "--keyframes", "keys", *PLAIN, "-o", "again.mkv")
    assert "frames 6 to 11 has no key frame: it stays as it is" in told
    made = decode(Path("first.mkv"))[2]
    assert np.array_equal(made[:6], both[:6])
    assert np.array_equal(made[6:], frames[6:])


def test_painted_frames_are_painted_in_strokes(capsys: Capsys) -> None:
    frames = clip_and_keys()
    strokes = ("--strokes", "oil")
    assert propagate(capsys, *PLAIN, *strokes)["strokes"] == "oil"
    made = decode(Path("o.mkv"))[2]
    for key in (2, 9):
        assert not np.array_equal(made[key], painted(frames[key]))
        near = [np.abs(made[key].astype(float) - other).mean() for other in (painted(frames[key]), frames[key])]
        assert near[0] < near[1]
    words = ("propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "--layer", *strokes, "-o", "l.mov")
    assert "leave out --layer or --strokes" in refuse(capsys, 2, *words)


def test_pictures_without_a_number_are_found_by_what_they_show(capsys: Capsys) -> None:
    frames = [np.roll(moving_frames(1, (160, 120))[0], 9 * n, axis=1) for n in range(8)]
    write_clip(Path("c.mkv"), frames, codec="ffv1", pix_fmt="bgr0")
    write(Path("keys/knight.png"), painted(frames[5]))
    text = said(capsys, 0, "propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "--cuts", "off", "-o", "o.mkv")
    assert "knight.png: painted on frame 5, found by its content" in text
    write(Path("keys/knight.png"), np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8))
    ask = ("propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "--cuts", "off", "-o", "p.mkv")
    assert "does not look like any frame of the clip" in refuse(capsys, 3, *ask)


def test_what_is_no_painting_is_told(capsys: Capsys) -> None:
    frames = clip_and_keys((2,))
    write(Path("keys/009.png"), frames[9])
    Path("keys/005.psd").write_bytes(b"8BPS")
    ask = ("propagate", "c.mkv", "--minutes", 0, *EXACT, "--keyframes")
    text = said(capsys, 0, *ask, "keys", "-o", "o.mkv")
    assert "009.png: it shows frame 9 unchanged" in text
    assert "002.png: it shows" not in text
    assert "005.psd: not a picture that can be read" in text
    write(Path("only/1.png"), frames[1]).rename("only/1.kra")
    assert "it holds no readable picture (found 1.kra)" in refuse(capsys, 3, *ask, "only", "-o", "p.mkv")


def test_a_part_of_a_clip_and_a_dry_run(capsys: Capsys) -> None:
    clip_and_keys()
    ask = ("propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "-o", "o.mkv")
    table = said_json(capsys, *ask, "--dry-run")
    assert not Path("o.mkv").exists()
    assert not Path(".vidtrans").exists()
    assert table["estimate"]["seconds"] > 0
    learned = said_json(capsys, "propagate", "c.mkv", "--keyframes", "keys", *QUICK, "-o", "o.mkv", "--dry-run")
    assert learned["steps"] == 2
    part = said_json(capsys, *ask, "--start", 6)
    assert (part["frames"], part["keyframes"]) == (6, [9])
    assert "no painted frame lies in this part" in refuse(capsys, 2, *ask, "--start", 10, "--overwrite")


def test_mistakes_end_in_one_line(capsys: Capsys) -> None:
    frames = clip_and_keys()
    for folder in ("empty", "broken"):
        Path(folder).mkdir()
    Path("broken/2.png").write_bytes(b"no picture")
    write(Path("late/40.png"), painted(frames[3]))
    write(Path("clear/2.png"), np.zeros((48, 64, 4), np.uint8))
    for name in ("a2.png", "b2.png"):
        write(Path("twice") / name, painted(frames[2]))
    plain = ("--minutes", 0)
    for keys, status, more, why in (
        ("nothing", 2, plain, "no such folder"),
        ("empty", 3, plain, "no pictures in it"),
        ("late", 3, plain, "frame 40 of a clip whose last one is 11"),
        ("twice", 3, plain, "a2.png and b2.png are both painted on frame 2"),
        ("clear", 3, plain, "it is fully transparent"),
        ("broken", 3, plain, "not a picture that can be read"),
        ("keys", 2, (*plain, "--follow", "look"), "which --minutes 0 does not train"),
        ("keys", 2, (*QUICK, "--set=pairing.name=edges"), "painted frames already are aligned pairs"),
        ("keys", 2, (*plain, "-o", "keys", "--codec", "png"), "the output folder holds one of the inputs"),
    ):
        assert why in refuse(capsys, status, "propagate", "c.mkv", "-o", "o.mkv", "--keyframes", keys, *more)


def test_a_preview_is_filmed_at_once_and_as_it_learns(capsys: Capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    clip_and_keys()
    films: list[bytes] = []
    monkeypatch.setattr("vidtrans.training.finish.FIRST_PREVIEW_S", 0.0)
    ask = ("propagate", "c.mkv", "--keyframes", "keys", *QUICK, "--set=training.preview_seconds=0", *EXACT)
    film = Path("o.train/preview.mkv")

    def watch(*_: object) -> None:
        if film.exists() and film.read_bytes() not in films:
            films.append(film.read_bytes())

    monkeypatch.setattr("vidtrans.training.monitor.preview_sheet", watch)
    table = said_json(capsys, *ask, "-o", "o.mkv", "--preview")
    watch()
    assert len(decode(film)[2]) == 12
    assert len(films) >= 2  # without a network, and with what it was
    assert not list(Path("o.train").glob("preview.safetensors"))
    plain = said_json(capsys, *ask, "-o", "p.mkv", "--cache-dir", "other")
    assert Path("o.mkv").read_bytes() == Path("p.mkv").read_bytes()
    assert table["steps"] == plain["steps"]


def test_paint_alone_lies_over_footage_in_another_program(capsys: Capsys) -> None:
    frames = clip_and_keys(())
    layer = np.dstack([painted(frames[4]), np.zeros((48, 64), np.uint8)])
    layer[:24, :, 3] = 255
    layer[24:30, :, 3] = 128
    write(Path("keys/004.png"), layer)
    ask = ("propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "--temporal", "off")
    said_json(capsys, *ask, "-o", "whole", "--codec", "png")
    assert said_json(capsys, *ask, "-o", "layer", "--codec", "png", "--layer")["alpha"]
    for number, whole in enumerate(sorted(Path("whole").iterdir())):
        made = cv2.imread(str(Path("layer") / whole.name), cv2.IMREAD_UNCHANGED)
        alpha = made[..., 3:].astype(float) / 255
        laid = made[..., :3] * alpha + frames[number][..., ::-1] * (1 - alpha)
        assert np.abs(laid - cv2.imread(str(whole))).max() <= 3
        assert made[36:, :, 3].max() == 0
        assert made[:16, :, 3].mean() > 250
    network = ("propagate", "c.mkv", "--keyframes", "keys")  # what would fail after its training fails before
    assert "keeps no alpha" in refuse(capsys, 2, *network, "-o", "o.mp4", "--layer")
    assert "one picture cannot hold 12 frames" in refuse(capsys, 2, *network, "-o", "o.png")
    write(Path("keys/009.png"), painted(frames[9]))
    assert "frame 9 is fully painted" in refuse(capsys, 2, *ask, "-o", "other", "--codec", "png", "--layer")


def test_several_clips_each_with_its_folder(capsys: Capsys) -> None:
    frames = clip_and_keys()
    for name in ("a", "b"):
        Path(f"{name}.mkv").write_bytes(Path("c.mkv").read_bytes())
    Path("all").mkdir()
    write(Path("all/a/2.png"), painted(frames[2]))
    write(Path("all/b.keyframes/9.png"), painted(frames[9]))
    ask = ("propagate", "a.mkv", "b.mkv", "--keyframes", "all", "--minutes", 0, "-o", "out", "--codec", "ffv1")
    table = said_json(capsys, *ask, "--executor", "inline")
    assert [item["keyframes"] for item in table["items"]] == [[2], [9]]
    assert sorted(p.name for p in Path("out").glob("*.mkv")) == ["a.painted.mkv", "b.painted.mkv"]
    alone = said_json(capsys, "propagate", "b.mkv", "--keyframes", "all", *PLAIN, "--dry-run")
    assert alone["keyframes"] == [9]
    shutil.rmtree("all/b.keyframes")
    assert "no folder 'b' or 'b.keyframes' for b.mkv" in refuse(capsys, 2, *ask)


def test_numbers_of_pictures_count_where_some_are_missing(capsys: Capsys) -> None:
    frames = clip_and_keys(())
    kept = [i for i in range(12) if i not in (4, 6)]
    write_folder(Path("c"), [frames[i] for i in kept], [f"c_{i + 1001}.png" for i in kept])
    keys_of({"1006.png": 5, "AB_0020_1011_v2.png": 10}, frames)
    command = ("propagate", "c", "--keyframes", "keys", "-o", "o", "--minutes", 0, "--overwrite")
    assert said_json(capsys, *command)["keyframes"] == [4, 8]
    assert "the pictures of c have numbers" in refuse(capsys, 2, *command, "--first-number", 1)
    keys_of({"1007.png": 6}, frames)
    assert "picture 1007 of a folder that has 1001 to 1012" in refuse(capsys, 3, *command)


def keys_of(names: dict[str, int], frames: list[np.ndarray]) -> None:
    shutil.rmtree("keys", ignore_errors=True)
    for name, frame in names.items():
        write(Path("keys") / name, painted(frames[frame]))


def test_versions_takes_dates_and_sizes_are_no_frames_and_a_number_is_doubted_whose_frame_looks_otherwise(
    capsys: Capsys,
) -> None:
    frames = clip_and_keys(())
    command = ("propagate", "c.mkv", "--keyframes", "keys", "-o", "o.mkv", *PLAIN, "--overwrite")
    for names in (
        {"2_v9.png": 2, "9_v2.png": 9},
        {"shot010_1920x1080_v03_0002.png": 2, "shot010_1920x1080_v03_0009.png": 9},
        {"2_take4.png": 2, "9_20240131.png": 9},
    ):
        keys_of(names, frames)
        assert said_json(capsys, *command, "--dry-run")["keyframes"] == [2, 9]
    keys_of({"2_9.png": 2}, frames)
    told = said(capsys, 0, *command)
    assert "2_9.png: painted on frame 2, which it looks more like than frame 9" in told
    assert error("o.mkv", frames, [2]) == 0
    keys_of({"00003.png": 2, "00010.png": 9}, frames)
    doubt = "all painted frames look more like the frame before: numbered from 1? Then give --first-number 1"
    assert doubt in said(capsys, 0, *command, "--dry-run")
    assert doubt not in said(capsys, 0, *command, "--first-number", 1)
    assert error("o.mkv", frames, (2, 9)) == 0
    keys_of({"00012.png": 11}, frames)
    assert "say with --first-number which one frame 0 has (1?)" in refuse(capsys, 3, *command)
