"""Pictures rendered: one, a folder, of several sizes; into videos and out of them; and what must not be replaced."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json, snapshot
from clips import decode, moving_frames, pictures_of, scene, sound_packets, times, write_folder
from directed_clip import same

import vidtrans as api
from vidtrans.errors import MediaError, UsageError
from vidtrans.video.images.picture import read_picture, write_picture
from vidtrans.video.io.reader import ClipReader
from vidtrans.video.io.sequence import picture_names, unpack

Capsys = pytest.CaptureFixture[str]
SIZES = [(64, 48), (40, 40), (48, 64)]
IDENTITY = ("--model", "identity")


# A picture → a picture, a folder → a folder


def test_a_picture_gives_a_picture_of_its_own_size(capsys: Capsys) -> None:
    write_folder(Path(), [scene(63, 47, seed=1)], ["photo.jpg"])
    table = said_json(capsys, "stylize", "photo.jpg", *IDENTITY)
    assert (table["output"], table["frames"]) == ("photo.identity.png", 1)
    assert np.array_equal(read_picture(Path("photo.identity.png")), read_picture(Path("photo.jpg")))
    assert "up to date" in said(capsys, 0, "stylize", "photo.jpg", *IDENTITY)


def test_the_same_picture_under_two_names_is_two_clips(capsys: Capsys) -> None:
    write_folder(Path(), [scene(64, 48, seed=1)] * 2, ["one.png", "other.png"])
    for name in ("one", "other"):
        table = said_json(capsys, "stylize", f"{name}.png", *IDENTITY, "-o", f"{name}.made.png")
        assert table["frames"] == 1
        assert Path(f"{name}.made.png").is_file()
    assert "written as .png" in refuse(capsys, 2, "stylize", "one.png", *IDENTITY, "-o", "made.txt")


def test_a_picture_is_rendered_with_a_model(tiny_model: Path) -> None:
    write_folder(Path(), [scene(64, 48, seed=1)], ["photo.png"])
    table = api.stylize("photo.png", tiny_model)
    made = read_picture(Path("photo.tiny.png"))
    assert made.shape == (48, 64, 3)
    assert not np.array_equal(made, scene(64, 48, seed=1))
    assert table["frames_inferred"] == 1


def test_a_folder_gives_a_folder_with_the_same_names(capsys: Capsys) -> None:
    frames = moving_frames(12)
    names = [f"take{i}.png" for i in range(12)]
    write_folder(Path("in"), frames, names)
    write_picture(Path("in/.hidden.png"), frames[0])
    Path("in/notes.txt").write_text("x")
    table = said_json(capsys, "stylize", "in", *IDENTITY, "--set=rendering.chunk_frames=5")
    assert (table["output"], table["frames"]) == ("in.identity", 12)
    found = pictures_of(Path("in.identity"))
    assert sorted(found) == sorted(names)
    assert same([found[n] for n in names], frames)
    before = snapshot(Path())
    assert "up to date" in said(capsys, 0, "stylize", "in", *IDENTITY, "--set=rendering.chunk_frames=5")
    assert snapshot(Path()) == before


def test_names_that_would_become_one_keep_their_endings(capsys: Capsys) -> None:
    frames = [scene(64, 48, seed) for seed in (1, 2)]
    write_folder(Path("in"), frames, ["a.bmp", "a.png"])
    said(capsys, 0, "stylize", "in", *IDENTITY)
    found = pictures_of(Path("in.identity"))
    assert same([found["a.bmp.png"], found["a.png.png"]], frames)
    assert len(found) == 2


def test_what_frames_are_called() -> None:
    assert picture_names((), range(8, 10)) == ["000008.png", "000009.png"]
    assert picture_names(("a.jpg", "b.tif", "b.png"), range(2)) == ["a.png", "b.png"]
    assert picture_names(("a.jpg", "b.tif", "b.png"), range(3)) == ["a.jpg.png", "b.tif.png", "b.png.png"]


def test_too_few_frames_for_the_names_is_an_error_not_a_result(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="0 frames for 2 pictures"):
        unpack([], ["a.png", "b.png"], tmp_path / "out")


def test_a_part_of_a_folder_is_rendered_under_its_names(capsys: Capsys) -> None:
    frames = moving_frames(12)
    write_folder(Path("in"), frames)
    said(capsys, 0, "stylize", "in", *IDENTITY, "--start", "8", "--end", "11", "-o", "part")
    assert sorted(pictures_of(Path("part")), key=len) == ["8.png", "9.png", "10.png"]
    assert np.array_equal(pictures_of(Path("part"))["10.png"], frames[10])
    timed = ("--start", "4s", "--end", "00:00:05.5", "--set=rendering.picture_fps=2")
    said(capsys, 0, "stylize", "in", *IDENTITY, *timed, "-o", "timed")
    assert sorted(pictures_of(Path("timed"))) == ["10.png", "8.png", "9.png"]


def test_a_changed_picture_is_seen_and_the_folder_replaced_only_when_asked(capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(4))
    said(capsys, 0, "stylize", "in", *IDENTITY)
    write_picture(Path("in/2.png"), scene(64, 48, seed=5))
    (Path("in/3.png")).unlink()
    assert "--overwrite" in refuse(capsys, 2, "stylize", "in", *IDENTITY)
    said(capsys, 0, "stylize", "in", *IDENTITY, "--overwrite")
    found = pictures_of(Path("in.identity"))
    assert sorted(found) == ["0.png", "1.png", "2.png"]
    assert np.array_equal(found["2.png"], scene(64, 48, seed=5))
    assert [p for p in Path().iterdir() if p.name.startswith(".in")] == []


# Pictures of several sizes


def test_each_picture_of_a_mixed_folder_is_rendered_at_its_own_size(capsys: Capsys) -> None:
    frames = [scene(*size, seed=i) for i, size in enumerate(SIZES)]
    write_folder(Path("in"), frames, ["a.png", "b.bmp", "c.png"])
    table = said_json(capsys, "stylize", "in", *IDENTITY)
    assert (table["output"], table["frames"], table["cached"]) == ("in.identity", 3, False)
    assert [item["size"] for item in table["items"]] == [list(size) for size in SIZES]
    found = pictures_of(Path("in.identity"))
    assert same([found["a.png"], found["b.png"], found["c.png"]], frames)
    assert said_json(capsys, "stylize", "in", *IDENTITY)["cached"] is True


def test_a_mixed_folder_is_no_video(capsys: Capsys) -> None:
    write_folder(Path("in"), [scene(*size, seed=0) for size in SIZES])
    told = refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "out.mp4")
    assert "several sizes, and a video has one" in told
    assert "folder name with -o" in told


def test_a_part_of_a_mixed_folder_is_that_part(capsys: Capsys) -> None:
    write_folder(Path("in"), [scene(*size, seed=0) for size in SIZES])
    said(capsys, 0, "stylize", "in", *IDENTITY, "--start", "1", "--end", "2")
    assert sorted(pictures_of(Path("in.identity"))) == ["1.png"]


def test_a_dry_run_of_a_mixed_folder_touches_nothing(capsys: Capsys) -> None:
    write_folder(Path("in"), [scene(*size, seed=0) for size in SIZES])
    before = sorted(Path().rglob("*"))
    table = said_json(capsys, "stylize", "in", *IDENTITY, "--dry-run")
    assert (table["frames"], table["dry_run"]) == (3, True)
    assert table["estimate"]["disk_bytes"] > 0
    assert sorted(Path().rglob("*")) == before


# Pictures → a video, a video → pictures


@pytest.mark.parametrize(("rate", "wanted"), [("25", Fraction(25)), ("12.5", Fraction(25, 2)), ("30", Fraction(30))])
def test_a_folder_becomes_a_video_at_the_rate_that_is_asked(rate: str, wanted: Fraction, capsys: Capsys) -> None:
    frames = moving_frames(12)
    write_folder(Path("in"), frames)
    said(
        capsys, 0, "stylize", "in", *IDENTITY, "-o", "out.mkv", "--codec", "ffv1", f"--set=rendering.picture_fps={rate}"
    )
    shown = times(Path("out.mkv"))
    assert all(abs(t - i / wanted) <= Fraction(1, 1000) for i, t in enumerate(shown))  # Matroska counts milliseconds
    assert same(decode(Path("out.mkv"))[2], frames)
    assert sound_packets(Path("out.mkv")) == []


def test_an_ending_of_a_video_makes_one_without_more_words(capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(12))
    said(capsys, 0, "stylize", "in", *IDENTITY, "-o", "out.mp4")
    assert times(Path("out.mp4")) == [Fraction(i, 25) for i in range(12)]
    said(capsys, 0, "stylize", "in/3.png", *IDENTITY, "-o", "one.mp4")
    assert len(times(Path("one.mp4"))) == 1


def test_a_video_becomes_a_folder_of_pictures(clip: Path, capsys: Capsys) -> None:
    said(capsys, 0, "stylize", clip, *IDENTITY, "--codec", "png", "-o", "frames", "--set=rendering.chunk_frames=7")
    found = pictures_of(Path("frames"))
    assert list(found) == [f"{i:06d}.png" for i in range(40)]
    with ClipReader(clip) as reader:
        assert same(list(found.values()), [f.rgb for f in reader.frames()])


def test_a_videos_folder_of_pictures_is_known_again(clip: Path, capsys: Capsys) -> None:
    arguments = ("stylize", clip, *IDENTITY, "--codec", "png", "-o", "frames")
    said(capsys, 0, *arguments)
    before = snapshot(Path())
    assert "up to date" in said(capsys, 0, *arguments)
    assert snapshot(Path()) == before


def test_without_a_name_the_folder_is_called_like_the_video(clip: Path, capsys: Capsys) -> None:
    assert said_json(capsys, "stylize", clip, *IDENTITY, "--codec", "png")["output"] == "clip.identity"
    assert len(pictures_of(Path("clip.identity"))) == 40


def test_one_frame_of_a_video_is_one_picture(clip: Path, capsys: Capsys) -> None:
    said(capsys, 0, "stylize", clip, *IDENTITY, "--start", "30", "--end", "31", "-o", "still.png")
    with ClipReader(clip) as reader:
        wanted = [f.rgb for f in reader.frames()][30]
    assert np.array_equal(read_picture(Path("still.png")), wanted)


@pytest.mark.parametrize("more", [(), ("--start", "3", "--end", "5"), ("--codec", "png")])
def test_several_frames_do_not_fit_into_one_picture(more: tuple[str, ...], clip: Path, capsys: Capsys) -> None:
    told = refuse(capsys, 2, "stylize", clip, *IDENTITY, *more, "-o", "still.png")
    assert "one picture cannot hold" in told
    assert "--codec png -o still" in told
    write_folder(Path("in"), moving_frames(2))
    assert "one picture cannot hold" in refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "still.png")


@pytest.mark.parametrize("ending", ["jpg", "tiff", "webp"])
def test_pictures_of_other_kinds_are_not_written(ending: str, capsys: Capsys) -> None:
    write_picture(Path("a.png"), scene(64, 48, 1))
    told = refuse(capsys, 2, "stylize", "a.png", *IDENTITY, "-o", f"out.{ending}")
    assert "use -o out.png" in told


# What is in the way


@pytest.mark.parametrize("theirs", ["thesis.txt", "wedding.png", "0.png"])
def test_a_folder_that_is_no_result_is_never_replaced(theirs: str, capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(3))
    Path("mine").mkdir()
    Path("mine", theirs).write_text("precious")
    for more in ((), ("--overwrite",)):
        refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "mine", *more)


@pytest.mark.parametrize("added", ["notes.txt", "retouched/0.png", ".git/config", "extra.png"])
def test_a_result_to_which_something_was_added_is_not_replaced(added: str, capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(3))
    said(capsys, 0, "stylize", "in", *IDENTITY)
    place = Path("in.identity", added)
    place.parent.mkdir(exist_ok=True)
    place.write_text("precious")
    for more in ((), ("--overwrite",), ("--overwrite", "--set=rendering.picture_fps=30")):
        refuse(capsys, 2, "stylize", "in", *IDENTITY, *more)


def test_what_lies_beside_the_pictures_of_a_source_changes_nothing(capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(3))
    said(capsys, 0, "stylize", "in", *IDENTITY)
    Path("in/Thumbs.db").write_text("x")
    Path("in/sub").mkdir()
    write_picture(Path("in/sub/0.png"), scene(64, 48, 1))
    assert "up to date" in said(capsys, 0, "stylize", "in", *IDENTITY)


def test_a_result_whose_picture_was_retouched_is_replaced_only_when_asked(capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(3))
    said(capsys, 0, "stylize", "in", *IDENTITY)
    write_picture(Path("in.identity/1.png"), scene(64, 48, 9))
    refuse(capsys, 2, "stylize", "in", *IDENTITY)
    said(capsys, 0, "stylize", "in", *IDENTITY, "--overwrite")
    assert np.array_equal(read_picture(Path("in.identity/1.png")), read_picture(Path("in/1.png")))


@pytest.mark.parametrize("place", ["in", ".", "in/../in"])
def test_pictures_are_never_written_over_their_sources(place: str, capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(3))
    refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", place, "--overwrite")
    refuse(capsys, 2, "stylize", "in/0.png", *IDENTITY, "-o", "in/0.png", "--overwrite")


def test_a_folder_is_not_replaced_by_what_is_made_of_its_pictures() -> None:
    write_folder(Path("in"), moving_frames(3))
    before = snapshot(Path())
    with pytest.raises(UsageError, match=r"written as \.png"):
        api.stylize("in/1.png", "identity", "in", overwrite=True)
    with pytest.raises(UsageError, match=r"holds one of the inputs|is one of the inputs"):
        api.stylize("in", "identity", "in", overwrite=True)
    assert snapshot(Path()) == before


def test_a_file_is_not_replaced_by_a_folder(capsys: Capsys) -> None:
    write_folder(Path("in"), moving_frames(3))
    Path("out").write_text("precious")
    assert "it is a file" in refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "out", "--overwrite")


@pytest.mark.parametrize("size", ["one", "mixed"])
def test_a_damaged_picture_is_one_line_with_its_name(size: str, capsys: Capsys) -> None:
    sizes = SIZES if size == "mixed" else SIZES[:1] * 3
    write_folder(Path("in"), [scene(*s, seed=i) for i, s in enumerate(sizes)])
    data = Path("in/1.png").read_bytes()
    Path("in/1.png").write_bytes(data[: len(data) // 3])
    for arguments in (("stylize", "in", *IDENTITY), ("make-dataset", "in"), ("stylize", "in/1.png", *IDENTITY)):
        assert "1.png: not a picture that can be read" in refuse(capsys, 3, *arguments)
    assert not Path("in.identity").exists()


def test_an_empty_folder_is_no_clip_whatever_lies_hidden_in_it(capsys: Capsys) -> None:
    Path("in").mkdir()
    write_picture(Path("in/.hidden.png"), scene(64, 48, 1))
    Path("in/notes.txt").write_text("x")
    for arguments in (("stylize", "in", *IDENTITY), ("make-dataset", "in")):
        assert "no pictures in this folder" in refuse(capsys, 3, *arguments)
    assert "no pairs in it" in refuse(capsys, 3, "make-dataset", "in", "--pairing", "aligned")
    assert not Path(".vidtrans").exists()
