"""``vidtrans matte`` without painting: one person, the faces, what stands before a screen."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import decode
from directed_clip import lossless

from vidtrans.core.files import PACKAGE
from vidtrans.matting.found_mattes import PersonMattes
from vidtrans.matting.object_mattes import MatteSource, ScoredMatte, SweptMattes
from vidtrans.matting.settings import MattingSettings
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.keypoints import NOSE, read_keypoints

pytestmark = pytest.mark.usefixtures("one_thread")
Capsys = pytest.CaptureFixture[str]
COUNT, SIZE = 5, (160, 128)
FACE = np.s_[40:54, 74:90]  # Inside the face in all frames of ``one.mkv``


def view(left: int) -> np.ndarray:
    """The astronaut, 160x128; further right for a smaller ``left``."""
    picture = read_picture(PACKAGE / "assets/frames/astronaut.jpg")
    return cv2.resize(picture[:192, left : left + 240], SIZE, interpolation=cv2.INTER_AREA)


@pytest.fixture
def _one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write one.mkv, a clip of one person."""
    lossless(Path("one.mkv"), [view(8 + n) for n in range(COUNT)])


@pytest.fixture
def _two() -> None:
    """Write two.mkv, a clip of two people of the same size: the same one twice, mirrored."""
    lossless(Path("two.mkv"), [np.hstack([view(8 + n), view(8 + n)[:, ::-1]]) for n in range(COUNT)])


def matte(capsys: Capsys, *flags: object) -> dict[str, Any]:
    return said_json(capsys, "matte", *flags, "--set", "matting.size=128")


@pytest.mark.usefixtures("_one")
def test_one_person_is_cut_out_and_the_joints_are_written(capsys: Capsys) -> None:
    assert "dry_run" in matte(capsys, "one.mkv", "--person", "--poses", "p.json", "--dry-run")
    assert not Path("one.matte.mkv").exists()
    table = matte(capsys, "one.mkv", "--person", "--poses", "p.json")
    made = decode(Path("one.matte.mkv"))[2]
    assert all(frame[FACE].min() > 200 for frame in made)
    assert all(frame[:40, -30:].max() < 60 for frame in made)  # the flag's dark ground
    assert (table["frames"], len(table["confidences"]), table["lost"]) == (COUNT, COUNT, [])
    assert Path("one.matte.mkv.sheet.png").is_file()
    poses = read_keypoints(Path("p.json"))
    assert poses.size == SIZE
    assert sorted(poses.frames) == list(range(COUNT))
    x, y = poses.frames[2][0][NOSE, :2]
    assert 66 < x < 88
    assert 40 < y < 62
    Path("p.json").unlink()  # poses of a matte that is up to date
    assert matte(capsys, "one.mkv", "--person", "--poses", "p.json")["cached"]
    assert len(json.loads(Path("p.json").read_text())["frames"]) == COUNT


@pytest.mark.usefixtures("_two")
def test_one_of_two_people_is_chosen_by_a_point(capsys: Capsys) -> None:
    text = said(capsys, 2, "matte", "two.mkv", "--person", "--set", "matting.size=128")
    assert "2 people are in frame 0" in text
    assert "--at " in text
    assert "@0" in text
    assert (
        read_picture(Path("two.matte.mkv.people.png")).shape[1]
        > 2 * read_picture(Path("two.matte.mkv.people.png")).shape[0]
    )
    assert not Path("two.matte.mkv").exists()
    assert "two.mkv is 320x128" in refuse(capsys, 2, "matte", "two.mkv", "--person", "--at", "900,20")
    assert "neither X,Y nor" in refuse(capsys, 2, "matte", "two.mkv", "--person", "--at", "here")
    matte(capsys, "two.mkv", "--person", "--at", "243,36@1")
    made = decode(Path("two.matte.mkv"))[2]
    assert all(frame[36, 243].min() > 200 for frame in made)
    assert all(frame[FACE].max() < 60 for frame in made)
    matte(capsys, "two.mkv", "--person", "--at", "170,6,316,126@1", "-o", "box.mkv")
    boxed = decode(Path("box.mkv"))[2]
    assert all(frame[36, 243].min() > 200 > 60 > frame[FACE].max() for frame in boxed)
    empty = ("matte", "two.mkv", "--person", "--at", "150,0,158,8", "--set", "matting.size=128")
    assert "nobody is found there in frame 0" in refuse(capsys, 2, *empty)


