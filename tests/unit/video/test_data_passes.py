"""Depth, normals and other data in OpenEXR pictures: one range for the whole clip, told, named and fixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import TINY
from clips import moving_frames, write_folder
from exr_files import FLOAT, HALF, exr_bytes

import vidtrans as api
from vidtrans.clips.indexing import survey_clip
from vidtrans.core.errors import MediaError, UsageError
from vidtrans.data.dataset import open_dataset
from vidtrans.session import Context
from vidtrans.video.frame_format import FrameFormat
from vidtrans.video.io.clip import ClipIndex
from vidtrans.video.io.pictures import open_reader
from vidtrans.video.io.policy import describe_conversions

COUNT = 6
SLOPE = np.broadcast_to(np.linspace(0, 10, 64), (48, 64))


def depth(number: int) -> np.ndarray:
    return 3 + SLOPE + 2 * number


def write_passes(folder: Path, *, first: int = 0, kind: int = FLOAT, prefix: str = "", beside: bool = False) -> Path:
    folder.mkdir(parents=True)
    for number in range(COUNT):
        channels = {f"{prefix}Z": depth(first + number)}
        if beside:
            channels |= {f"ViewLayer.Combined.{c}": SLOPE / 10 for c in "RGB"}
            channels |= {f"ViewLayer.Normal.{c}": SLOPE / 10 - 1 for c in "XYZ"}
        (folder / f"{number:04d}.exr").write_bytes(exr_bytes(channels, kind))
    return folder


def read(path: Path, index: ClipIndex | None = None, guides: tuple[str, ...] = ()) -> list[np.ndarray]:
    with open_reader(path, FrameFormat(deep=True), guides=guides) as reader:
        return [f.rgb[..., 0] / 65535 for f in reader.frames(index=index)]


def surveyed(path: Path) -> tuple[ClipIndex, list[str]]:
    index = survey_clip(Context(), path).index
    return index, describe_conversions(index)


def test_depth_has_one_range_for_the_whole_clip_and_it_is_told() -> None:
    index, told = surveyed(write_passes(Path("depth"), kind=HALF))
    assert told[1] == "values from 3 to 23: 3 is black and 23 white in all pictures"
    for number, frame in enumerate(read(Path("depth"), index)):
        assert frame == pytest.approx((depth(number) - 3) / 20, abs=1e-3)
    cached, again = surveyed(Path("depth"))
    assert (cached, again) == (index, told)


def test_a_range_is_fixed_behind_the_name_and_decides_the_key() -> None:
    write_passes(Path("depth"))
    index, told = surveyed(Path("depth#=0..20"))
    assert told[1] == ("values from 3 to 23: 0 is black and 20 white in all pictures, what is beyond is cut off")
    for number, frame in enumerate(read(Path("depth#=0..20"), index)):
        assert frame == pytest.approx(np.minimum(depth(number) / 20, 1), abs=1e-4)
    digests = {survey_clip(Context(), Path(name)).digest for name in ("depth", "depth#=0..20", "depth#Z=0..30")}
    assert len(digests) == 3


@pytest.mark.parametrize("name", ["all/%04d.exr#Depth", "all/0002.exr#depth.z"])
def test_a_layer_is_named_behind_a_folder_a_pattern_or_a_file(name: str) -> None:
    write_passes(Path("all"), prefix="ViewLayer.Depth.", beside=True)
    index, _ = surveyed(Path(name))
    first = read(Path(name), index)[0]
    assert first == pytest.approx(SLOPE / 10 if index.num_frames == 1 else SLOPE / 20, abs=1e-3)


def test_what_has_layers_says_which_is_read_and_what_has_none_refuses_names() -> None:
    write_passes(Path("all"), prefix="ViewLayer.Depth.", beside=True)
    assert surveyed(Path("all"))[1] == [
        "its layer ViewLayer.Combined is read; a # names another, as in '#ViewLayer.Depth': "
        "it has ViewLayer.Depth, ViewLayer.Normal"
    ]
    write_folder(Path("plain"), moving_frames(2))
    for name in ("plain#Z", "plain/0.png#Z", "all#Speed", "all#Depth=2..1", "none#Z"):
        with pytest.raises(MediaError, match=r"Z|Speed|range"):
            surveyed(Path(name))


def test_a_dataset_of_guides_keeps_the_range_for_later_renders() -> None:
    write_passes(Path("shot/depth"))
    write_folder(Path("shot/normals"), [255 - f for f in moving_frames(COUNT)])
    write_folder(Path("beauty"), moving_frames(COUNT))
    api.make_dataset(Path("shot"), pairing="stack", target=Path("beauty"), settings={"dataset": TINY["dataset"]})
    guides = open_dataset(Path("shot.dataset")).pairing.guides
    assert guides == ("depth#=3..23", "normals")
    write_passes(Path("other/depth"), first=2)
    write_folder(Path("other/normals"), moving_frames(COUNT))
    for number, frame in enumerate(read(Path("other"), guides=guides)):
        assert frame == pytest.approx(np.minimum((depth(number + 2) - 3) / 20, 1), abs=1e-4)


def test_the_layers_of_one_folder_are_guides() -> None:
    write_passes(Path("all"), prefix="ViewLayer.Depth.", beside=True)
    write_folder(Path("beauty"), moving_frames(COUNT))
    wanted = {"target": Path("beauty"), "pairing": "stack"}
    with pytest.raises(UsageError, match=r"its pictures have layers: .*#ViewLayer\.Depth"):
        api.make_dataset(Path("all"), settings={"dataset": TINY["dataset"]}, **wanted)
    settings = {"dataset": TINY["dataset"], "pairing": {"guides": ["#Depth:1", "#Normal"]}}
    api.make_dataset(Path("all"), settings=settings, **wanted)
    dataset = open_dataset(Path("all.dataset"))
    assert (dataset.pairing.guides, dataset.pairing.in_channels) == (("#Depth=3..23", "#Normal=-1..1"), 4)
