"""``vidtrans fix`` as a painter would use it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import refuse, said_json, snapshot
from clips import decode, moving_frames, write_clip, write_folder
from paintings import EXACT, QUICK, clip_and_keys, write

from vidtrans.cli.main import run
from vidtrans.config.recipe import programs_in
from vidtrans.core.errors import UsageError
from vidtrans.core.files import digest_of
from vidtrans.propagation.fixing import check_programs

Capsys = pytest.CaptureFixture[str]
BOX = (slice(10, 20), slice(40, 54))  # beside the way of the disc


def result(capsys: Capsys, output: str = "o.mkv", size: tuple[int, int] = (64, 48)) -> list[np.ndarray]:
    write_clip(Path("c.mkv"), moving_frames(12, size=size), codec="ffv1", pix_fmt="bgr0")
    said_json(capsys, "stylize", "c.mkv", "--model", "identity", "-o", output, *EXACT)
    return decode(Path(output))[2]


def correct(frame: np.ndarray, number: int, folder: str = "fixes", colour: int = 250) -> None:
    picture = frame.copy()
    picture[BOX] = (colour, 20, 200)
    write(Path(f"{folder}/{number:04d}.png"), picture)


def test_a_correction_goes_through_the_clip_and_leaves_the_rest_to_the_bit(capsys: Capsys) -> None:
    before = result(capsys)
    correct(before[5], 5)
    table = said_json(capsys, "fix", "o.mkv", "--painted", "fixes")
    assert table["output"] == "o.fixed.mkv"
    assert (table["frames"], table["corrections"]) == (12, [5])
    after = decode(Path("o.fixed.mkv"))[2]
    for number, (one, other) in enumerate(zip(before, after, strict=True)):
        inner = other[12:18, 43:51].astype(float)
        assert np.abs(inner - (250, 20, 200)).mean() < (1 if number == 5 else 12), number
        differs = (one != other).any(2)
        differs[4:26, 34:60] = False
        assert not differs.any()
    assert said_json(capsys, "fix", "o.mkv", "--painted", "fixes")["cached"]


def test_another_correction_takes_its_place_and_taking_all_away_undoes_them(capsys: Capsys) -> None:
    before = result(capsys)
    correct(before[2], 2)
    one = said_json(capsys, "fix", "o.mkv", "--painted", "fixes", "-o", "f.mkv")
    correct(decode(Path("f.mkv"))[2][8], 8, "on top", 90)
    first = Path("f.mkv").read_bytes()
    correct(before[9], 9, colour=90)
    assert "have changed since" in refuse(capsys, 2, "fix", "f.mkv", "--painted", "on top")
    two = said_json(capsys, "fix", "o.mkv", "--painted", "fixes", "-o", "f.mkv")  # of its own making: no --overwrite
    assert (one["corrections"], two["corrections"]) == ([2], [2, 9])
    made = decode(Path("f.mkv"))[2]
    assert made[2][15, 47, 0] == 250
    assert made[9][15, 47, 0] == 90
    Path("fixes/0009.png").unlink()
    said_json(capsys, "fix", "o.mkv", "--painted", "fixes", "-o", "f.mkv")
    assert Path("f.mkv").read_bytes() == first
    Path("fixes/0002.png").unlink()
    assert said_json(capsys, "fix", "o.mkv", "--painted", "fixes", "-o", "f.mkv")["corrections"] == []
    assert all(np.array_equal(one, other) for one, other in zip(before, decode(Path("f.mkv"))[2], strict=True))
    Path("g.mkv").write_bytes(b"mine")
    assert "it exists" in refuse(capsys, 2, "fix", "o.mkv", "--painted", "fixes", "-o", "g.mkv")


def test_layers_jpeg_and_other_sizes(capsys: Capsys) -> None:
    before = result(capsys)
    layer = np.zeros((48, 64, 4), np.uint8)
    layer[BOX] = (250, 20, 200, 255)
    write(Path("layer/5.png"), layer)
    said_json(capsys, "fix", "o.mkv", "--painted", "layer", "-o", "l.mkv")
    assert tuple(decode(Path("l.mkv"))[2][5][15, 47]) == (250, 20, 200)
    big = cv2.resize(before[5], (128, 96), interpolation=cv2.INTER_CUBIC)
    big[22:38, 82:106] = (250, 20, 200)
    Path("jpeg").mkdir()
    cv2.imwrite("jpeg/5.jpg", big[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    said_json(capsys, "fix", "o.mkv", "--painted", "jpeg", "-o", "j.mkv")
    after = decode(Path("j.mkv"))[2][5]
    assert np.abs(after[13:17, 44:50].astype(float) - (250, 20, 200)).mean() < 12
    assert (after[30:] == before[5][30:]).all(2).mean() > 0.95


def test_paint_even_black_is_added_to_a_layer(capsys: Capsys) -> None:
    clip_and_keys(())
    layer = np.zeros((48, 64, 4), np.uint8)
    layer[:16, :20] = (200, 40, 30, 255)
    write(Path("keys/2.png"), layer)
    ask = ("propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "--layer", "--codec", "png", "-o", "lay")
    said_json(capsys, *ask, "--temporal", "off")
    made = sorted(Path("lay").glob("*.png"))
    whole = cv2.cvtColor(cv2.imread(str(made[5]), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    whole[34:44, 40:54] = (0, 0, 0, 255)
    write(Path("fixes") / made[5].name, whole)
    said_json(capsys, "fix", "lay", "--painted", "fixes")
    after = [cv2.imread(str(p), cv2.IMREAD_UNCHANGED) for p in sorted(Path("lay.fixed").glob("*.png"))]
    assert (after[5][36:42, 43:51] == (0, 0, 0, 255)).all()
    assert after[6][38, 46, 3] > 200
    assert after[6][38, 46, :3].max() < 12
    assert np.array_equal(after[5][:30], cv2.imread(str(made[5]), cv2.IMREAD_UNCHANGED)[:30])


def test_a_pattern_stands_for_its_pictures(capsys: Capsys) -> None:
    write_folder(Path("shots"), moving_frames(4))
    said_json(capsys, "stylize", "shots", "--model", "identity", "-o", "out/f_%04d.png")
    picture = cv2.imread("out/f_0002.png")[..., ::-1].copy()
    picture[BOX] = (250, 20, 200)
    write(Path("fixes/f_0002.png"), picture)
    table = said_json(capsys, "fix", "out/f_%04d.png", "--painted", "fixes", "-o", "new/f_%04d.png")
    assert (table["corrections"], table["output"]) == ([2], "new")
    assert tuple(cv2.imread("new/f_0002.png")[15, 47]) == (200, 20, 250)
    planned = said_json(capsys, "fix", "out/f_%04d.png", "--painted", "fixes", "--dry-run")
    assert (planned["dry_run"], planned["output"], Path("out.fixed").exists()) == (True, "out.fixed", False)
    said_json(capsys, "fix", "out", "--painted", "fixes")
    assert tuple(cv2.imread("out.fixed/f_0002.png")[15, 47]) == (200, 20, 250)


def test_a_record_runs_only_repeated_programs() -> None:
    mirrored: dict[str, Any] = {"rendering": {"source_filter": "hflip"}}
    check_programs(programs_in(mirrored), Path("o.mkv"), ("hflip",))
    encoded: dict[str, Any] = {"encoding": {"codec": "ffmpeg:mpeg4", "options": "q=2"}}
    for tables, allowed, why in (
        (mirrored, (), "repeat it: --program hflip"),
        (encoded, ("ffmpeg:mpeg4",), "repeat it: --program q=2"),
        ({"encoding": {"filter": "negate"}}, ("negate",), "render without the graph"),
    ):
        with pytest.raises(UsageError, match=why):
            check_programs(programs_in(tables), Path("o.mkv"), allowed)


def test_mistakes_end_in_one_line(capsys: Capsys) -> None:
    before = result(capsys)
    correct(before[5], 5)
    write(Path("same/5.png"), before[5])
    write(Path("other/5.png"), np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    write(Path("late/50.png"), before[5])
    for render, painted, more, status, why in (
        ("c.mkv", "fixes", (), 2, "no record of it"),
        ("none.mkv", "fixes", (), 2, "no such file"),
        ("o.mkv", "none", (), 2, "no such folder"),
        ("o.mkv", "fixes", ("-o", "f.mp4"), 2, "has the same format"),
        ("o.mkv", "same", (), 3, "it changes nothing of frame 5"),
        ("o.mkv", "other", (), 3, "does not look like frame 5"),
        ("o.mkv", "late", (), 3, "frame 50 of a clip whose last one is 11"),
    ):
        assert why in refuse(capsys, status, "fix", render, "--painted", painted, *more)
    write_clip(Path("c.mkv"), moving_frames(12, shots=(0, 4)), codec="ffv1")
    assert "have changed since" in refuse(capsys, 2, "fix", "o.mkv", "--painted", "fixes")


@pytest.mark.thorough
def test_a_network_learns_what_was_corrected(capsys: Capsys) -> None:
    clip_and_keys()
    said_json(capsys, "propagate", "c.mkv", "--keyframes", "keys", *QUICK, "-o", "o.mkv", *EXACT)
    before = decode(Path("o.mkv"))[2]
    write(Path("fixes/5.png"), 255 - before[5])
    table = said_json(capsys, "fix", "o.mkv", "--painted", "fixes", "--relearn", "-o", "f.mkv")
    assert (table["keyframes"], table["corrections"], table["model"]) == ([2, 5, 9], [5], "f.safetensors")
    after = decode(Path("f.mkv"))[2]
    assert np.array_equal(after[5], 255 - before[5])
    assert not np.array_equal(after[4], before[4])
    assert said_json(capsys, "fix", "o.mkv", "--painted", "fixes", "--relearn", "-o", "f.mkv")["cached"]
    write(Path("more/1.png"), after[1] // 2)
    twice = said_json(capsys, "fix", "f.mkv", "--painted", "more", "-o", "g.mkv")
    assert np.array_equal(decode(Path("g.mkv"))[2][1], after[1] // 2)
    assert twice["keyframes"] == [2, 5, 9]
    again = ("fix", "g.mkv", "--painted", "fixes", "--relearn", "-o", "h.mkv")
    assert "correct 'f.mkv' instead, with all corrections in --painted DIR" in refuse(capsys, 2, *again)


def test_a_record_from_elsewhere_neither_writes_elsewhere_nor_ends_in_a_traceback(capsys: Capsys) -> None:
    clip_and_keys()
    said_json(capsys, "propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "-o", "o.mkv", *EXACT)
    correct(decode(Path("o.mkv"))[2][6], 6)
    (record,) = (path for path in Path(".vidtrans/outputs").iterdir() if '"command":"propagate"' in path.read_text())
    genuine = json.loads(record.read_text())
    before = snapshot(Path())

    def forge(change: Callable[[dict[str, Any]], object]) -> None:
        value = json.loads(json.dumps(genuine))
        value.pop("sha256")
        change(value["made_of"])
        record.write_text(json.dumps(value | {"sha256": digest_of(value)}))

    forge(lambda made: made["request"].update(output={"path": "../../elsewhere/x.mkv"}))
    forge(lambda made: made["options"].update(overwrite=True, cache_dir="/nowhere"))
    said_json(capsys, "fix", "o.mkv", "--painted", "fixes", "-o", "f.mkv")
    assert not Path("../../elsewhere").exists()
    assert {name for name in snapshot(Path()) if name not in before} == {"f.mkv"}
    for change in (
        lambda made: made["request"].pop("recipe"),
        lambda made: made["request"].update(video={"a": 1, "b": 2}),
        lambda made: made.update(command="fix", request={"render": {"path": "o.mkv"}, "painted": {"path": "fixes"}}),
    ):
        forge(change)
        assert run(["fix", "o.mkv", "--painted", "fixes", "-o", "g.mkv"]) == 2
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.thorough
def test_what_a_correction_does_not_reach_stays_whatever_the_upscaling(capsys: Capsys) -> None:
    clip_and_keys()
    ask = ("propagate", "c.mkv", "--keyframes", "keys", "--minutes", 0, "--set=rendering.size=24", *EXACT)
    said_json(capsys, *ask, "-o", "o.mkv")
    before = decode(Path("o.mkv"))[2]
    correct(before[6], 6)
    table = said_json(capsys, "fix", "o.mkv", "--painted", "fixes")
    assert (table["corrections"], table["keyframes"]) == ([6], [2, 9])
    after = decode(Path("o.fixed.mkv"))[2]
    assert all(np.array_equal(one[30:], other[30:]) for one, other in zip(before, after, strict=True))
    assert (after[6] != before[6]).any(2).sum() <= 160  # the box, 140 pixels, and a soft edge around it
    assert np.array_equal(after[6][BOX].reshape(-1, 3), np.full((140, 3), (250, 20, 200)))
