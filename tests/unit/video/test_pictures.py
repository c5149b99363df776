"""Pictures as clips: one, or a folder of them, read in order, and what a dataset makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from clips import moving_frames, scene, write_folder
from directed_clip import same

from vidtrans.core.errors import MediaError
from vidtrans.core.settings import Size
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.images.picture import write_picture
from vidtrans.video.io.picture_paths import pictures_in, split_view
from vidtrans.video.io.pictures import open_reader


def read(path: Path, size: Size | None = None) -> list[np.ndarray]:
    with open_reader(path, FrameFormat(size or Size())) as reader:
        return [f.rgb for f in reader.frames()]


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


def test_a_folder_is_read_in_natural_order_and_only_its_pictures(tmp_path: Path) -> None:
    frames = moving_frames(12)
    folder = write_folder(tmp_path / "f", frames)
    write_folder(folder / "sub", frames[:1])
    write_picture(folder / ".hidden.png", frames[0])
    (folder / "notes.txt").write_text("0.png is the best")
    (folder / "10.PNG.bak").write_text("x")
    assert [p.name for p in pictures_in(folder)] == [f"{i}.png" for i in range(12)]
    assert same(read(folder), frames)


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