def test_a_person_who_is_lost_is_also_followed_by_what_the_first_frame_teaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The networks that find people follow a spectator; the taught network holds, until it loses the person."""
    first, other, nothing = np.zeros((3, 4, 4), np.float32)
    first[:2], other[2:] = 1, 1
    clip = SimpleNamespace(shots_in=lambda *_: [range(6)])
    source = MatteSource(clip, (0, 6), (4, 4), {0: first})  # type: ignore[arg-type]
    found = {n: ScoredMatte(other, 0.5) for n in range(6)} | {1: ScoredMatte(first * 0.9, 0.9)}
    found[5] = ScoredMatte(first, 0.95)
    taught = {n: ScoredMatte(first, 0.8) for n in range(6)} | {5: ScoredMatte(nothing, 0.0)}
    made: list[str] = []
    notes: list[str] = []
    monkeypatch.setattr(SweptMattes, "find", lambda mattes, task: made.append(f"{task} {type(mattes).__name__}"))
    monkeypatch.setattr(SweptMattes, "at", lambda mattes, n: (found if type(mattes) is PersonMattes else taught)[n])
    context = Context(report=lambda event: notes.append(getattr(event, "text", "")))
    mattes = PersonMattes(source, MattingSettings(), context)
    mattes.find("her")
    assert made == ["her PersonMattes", "her SweptMattes"]
    assert any("the person is lost often" in note for note in notes)
    assert [mattes.at(n) is taught[n] for n in range(6)] == [True, False, True, True, True, False]
    found |= {n: ScoredMatte(other, 0.9) for n in range(5)}
    sure = PersonMattes(source, MattingSettings(), context)
    sure.find("him")
    assert sure._taught.sweeps == []  # nothing is learned


@pytest.mark.thorough
def test_a_painted_person_is_found_again_after_a_cut(capsys: Capsys) -> None:
    first, ground = [view(8 + n) for n in range(COUNT)], np.zeros((128, 160, 3), np.uint8)
    lossless(Path("cut.mkv"), [*first, *(ground + 90 + n for n in range(3)), *(frame[:, ::-1] for frame in first)])
    matte(capsys, "cut.mkv", "--person", "-o", "found.mkv")
    paint = decode(Path("found.mkv"))[2][0]
    write_picture(Path("paint.png"), paint)
    table = matte(capsys, "cut.mkv", "--person", "--frame", "0=paint.png", "--set", "matting.steps=2")
    made = decode(Path("cut.matte.mkv"))[2]
    assert table["keyframes"][0] == 0
    assert table["keyframes"][1] >= COUNT + 3
    assert np.array_equal(made[0] > 127, paint > 127)
    assert made[COUNT + 1].max() == 0


@pytest.mark.usefixtures("_one")
def test_faces_are_cut_out(capsys: Capsys) -> None:
    matte(capsys, "one.mkv", "--face", "--set", "matting.grow=1")
    made = decode(Path("one.matte.mkv"))[2]
    assert all(frame[FACE].min() > 200 for frame in made)
    assert all(frame[90:].max() < 60 for frame in made)


def test_what_stands_before_a_screen_is_cut_out_without_its_light(capsys: Capsys) -> None:
    frames = []
    for number in range(4):
        frame = np.full((120, 160, 3), (20, 180, 60), np.uint8)
        cv2.rectangle(frame, (40 + number, 30), (90 + number, 110), (190, 150, 130), -1)
        frame[40:100, 60:80] = (150, 175, 110)  # green light on it
        frames.append(frame)
    lossless(Path("screen.mkv"), frames)
    matte(capsys, "screen.mkv", "--key")
    made = decode(Path("screen.matte.mkv"))[2]
    assert all(frame[50:100, 62:78].min() > 240 for frame in made)
    assert all(frame[:20].max() < 12 for frame in made)
    named = said_json(capsys, "matte", "screen.mkv", "--key", "--screen", "#14b43c", "-o", "named.mkv")
    assert named["frames"] == 4
    matte(capsys, "screen.mkv", "--key", "--with-colours", "--codec", "png", "-o", "cut")
    cut = read_picture(sorted(Path("cut").glob("*.png"))[0])
    spill = cut[50:90, 64:76].astype(int)
    assert (spill[..., 1] - np.maximum(spill[..., 0], spill[..., 2])).max() <= 2


@pytest.mark.usefixtures("_one")
def test_what_cannot_be_found_is_refused_in_a_line(capsys: Capsys) -> None:
    flags = "stylize", "one.mkv", "--look", "oil", "-o", "m.mkv", "--mask"
    assert "did you mean 'person'?" in refuse(capsys, 2, *flags, "persn")
    lossless(Path("none.mkv"), [np.full((96, 128, 3), 90 + n, np.uint8) for n in range(3)])
    cases = {
        ("none.mkv", "--person"): "nobody is found in frame 0 of none.mkv",
        ("none.mkv", "--key"): "no green or blue screen",
        ("one.mkv", "--person", "--face"): "a matte is of one thing",
        ("one.mkv", "--at", "3,3"): "nothing says what is cut out",
        ("one.mkv", "--key", "--screen", "#aa2222"): "neither green nor blue",
        ("one.mkv", "--key", "--screen", "green"): "not a key",
        ("one.mkv", "--face", "--at", "3,3"): "--at",
        ("one.mkv", "--person", "--screen", "#00b140"): "--screen",
        ("one.mkv", "--face", "--poses", "p.json"): "--poses",
        ("one.mkv", "--person", "--poses", "p.csv"): "not a .json file",
        ("one.mkv", "--person", "--names", "a=red"): "finds one thing",
    }
    for flags, what in cases.items():
        assert what in refuse(capsys, 2, "matte", *flags, "-o", "m.mkv")
    assert "no face is found" in said(capsys, 0, "matte", "none.mkv", "--face", "-o", "m.mkv")
    assert max(frame.max() for frame in decode(Path("m.mkv"))[2]) == 0
