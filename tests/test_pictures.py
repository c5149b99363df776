"""Pictures as clips: one, a folder of them, in and out; and what is done about those that do not fit together."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from chain import TINY, quick_training, refuse, said, said_json, snapshot
from clips import decode, moving_frames, pictures_of, scene, sound_packets, times, write_clip, write_folder
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.data.dataset import open_dataset
from vidtrans.errors import MediaError
from vidtrans.settings import Size
from vidtrans.video.picture import read_picture, write_picture
from vidtrans.video.pictures import natural_order, open_reader, pictures_in
from vidtrans.video.reader import ClipReader
from vidtrans.video.sequence import picture_names, unpack

repeatable = hypothesis_settings(derandomize=True, database=None, deadline=None, max_examples=100)
SIZES = [(64, 48), (40, 40), (48, 64)]
IDENTITY = ("--model", "identity")


def read(path: Path, size: Size | None = None) -> list[np.ndarray]:
    with open_reader(path, size=size or Size()) as reader:
        return [f.rgb for f in reader.frames()]


def equal(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# In order


@repeatable
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 4)), min_size=1, unique_by=lambda n: n[0]),
    st.sampled_from(["", "frame", "v2-take", "Take 10 "]),
    st.sampled_from(["", "_rgb", "x4"]),
)
def test_numbers_in_names_sort_as_numbers(numbers: list[tuple[int, int]], before: str, after: str) -> None:
    paths = [Path(f"{before}{number:0{width}}{after}.png") for number, width in numbers]
    found = sorted(paths, key=natural_order)
    wanted = sorted(numbers)
    assert found == [Path(f"{before}{number:0{width}}{after}.png") for number, width in wanted]


@repeatable
@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)))
def test_any_names_have_an_order(names: list[str]) -> None:
    keys = sorted(natural_order(Path(name)) for name in names)
    assert len(keys) == len(names)


def test_a_folder_is_read_in_natural_order_and_only_its_pictures(tmp_path: Path) -> None:
    frames = moving_frames(12)
    folder = write_folder(tmp_path / "f", frames)
    write_folder(folder / "sub", frames[:1])
    write_picture(folder / ".hidden.png", frames[0])
    (folder / "notes.txt").write_text("0.png is the best")
    (folder / "10.PNG.bak").write_text("x")
    assert [p.name for p in pictures_in(folder)] == [f"{i}.png" for i in range(12)]
    assert equal(read(folder), frames)


def test_pictures_come_at_the_size_that_was_asked_for_each_in_its_own_shape(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", [scene(*size, seed=0) for size in SIZES])
    assert [f.shape[1::-1] for f in read(folder, Size(short=20))] == [(27, 20), (20, 20), (20, 27)]
    assert {f.shape for f in read(folder, Size(exact=(30, 10)))} == {(10, 30, 3)}


def test_a_part_of_a_folder_keeps_its_numbers(tmp_path: Path) -> None:
    frames = moving_frames(12)
    with open_reader(write_folder(tmp_path / "f", frames)) as reader:
        part = list(reader.frames(3, 6))
        assert [f.index for f in part] == [f.pts for f in part] == [3, 4, 5]
        assert equal([f.rgb for f in part], frames[3:6])
        assert [f.index for f in reader.frames(10, 99)] == [10, 11]


@pytest.mark.parametrize("change", ["another", "fewer", "renamed"])
def test_a_folder_that_changed_while_it_was_read_is_refused(tmp_path: Path, change: str) -> None:
    folder = write_folder(tmp_path / "f", moving_frames(4))
    with open_reader(folder) as reader:
        index = reader.index_of([f.pts for f in reader.frames()])
    if change == "another":
        write_picture(folder / "2b.png", scene(64, 48, 0))
    elif change == "fewer":
        (folder / "3.png").unlink()
    else:
        (folder / "3.png").rename(folder / "4.png")
    with open_reader(folder) as reader, pytest.raises(MediaError, match="changed while it was read — run the command"):
        next(reader.frames(0, None, index))


# A picture → a picture, a folder → a folder


def test_a_picture_gives_a_picture_of_its_own_size(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path(), [scene(63, 47, seed=1)], ["photo.jpg"])
    table = said_json(capsys, "stylize", "photo.jpg", *IDENTITY)
    assert (table["output"], table["frames"]) == ("photo.identity.png", 1)
    assert np.array_equal(read_picture(Path("photo.identity.png")), read_picture(Path("photo.jpg")))
    assert "up to date" in said(capsys, 0, "stylize", "photo.jpg", *IDENTITY)


def test_the_same_picture_under_two_names_is_two_clips(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path(), [scene(64, 48, seed=1)] * 2, ["one.png", "other.png"])
    for name in ("one", "other"):
        table = said_json(capsys, "stylize", f"{name}.png", *IDENTITY, "-o", name)
        assert table["frames"] == 1
        assert [p.name for p in Path(name).iterdir()] == [f"{name}.png"]


def test_a_picture_is_rendered_with_a_model(tiny_model: Path) -> None:
    write_folder(Path(), [scene(64, 48, seed=1)], ["photo.png"])
    table = api.stylize("photo.png", tiny_model)
    made = read_picture(Path("photo.tiny.png"))
    assert made.shape == (48, 64, 3)
    assert not np.array_equal(made, scene(64, 48, seed=1))
    assert table["frames_inferred"] == 1


def test_a_folder_gives_a_folder_with_the_same_names(capsys: pytest.CaptureFixture[str]) -> None:
    frames = moving_frames(12)
    names = [f"take{i}.png" for i in range(12)]
    write_folder(Path("in"), frames, names)
    write_picture(Path("in/.hidden.png"), frames[0])
    Path("in/notes.txt").write_text("x")
    table = said_json(capsys, "stylize", "in", *IDENTITY, "--set=rendering.chunk_frames=5")
    assert (table["output"], table["frames"]) == ("in.identity", 12)
    found = pictures_of(Path("in.identity"))
    assert sorted(found) == sorted(names)
    assert equal([found[n] for n in names], frames)
    before = snapshot(Path())
    assert "up to date" in said(capsys, 0, "stylize", "in", *IDENTITY, "--set=rendering.chunk_frames=5")
    assert snapshot(Path()) == before


def test_names_that_would_become_one_keep_their_endings(capsys: pytest.CaptureFixture[str]) -> None:
    frames = [scene(64, 48, seed) for seed in (1, 2)]
    write_folder(Path("in"), frames, ["a.bmp", "a.png"])
    said(capsys, 0, "stylize", "in", *IDENTITY)
    found = pictures_of(Path("in.identity"))
    assert equal([found["a.bmp.png"], found["a.png.png"]], frames)
    assert len(found) == 2


def test_what_frames_are_called() -> None:
    assert picture_names((), range(8, 10)) == ["000008.png", "000009.png"]
    assert picture_names(("a.jpg", "b.tif", "b.png"), range(2)) == ["a.png", "b.png"]
    assert picture_names(("a.jpg", "b.tif", "b.png"), range(3)) == ["a.jpg.png", "b.tif.png", "b.png.png"]


def test_too_few_frames_for_the_names_is_an_error_not_a_result(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="0 frames for 2 pictures"):
        unpack([], ["a.png", "b.png"], tmp_path / "out")


def test_a_part_of_a_folder_is_rendered_under_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    frames = moving_frames(12)
    write_folder(Path("in"), frames)
    said(capsys, 0, "stylize", "in", *IDENTITY, "--start", "8", "--end", "11", "-o", "part")
    assert sorted(pictures_of(Path("part")), key=len) == ["8.png", "9.png", "10.png"]
    assert np.array_equal(pictures_of(Path("part"))["10.png"], frames[10])
    timed = ("--start", "4s", "--end", "00:00:05.5", "--set=rendering.rate=2")
    said(capsys, 0, "stylize", "in", *IDENTITY, *timed, "-o", "timed")
    assert sorted(pictures_of(Path("timed"))) == ["10.png", "8.png", "9.png"]


def test_a_changed_picture_is_seen_and_the_folder_replaced_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_each_picture_of_a_mixed_folder_is_rendered_at_its_own_size(capsys: pytest.CaptureFixture[str]) -> None:
    frames = [scene(*size, seed=i) for i, size in enumerate(SIZES)]
    write_folder(Path("in"), frames, ["a.png", "b.bmp", "c.png"])
    table = said_json(capsys, "stylize", "in", *IDENTITY)
    assert (table["output"], table["frames"], table["cached"]) == ("in.identity", 3, False)
    assert [item["size"] for item in table["items"]] == [list(size) for size in SIZES]
    found = pictures_of(Path("in.identity"))
    assert equal([found["a.png"], found["b.png"], found["c.png"]], frames)
    assert said_json(capsys, "stylize", "in", *IDENTITY)["cached"] is True


def test_a_mixed_folder_is_no_video(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), [scene(*size, seed=0) for size in SIZES])
    told = refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "out.mp4")
    assert "several sizes, and a video has one" in told
    assert "folder name with -o" in told


def test_a_part_of_a_mixed_folder_is_that_part(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), [scene(*size, seed=0) for size in SIZES])
    said(capsys, 0, "stylize", "in", *IDENTITY, "--start", "1", "--end", "2")
    assert sorted(pictures_of(Path("in.identity"))) == ["1.png"]


def test_a_dry_run_of_a_mixed_folder_touches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), [scene(*size, seed=0) for size in SIZES])
    before = sorted(Path().rglob("*"))
    table = said_json(capsys, "stylize", "in", *IDENTITY, "--dry-run")
    assert (table["frames"], table["dry_run"]) == (3, True)
    assert table["estimate"]["disk_bytes"] > 0
    assert sorted(Path().rglob("*")) == before


# Pictures → a video, a video → pictures


@pytest.mark.parametrize(("rate", "wanted"), [("25", Fraction(25)), ("12.5", Fraction(25, 2)), ("30", Fraction(30))])
def test_a_folder_becomes_a_video_at_the_rate_that_is_asked(
    rate: str, wanted: Fraction, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = moving_frames(12)
    write_folder(Path("in"), frames)
    said(capsys, 0, "stylize", "in", *IDENTITY, "-o", "out.mkv", "--codec", "ffv1", f"--set=rendering.rate={rate}")
    shown = times(Path("out.mkv"))
    assert all(abs(t - i / wanted) <= Fraction(1, 1000) for i, t in enumerate(shown))  # Matroska counts milliseconds
    assert equal(decode(Path("out.mkv"))[2], frames)
    assert sound_packets(Path("out.mkv")) == []


def test_an_ending_of_a_video_makes_one_without_more_words(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), moving_frames(12))
    said(capsys, 0, "stylize", "in", *IDENTITY, "-o", "out.mp4")
    assert times(Path("out.mp4")) == [Fraction(i, 25) for i in range(12)]
    said(capsys, 0, "stylize", "in/3.png", *IDENTITY, "-o", "one.mp4")
    assert len(times(Path("one.mp4"))) == 1


def test_a_video_becomes_a_folder_of_pictures(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, 0, "stylize", clip, *IDENTITY, "--codec", "png", "-o", "frames", "--set=rendering.chunk_frames=7")
    found = pictures_of(Path("frames"))
    assert list(found) == [f"{i:06d}.png" for i in range(40)]
    with ClipReader(clip) as reader:
        assert equal(list(found.values()), [f.rgb for f in reader.frames()])


@pytest.mark.xfail(strict=True, reason="cli/steps.py takes the folder that is there for one that results go into")
def test_a_videos_folder_of_pictures_is_known_again(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("stylize", clip, *IDENTITY, "--codec", "png", "-o", "frames")
    said(capsys, 0, *arguments)
    before = snapshot(Path())
    assert "up to date" in said(capsys, 0, *arguments)
    assert snapshot(Path()) == before


def test_without_a_name_the_folder_is_called_like_the_video(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said_json(capsys, "stylize", clip, *IDENTITY, "--codec", "png")["output"] == "clip.identity"
    assert len(pictures_of(Path("clip.identity"))) == 40


def test_one_frame_of_a_video_is_one_picture(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, 0, "stylize", clip, *IDENTITY, "--start", "30", "--end", "31", "-o", "still.png")
    with ClipReader(clip) as reader:
        wanted = [f.rgb for f in reader.frames()][30]
    assert np.array_equal(read_picture(Path("still.png")), wanted)


@pytest.mark.parametrize("more", [(), ("--start", "3", "--end", "5"), ("--codec", "png")])
def test_several_frames_do_not_fit_into_one_picture(
    more: tuple[str, ...], clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refuse(capsys, 2, "stylize", clip, *IDENTITY, *more, "-o", "still.png")
    assert "one picture cannot hold" in told
    assert "folder" in told
    write_folder(Path("in"), moving_frames(2))
    assert "folder" in refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "still.png")


@pytest.mark.parametrize("ending", ["jpg", "tiff", "webp"])
def test_pictures_of_other_kinds_are_not_written(ending: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_picture(Path("a.png"), scene(64, 48, 1))
    told = refuse(capsys, 2, "stylize", "a.png", *IDENTITY, "-o", f"out.{ending}")
    assert "use -o out.png" in told


# What is in the way


def test_a_folder_with_other_files_is_never_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), moving_frames(3))
    write_folder(Path("mine"), moving_frames(2), ["holiday.png", "wedding.png"])
    assert "--overwrite" in refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "mine")
    Path("mine/thesis.txt").write_text("precious")
    for more in ((), ("--overwrite",)):
        refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "mine", *more)
    assert Path("mine/thesis.txt").read_text() == "precious"


def test_a_result_to_which_something_was_added_is_not_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), moving_frames(3))
    said(capsys, 0, "stylize", "in", *IDENTITY)
    Path("in.identity/retouched").mkdir()
    Path("in.identity/retouched/thesis.txt").write_text("precious")
    for more in ((), ("--overwrite",), ("--overwrite", "--set=rendering.rate=30")):
        refuse(capsys, 2, "stylize", "in", *IDENTITY, *more)


def test_a_result_whose_picture_was_retouched_is_replaced_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), moving_frames(3))
    said(capsys, 0, "stylize", "in", *IDENTITY)
    write_picture(Path("in.identity/1.png"), scene(64, 48, 9))
    refuse(capsys, 2, "stylize", "in", *IDENTITY)
    said(capsys, 0, "stylize", "in", *IDENTITY, "--overwrite")
    assert np.array_equal(read_picture(Path("in.identity/1.png")), read_picture(Path("in/1.png")))


@pytest.mark.parametrize("place", ["in", ".", "in/../in"])
def test_pictures_are_never_written_over_their_sources(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), moving_frames(3))
    refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", place, "--overwrite")
    refuse(capsys, 2, "stylize", "in/0.png", *IDENTITY, "-o", "in/0.png", "--overwrite")


def test_a_file_is_not_replaced_by_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(Path("in"), moving_frames(3))
    Path("out").write_text("precious")
    assert "it is a file" in refuse(capsys, 2, "stylize", "in", *IDENTITY, "-o", "out", "--overwrite")


@pytest.mark.parametrize("size", ["one", "mixed"])
def test_a_damaged_picture_is_one_line_with_its_name(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = SIZES if size == "mixed" else SIZES[:1] * 3
    write_folder(Path("in"), [scene(*s, seed=i) for i, s in enumerate(sizes)])
    data = Path("in/1.png").read_bytes()
    Path("in/1.png").write_bytes(data[: len(data) // 3])
    for arguments in (("stylize", "in", *IDENTITY), ("make-dataset", "in"), ("stylize", "in/1.png", *IDENTITY)):
        assert "1.png: not a picture that can be read" in refuse(capsys, 3, *arguments)
    assert not Path("in.identity").exists()


def test_an_empty_folder_is_no_clip_whatever_lies_hidden_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in").mkdir()
    write_picture(Path("in/.hidden.png"), scene(64, 48, 1))
    Path("in/notes.txt").write_text("x")
    for arguments in (("stylize", "in", *IDENTITY), ("make-dataset", "in")):
        assert "no pictures in this folder" in refuse(capsys, 3, *arguments)
    assert not Path(".vidtrans").exists()


# A dataset


def test_a_dataset_of_a_folder_holds_its_pictures() -> None:
    frames = moving_frames(12)
    write_folder(Path("in"), frames)
    table = api.make_dataset("in", settings={"dataset": {"size": "source", "block": 2, "gap": 1}})
    dataset = open_dataset(Path("in.dataset"))
    assert (table["frames"], table["shots"]) == (12, 1)
    assert [r.index for r in dataset.records] == list(range(12))
    assert equal(list(pictures_of(Path("in.dataset/in")).values()), frames)


def test_a_model_is_taught_by_a_folder_of_photographs_of_several_sizes() -> None:
    sizes = [(96, 64), (48, 48), (64, 96), (40, 56), (80, 48)]
    write_folder(Path("in"), [scene(*size, seed=i) for i, size in enumerate(sizes)])
    settings = {**TINY, "dataset": {**TINY["dataset"], "hold_out": 0.0}}
    table = api.make_dataset("in", settings=settings)
    assert (table["frames"], table["shots"], table["pairs"]) == (5, 5, 5)
    assert api.train("in.dataset", settings=quick_training())["steps"] == 3


def test_a_folder_and_its_video_make_the_same_dataset(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mkv", moving_frames(12), codec="ffv1", pix_fmt="bgr0", options={})
    write_folder(tmp_path / "d" / "c", decode(clip)[2])
    shutil.copy(clip, tmp_path / "d" / "x.mkv")
    for source, place in ((clip, "a"), (tmp_path / "d" / "c", "b")):
        api.make_dataset(source, place, settings={"dataset": {"size": "source"}})
    one, other = (pictures_of(Path(p) / "c") for p in "ab")
    assert list(one) == list(other)
    assert equal(list(one.values()), list(other.values()))
