"""Held-out pairs that are also kept at their source's size: which they are, their files, and what a deletion does."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chain import TINY
from clips import moving_frames, pictures_of, write_clip, write_folder
from datasets import put

import vidtrans as api
from vidtrans.core.errors import MediaError
from vidtrans.core.files import DATASET_FILE
from vidtrans.data.dataset import check_sizes, open_dataset
from vidtrans.data.dataset_planning import DatasetPlan, plan_dataset
from vidtrans.data.settings import DatasetSettings
from vidtrans.data.sources import ClipSource
from vidtrans.flow.survey import Survey
from vidtrans.pairing.pairing_records import make_pairing
from vidtrans.video.images.picture import picture_size
from vidtrans.video.io.clip import ClipIndex


def index_of(width: int, height: int, num_frames: int = 100) -> ClipIndex:
    pts = tuple(range(0, 512 * num_frames, 512))
    return ClipIndex(pts, Fraction(1, 15_360), 512, width, height, Fraction(1), Fraction(30), 0, num_frames)


def source_of(size: tuple[int, int], target: tuple[int, int] | None = None, **more: Any) -> ClipSource:
    index, survey = index_of(*size), Survey((0,), tuple(range(100)), (9.0,) * 100)
    other = (Path("target.mp4"), index_of(*target)) if target else (None, None)
    return ClipSource(Path("clip.mp4"), index, survey, 0, 100, 1, *other, **more)


def plan(*sources: Any, pairing: str = "aligned", **settings: Any) -> DatasetPlan:
    return plan_dataset(sources, make_pairing(pairing, {}), DatasetSettings(**settings))


LARGE = (640, 360)


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        (source_of(LARGE, LARGE), {"full_size_pairs": 0}),
        (source_of(LARGE, LARGE), {"size": "360"}),  # stored as large already
        (source_of(LARGE, LARGE), {"size": "320x360"}),  # one side is not enlarged
        (source_of(LARGE, (320, 180)), {}),  # nothing sharp to compare with
        (source_of(LARGE), {"pairing": "edges"}),
        (source_of(LARGE, LARGE, guides=("depth",)), {}),
        (source_of(LARGE, LARGE), {"pairing": "grade"}),  # painted at the source's size
        (source_of(LARGE, LARGE), {"val_fraction": 0.0}),
    ],
    ids=range(8),
)
def test_no_pair_is_kept_at_full_size_where_it_shows_nothing_more(source: ClipSource, settings: dict[str, Any]) -> None:
    made = plan(source, **settings)
    assert len(made.records) == 100
    assert not made.full_size


def test_only_datasets_with_separate_targets_depend_on_how_many_are_kept() -> None:
    few, many = DatasetSettings(full_size_pairs=1), DatasetSettings(full_size_pairs=8)
    assert few.for_key(has_targets=False) == many.for_key(has_targets=False)
    assert few.for_key(has_targets=True) != many.for_key(has_targets=True)


@pytest.fixture
def clips() -> list[np.ndarray]:
    frames = moving_frames(40, (96, 64))
    write_clip(Path("c.mp4"), frames)
    write_folder(Path("t"), [255 - cv2.resize(f, (144, 96)) for f in frames], [f"{i:03}.png" for i in range(40)])
    return frames


SETTINGS = {"dataset": TINY["dataset"] | {"val_fraction": 0.25, "full_size_pairs": 3}}


def make(**options: Any) -> dict[str, Any]:
    return api.make_dataset("c.mp4", "d", pairing="aligned", target="t", settings=SETTINGS, **options)


def test_a_dataset_holds_full_size_pairs_until_they_are_deleted_and_an_index_with_wrong_ones_is_damaged(
    clips: list[np.ndarray],
) -> None:
    expected = make(dry_run=True)
    assert expected["full_size_pairs"] == 3
    table = make()
    assert table["full_size_pairs"] == 3
    sources, targets = pictures_of(Path("d/c.full")), pictures_of(Path("d/c.full.target"))
    assert list(sources) == list(targets)
    assert len(sources) == 3
    for name, picture in sources.items():
        assert picture.shape == targets[name].shape == (64, 96, 3)
        frame = clips[int(Path(name).stem)].astype(int)
        assert np.abs(picture - frame).mean() < 6  # of a lossy clip
        assert np.abs(targets[name] - (255 - frame)).mean() < 6
    dataset = open_dataset(Path("d"))
    full = [pair for pair in dataset.pairs if pair.full]
    assert [pair.full[0].name for pair in full if pair.full] == list(sources)
    assert all(pair.role == "val" and picture_size(pair.target) == (48, 32) for pair in full)

    first = dataset.folder / "c.full" / next(iter(sources))
    before = first.read_bytes()
    first.unlink()
    fewer = open_dataset(Path("d"))
    assert (fewer.num_missing, len(fewer.pairs)) == (1, len(dataset.pairs))
    assert sum(pair.full is not None for pair in fewer.pairs) == 2
    again = make()
    assert (again["cached"], again["full_size_pairs"], again["frames"]) == (True, 2, table["frames"])
    restored = make(restore=True)
    assert (restored["full_size_pairs"], restored["frames"]) == (3, table["frames"])
    assert first.read_bytes() == before

    put(first, 1, (50, 40))
    with pytest.raises(MediaError, match="50x40"):
        check_sizes(open_dataset(Path("d")).role("val"))
    index = json.loads(Path("d", DATASET_FILE).read_text())
    for wrong in (["../../x.png", "c.full.target/1.png"], ["c.full/1.png"], 7):
        next(frame for frame in index["frames"] if "full" in frame)["full"] = wrong
        Path("d", DATASET_FILE).write_text(json.dumps(index))
        with pytest.raises(MediaError, match="damaged"):
            open_dataset(Path("d"))
