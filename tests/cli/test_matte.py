"""``vidtrans matte`` as an artist would use it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode
from things import FAST, clip_of, moving_thing, overlap, with_strokes, write_mask

from vidtrans.matting import swept_mattes

Capsys = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("one_thread")
COUNT = 8


@pytest.fixture
def mattes() -> list[np.ndarray]:
    """Write c.mkv and masks of its first and last frame; return all true mattes."""
    frames, mattes = moving_thing(COUNT)
    clip_of(frames)
    for frame in (0, COUNT - 1):
        write_mask(f"masks/{frame:03d}.png", mattes[frame])
    return mattes


def matte(capsys: Capsys, *flags: object) -> dict[str, Any]:
    return said_json(capsys, "matte", "c.mkv", *FAST, *flags)


def test_one_painted_frame_gives_the_matte_of_the_clip(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    assert matte(capsys, "--frame", "0=masks/000.png", "--dry-run")["estimate"]["seconds"] > 0
    assert not Path("c.matte.mkv").exists()
    table = matte(capsys, "--frame", "0=masks/000.png", "--suggest", 2)
    assert (table["output"], table["frames"], table["keyframes"]) == ("c.matte.mkv", COUNT, [0])
    made = decode(Path("c.matte.mkv"))[2]
    assert np.array_equal(made[0][..., 0] >= 128, mattes[0])
    assert all(np.ptp(frame, axis=2).max() == 0 for frame in made)
    assert min(overlap(a, b) for a, b in zip(made, mattes, strict=True)) > 0.3
    assert len(table["confidences"]) == COUNT
    assert len(table["suggested"]) == 2
    assert 0 not in table["suggested"]
    assert all(Path(f"c.matte.mkv.{name}.png").is_file() for name in ("painted", "sheet"))
    assert matte(capsys, "--frame", "0=masks/000.png", "--suggest", 2)["cached"]


def test_a_correction_changes_only_the_frames_up_to_its_neighbours(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    write_mask("middle.png", mattes[4])
    both = ("--frame", "2=two.png", "--frame", "4=middle.png")
    write_mask("two.png", mattes[2])
    matte(capsys, *both, "-o", "a.mkv")
    before = {path.name for path in Path(".vidtrans/matte").iterdir()}
    first = decode(Path("a.mkv"))[2]
    write_mask("six.png", mattes[6])
    matte(capsys, *both, "--frame", "6=six.png", "-o", "a.mkv")  # it replaces its own earlier result
    second = decode(Path("a.mkv"))[2]
    for n in range(5):
        assert np.array_equal(first[n], second[n])
    assert np.array_equal(second[6][..., 0] >= 128, mattes[6])
    made = {path.name for path in Path(".vidtrans/matte").iterdir()} - before
    assert len(made) == 3  # from 4 on and from 6 back, between them, and from 6 on


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    capsys: Capsys, mattes: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swept_mattes, "BLOCK", 3)
    keys = ("--frame", "0=masks/000.png")
    matte(capsys, *keys, "-o", "a.mkv")
    [entry] = Path(".vidtrans/matte").iterdir()
    chunks = sorted(entry.glob("chunk-*.npz"))
    assert len(chunks) == 3
    for path in (*chunks[1:], entry / "meta.json"):
        path.unlink()
    shutil.rmtree(".vidtrans/render")
    shutil.rmtree(".vidtrans/infer")
    matte(capsys, *keys, "-o", "b.mkv")
    assert Path("a.mkv").read_bytes() == Path("b.mkv").read_bytes()


def test_strokes_on_a_frame_are_enough(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    painted = with_strokes(decode(Path("c.mkv"))[2][3], mattes[3])
    cv2.imwrite("p.png", painted[..., ::-1])
    matte(capsys, "--frame", "3=p.png", "-o", "m.mkv")
    assert overlap(decode(Path("m.mkv"))[2][3], mattes[3]) > 0.7


def test_several_things_have_a_matte_each_and_share_the_frame(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    mask = np.zeros((120, 160, 3), np.uint8)
    mask[mattes[0]] = (0, 0, 255)
    mask[4:30, 100:150] = (255, 0, 0)
    cv2.imwrite("two.png", mask[..., ::-1])
    table = matte(capsys, "--frame", "0=two.png", "--names", "egg=blue,wall=red", "-o", "m.mkv")
    assert [own["output"] for own in table["things"].values()] == ["m.egg.mkv", "m.wall.mkv"]
    egg, wall = (decode(Path(f"m.{name}.mkv"))[2] for name in ("egg", "wall"))
    assert overlap(egg[0], mattes[0]) > 0.95
    assert max(int((a[..., 0].astype(int) + b[..., 0]).max()) for a, b in zip(egg, wall, strict=True)) <= 257


def test_colours_and_alpha_for_compositing(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    matte(capsys, "--frame", "0=masks/000.png", "--with-colours", "--codec", "png", "-o", "cut")
    [first, *others] = sorted(Path("cut").iterdir())
    assert len(others) == COUNT - 1
    layer = cv2.imread(str(first), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(layer[..., 3] >= 128, mattes[0])
    assert np.abs(layer[mattes[0]][:, :3].astype(int) - (30, 120, 230)).mean() < 3


def test_a_shot_without_a_painted_frame_is_empty_and_told(capsys: Capsys) -> None:
    frames, mattes = moving_thing(COUNT)
    clip_of([*frames[:4], *(255 - frame for frame in frames[4:])])
    write_mask("m.png", mattes[0])
    Path("cuts.txt").write_text("4\n", encoding="utf-8")
    table = matte(capsys, "--frame", "0=m.png", "--cuts", "cuts.txt")
    made = decode(Path("c.matte.mkv"))[2]
    assert not any(frame.any() for frame in made[4:])
    assert table["confidences"][4:] == [None] * 4
    assert min(table["confidences"][:4]) > 0


def test_painted_pictures_are_never_replaced_by_sheets(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    painted = write_mask("m.mkv.painted.png", mattes[0]).read_bytes()
    refuse(capsys, 2, "matte", "c.mkv", *FAST, "--frame", "0=m.mkv.painted.png", "-o", "m.mkv")
    assert Path("m.mkv.painted.png").read_bytes() == painted


def test_too_little_confidence_fails_and_says_what_to_paint(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    text = said(capsys, 1, "matte", "c.mkv", *FAST, "--frame", "0=masks/000.png", "--min-confidence", 1)
    assert "paint frame" in text
    assert Path("c.matte.mkv").is_file()
    assert said(capsys, 1, "matte", "c.mkv", *FAST, "--frame", "0=masks/000.png", "--min-confidence", 1) in text


def test_mistakes_end_in_one_line(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    cv2.imwrite("empty.png", np.zeros((120, 160), np.uint8))
    cv2.imwrite("square.png", np.zeros((120, 120), np.uint8))
    dot = np.zeros((120, 160), np.uint8)
    dot[60, 80] = 255
    cv2.imwrite("dot.png", dot)
    first = ("--frame", "0=masks/000.png")
    for flags, status, words in (
        ((), 2, "nothing says what is cut out"),
        (("--frame", "masks/000.png"), 2, "not FRAME=PICTURE"),
        (("--frame", "99=masks/000.png"), 2, "the last frame"),
        ((*first, "--frame", "0=masks/007.png"), 2, "both painted on frame 0"),
        (("--frame", "0=nothing.png"), 3, "no such file"),
        (("--frame", "0=empty.png"), 3, "nothing is painted"),
        (("--frame", "0=square.png"), 3, "another shape"),
        (("--frame", "0=dot.png", "--set", "matting.size=64"), 3, "smaller than a pixel"),
        ((*first, "--names", "a=red", "--outside", "red"), 2, "two meanings"),
        ((*first, "--start", "3"), 2, "no painted frame lies in this part"),
        (("--keyframes", "nowhere"), 2, "no such folder"),
        ((*first, "--shard", "1/1"), 2, "it names a frame of one clip"),
        ((*first, "--with-colours", "--codec", "h264"), 2, "keeps no transparency"),
    ):
        assert words in refuse(capsys, status, "matte", "c.mkv", *FAST, *flags)


def test_a_matte_is_scored_beside_the_true_one(capsys: Capsys, mattes: list[np.ndarray]) -> None:
    for n, true in enumerate(mattes):
        write_mask(f"truth/{n:03d}.png", true)
    shutil.copytree("truth", "worse")
    write_mask("worse/003.png", np.roll(mattes[3], 12, axis=1))
    table = said_json(capsys, "evaluate", "worse", "--matte", "truth", "-o", "s.json")
    assert table["worst"][0]["frame"] == 3
    assert table["worst"][1]["matte_region"] == 1
    expected = (COUNT - 1 + overlap(np.where(np.roll(mattes[3], 12, axis=1), 255, 0), mattes[3])) / COUNT
    assert table["matte_region"] == pytest.approx(expected, abs=1e-3)
    assert table["matte_boundary"] < 1
    assert table["matte_jitter"] > 0
    for n, true in enumerate(mattes):
        cv2.imwrite(f"truth/{n:03d}.png", true.astype(np.uint8))  # numbers of objects
    again = said_json(capsys, "evaluate", "worse", "--matte", "truth", "-o", "again.json")
    assert again["matte_region"] == table["matte_region"]
    assert "region J" in said(capsys, 0, "evaluate", "truth", "--matte", "truth", "-o", "s.png")
    assert "--matte alone" in refuse(capsys, 2, "evaluate", "worse", "--matte", "truth", "--labels", "voc")
