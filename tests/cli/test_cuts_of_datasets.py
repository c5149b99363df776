"""``make-dataset --cuts``: no pair reaches across a cut that the user named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from chain import refuse, said, said_json, tiny_flags
from clips import moving_frames, write_folder
from directed_clip import lossless

from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Progress, Stop
from vidtrans.data.dataset import open_dataset

Capsys = pytest.CaptureFixture[str]

COUNT, CUT = 30, 17
NEXT = ("--pairing", "next-frame", "--set=pairing.context_frames=1", "--set=dataset.val_fraction=0")
MAKE = ("make-dataset", "s.mp4", *NEXT, *tiny_flags("dataset"))
SETTINGS: dict[str, dict[str, Any]] = {
    "dataset": {"size": "32", "val_fraction": 0.0, "drop_duplicates": False, "min_sharpness": 0.0}
}


@pytest.fixture(autouse=True)
def clips(tmp_path: Path) -> None:
    """``s.mp4``, a source of two shots, and two lists of cuts that are none."""
    lossless(Path("s.mp4"), moving_frames(COUNT, shots=(0, CUT)))
    Path("cuts.txt").write_text("4\n9\n")
    Path("other.txt").write_text("20\n")


def missing_steps(folder: str = "s.dataset") -> list[int]:
    """The frames that no pair leads to from the one before."""
    there = {tuple(int(p.stem) for p in (*pair.inputs, pair.target)) for pair in open_dataset(Path(folder)).pairs}
    assert all(b == a + 1 for a, b in there)
    return [n for n in range(1, COUNT) if (n - 1, n) not in there]


def made(capsys: Capsys, *flags: object) -> dict[str, Any]:
    return said_json(capsys, *MAKE, "--set=dataset.drop_duplicates=false", "--set=dataset.min_sharpness=0", *flags)


@pytest.mark.parametrize(
    ("flags", "cuts"),
    [
        ((), [CUT]),
        (("--cuts", "auto"), [CUT]),
        (("--cuts", "off"), []),
        (("--cuts", "cuts.txt"), [4, 9]),
        (("--set=dataset.cuts='cuts.txt'",), [4, 9]),
    ],
    ids=["as found", "auto", "off", "a list", "a setting"],
)
def test_pairs_reach_across_no_cut_that_is_named_and_across_all_others(
    flags: tuple[str, ...], cuts: list[int], capsys: Capsys
) -> None:
    assert made(capsys, *flags)["shots"] == len(cuts) + 1
    assert missing_steps() == cuts


def test_a_target_goes_along(capsys: Capsys) -> None:
    lossless(Path("t.mp4"), [255 - f for f in moving_frames(COUNT, shots=(0, CUT))])
    flags = ("make-dataset", "s.mp4", "--pairing", "aligned", "--target", "t.mp4", "--cuts", "cuts.txt")
    assert said_json(capsys, *flags)["shots"] == 3
    for pair in open_dataset(Path("s.dataset")).pairs:
        assert (pair.target.parent.name, pair.target.stem) == ("s.target", pair.inputs[0].stem)


def test_frames_are_counted_in_the_clip_and_not_in_the_part_of_it(capsys: Capsys) -> None:
    assert made(capsys, "--start", "6", "--end", "25", "--cuts", "cuts.txt")["shots"] == 2
    assert [n for n in missing_steps() if 6 < n < 25] == [9]


def test_named_cuts_are_on_record_and_found_ones_as_before(capsys: Capsys) -> None:
    for flags, recorded in ((("--cuts", "cuts.txt"), [4, 9]), (("--cuts", "off"), []), ((), None)):
        made(capsys, *flags, "--overwrite")
        (source,) = json.loads(Path("s.dataset/dataset.json").read_text())["sources"]
        assert source.get("cuts") == recorded


def test_an_edited_list_makes_another_dataset_and_a_moved_one_does_not(capsys: Capsys) -> None:
    assert not made(capsys, "--cuts", "cuts.txt")["cached"]
    assert made(capsys, "--cuts", "cuts.txt")["cached"]
    Path("folder").mkdir()
    shutil.move("cuts.txt", "folder/moved.lst")
    assert made(capsys, "--cuts", "folder/moved.lst")["cached"]
    for flags in (("--cuts", "other.txt"), ("--cuts", "off"), ()):
        assert "made from other inputs, by another command or with other options" in refuse(capsys, 2, *MAKE, *flags)
    Path("folder/moved.lst").write_text("5\n")
    assert "made from other inputs, by another command or with other options" in refuse(
        capsys, 2, *MAKE, "--cuts", "folder/moved.lst"
    )


def test_a_stopped_build_goes_on_only_with_the_same_cuts() -> None:
    import vidtrans

    lossless(Path("long.mp4"), moving_frames(70))
    stop = Stop()

    def report(event: Any) -> None:
        if isinstance(event, Progress) and event.task == "reading frames" and event.done >= 60:
            stop.request(130)

    wanted = SETTINGS["dataset"] | {"cuts": "cuts.txt"}
    with pytest.raises(Interrupted):
        vidtrans.make_dataset("long.mp4", settings={"dataset": wanted}, report=report, stop=stop)
    assert not Path("long.dataset").exists()
    half = {p.parent.name for p in Path(".vidtrans/dataset").glob("*/chunk-*.json")}
    assert len(half) == 1
    vidtrans.make_dataset("long.mp4", "other.dataset", settings={"dataset": wanted | {"cuts": "other.txt"}})
    assert {p.parent.name for p in Path(".vidtrans/dataset").glob("*/chunk-*.json")} == half
    vidtrans.make_dataset("long.mp4", settings={"dataset": wanted})
    assert {r.shot for r in open_dataset(Path("long.dataset")).records} == {0, 1, 2}


def test_several_videos_have_no_list_in_common(capsys: Capsys) -> None:
    shutil.copy("s.mp4", "t.mp4")
    both = ("make-dataset", "s.mp4", "t.mp4", "--pairing", "next-frame")
    assert "--cuts cuts.txt: one list fits one video" in refuse(capsys, 2, *both, "--cuts", "cuts.txt")
    assert said_json(capsys, *both, "--cuts", "off")["shots"] == 2


def test_pairs_without_an_order_have_no_cuts(capsys: Capsys) -> None:
    frames = moving_frames(4)
    write_folder(Path("pairs/A"), frames)
    write_folder(Path("pairs/B"), [255 - f for f in frames])
    make = ("make-dataset", "pairs", "--pairing", "aligned", "--set=dataset.size=32")
    assert "--cuts cuts.txt: the pairs of pairs are in no order" in refuse(capsys, 2, *make, "--cuts", "cuts.txt")
    said(capsys, 0, *make, "--cuts", "off")
    assert said_json(capsys, *make, "--cuts", "off")["cached"]


def test_pictures_of_several_sizes_are_not_put_into_one_shot(capsys: Capsys) -> None:
    write_folder(Path("sizes"), [*moving_frames(4), *moving_frames(4, size=(48, 64))])
    make = ("make-dataset", "sizes", "--pairing", "next-frame", "--set=dataset.val_fraction=0")
    assert "sizes are of several sizes" in refuse(capsys, 2, *make, "--cuts", "off")
    assert said_json(capsys, *make)["shots"] == 2
