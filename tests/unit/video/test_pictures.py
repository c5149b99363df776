"""Pictures as clips: one, or a folder of them, read in order, and what a dataset makes of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from clips import decode, moving_frames, pictures_of, scene, write_clip, write_folder
from directed_clip import same
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

import vidtrans as api
from vidtrans.core.errors import MediaError
from vidtrans.core.settings import Size
from vidtrans.data.dataset import open_dataset
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.picture_paths import in_natural_order, pictures_in, split_view
from vidtrans.video.io.pictures import open_reader

repeatable = hypothesis_settings(max_examples=50)
SIZES = [(64, 48), (40, 40), (48, 64)]


def read(path: Path, size: Size | None = None) -> list[np.ndarray]:
    with open_reader(path, FrameFormat(size or Size())) as reader:
        return [f.rgb for f in reader.frames()]


# Named


@pytest.mark.parametrize(
    ("given", "source", "view"),
    [
        ("sh#%04d.png", "sh#%04d.png", ""),
        ("sh#%04d.exr#Z", "sh#%04d.exr", "Z"),
        ("take#2#Z", "take#2", "Z"),
        ("take#2", "take#2", ""),
        ("#Z", ".", "Z"),
        ("plain#Z#2", "plain", "Z#2"),
        ("missing#Z#2", "missing", "Z#2"),
    ],
)
def test_a_view_follows_the_last_number_sign_behind_a_source(given: str, source: str, view: str) -> None:
    for folder in ("take#2", "plain"):
        Path(folder).mkdir()
    assert split_view(Path(given)) == (Path(source), view)


# In order


@repeatable
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 4)), min_size=1, unique_by=lambda n: n[0]),
    st.sampled_from(["", "frame", "v2-take", "Take 10 "]),
    st.sampled_from(["", "_rgb", "x4"]),
)
def test_numbers_in_names_sort_as_numbers(numbers: list[tuple[int, int]], before: str, after: str) -> None:
    paths = [Path(f"{before}{number:0{width}}{after}.png") for number, width in numbers]
    found = in_natural_order(paths)
    wanted = sorted(numbers)
    assert found == [Path(f"{before}{number:0{width}}{after}.png") for number, width in wanted]


@repeatable
@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)))
def test_any_names_have_an_order(names: list[str]) -> None:
    paths = {Path(name) for name in names}
    found = in_natural_order(paths)
    assert sorted(found) == sorted(paths)
    assert in_natural_order(found[::-1]) == found


def test_a_folder_is_read_in_natural_order_and_only_its_pictures(tmp_path: Path) -> None:
    frames = moving_frames(12)
    folder = write_folder(tmp_path / "f", frames)
    write_folder(folder / "sub", frames[:1])
    write_picture(folder / ".hidden.png", frames[0])
    (folder / "notes.txt").write_text("0.png is the best")
    (folder / "10.PNG.bak").write_text("x")
    assert [p.name for p in pictures_in(folder)] == [f"{i}.png" for i in range(12)]
    assert same(read(folder), frames)


def test_pictures_come_at_the_size_that_was_asked_for_each_in_its_own_shape(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "f", [scene(*size, seed=0) for size in SIZES])
    assert [f.shape[1::-1] for f in read(folder, Size(short=20))] == [(27, 20), (20, 20), (20, 27)]
    assert {f.shape for f in read(folder, Size(exact=(30, 10)))} == {(10, 30, 3)}


def test_a_part_of_a_folder_keeps_its_numbers(tmp_path: Path) -> None:
    frames = moving_frames(12)
    with open_reader(write_folder(tmp_path / "f", frames)) as reader:
        part = list(reader.frames(3, 6))
        assert [f.index for f in part] == [f.pts for f in part] == [3, 4, 5]
        assert same([f.rgb for f in part], frames[3:6])
        assert [f.index for f in reader.frames(10, 99)] == [10, 11]


@pytest.mark.parametrize("change", ["another", "fewer", "renamed"])
def test_a_folder_that_changed_while_it_was_read_is_refused(tmp_path: Path, change: str) -> None:
    folder = write_folder(tmp_path / "f", moving_frames(4))
    with open_reader(folder) as reader:
        assert len(list(reader.frames())) > 0
        index = reader.index()
    if change == "another":
        write_picture(folder / "2b.png", scene(64, 48, 0))
    elif change == "fewer":
        (folder / "3.png").unlink()
    else:
        (folder / "3.png").rename(folder / "4.png")
    with open_reader(folder) as reader, pytest.raises(MediaError, match="changed while it was read — run the command"):
        next(reader.frames(0, None, index))


# A dataset


def test_a_folder_and_its_video_make_the_same_dataset(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "c.mkv", moving_frames(12), codec="ffv1", pix_fmt="bgr0", options={})
    write_folder(tmp_path / "d" / "c", decode(clip)[2])
    shutil.copy(clip, tmp_path / "d" / "x.mkv")
    for source, place in ((clip, "a"), (tmp_path / "d" / "c", "b")):
        table = api.make_dataset(source, place, settings={"dataset": {"size": "source"}})
        assert (table["frames"], table["shots"]) == (12, 1)
        assert [r.index for r in open_dataset(Path(place)).records] == list(range(12))
        assert same(list(pictures_of(Path(place) / "c").values()), decode(clip)[2])
