"""``make-dataset A --target B --preset matched``: pairs of two clips that are not in step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from chain import refuse, said, said_json, tiny_flags, vidtrans
from clips import decode, write_clip, write_folder
from panorama import panorama

import vidtrans as api
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Progress, Stop
from vidtrans.data import match_search
from vidtrans.data.dataset import open_dataset
from vidtrans.data.match_search import separate_held_out
from vidtrans.flow.matching import Match, Matcher, Outlines
from vidtrans.video.images.picture import read_picture

Capsys = pytest.CaptureFixture[str]
SIDE = (128, 96)  # what is seen of the world, width and height
WORLD = panorama(5, 640, 96)
MAKE = ("make-dataset", "day.mp4", "--preset", "matched", "-o", "d", "--set=dataset.val_fraction=0")


def pan(places: range, world: np.ndarray = WORLD) -> list[np.ndarray]:
    return [np.ascontiguousarray(world[:, at : at + SIDE[0]]) for at in places]


@pytest.fixture(autouse=True)
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pan, and the negative of the same pan, later, in other steps, and going on where the first has ended."""
    monkeypatch.chdir(tmp_path)
    write_clip(Path("day.mp4"), pan(range(0, 240, 16)))
    write_clip(Path("night.mp4"), [255 - frame for frame in pan(range(43, 480, 28))])
    write_clip(Path("else.mp4"), pan(range(0, 100, 10), np.full_like(WORLD, 90)))


def test_frames_that_show_the_same_become_pairs_and_the_others_are_left_out(capsys: Capsys) -> None:
    words = said(capsys, 0, *MAKE, "--target", "night.mp4")
    dataset = open_dataset(Path("d"))
    kept = [record.index for record in dataset.records if record.role == "train"]
    assert kept == list(range(len(kept)))  # the pan of the first clip ends at 232, and flow finds no more than a part
    assert 7 <= len(kept) <= 9
    assert f"{len(kept)} of 16 frames of night.mp4 show what day.mp4 shows; {16 - len(kept)} are left out" in words
    for pair in dataset.pairs[:7]:
        given, target = (read_picture(path).astype(float) for path in (*pair.inputs, pair.target))
        inner = np.s_[12:-12, 12:-12]
        assert np.abs(given - (255 - target))[inner].mean() < 18
        assert np.abs(given - target)[inner].mean() > 40
    assert dataset.records[0].target == "day.target/000000.png"


def test_a_build_that_is_made_again_has_the_same_pictures_which_are_trained_on(capsys: Capsys) -> None:
    make = (*MAKE, "--target", "night.mp4", "--size", "32", "--end", "6")
    vidtrans(*make)
    first = {path.name: path.read_bytes() for path in Path("d").rglob("*.png")}
    vidtrans(*make, "--overwrite", "--cache-dir", "other")
    assert first == {path.name: path.read_bytes() for path in Path("d").rglob("*.png")}
    assert said_json(capsys, *make)["cached"]
    vidtrans(*make, "--set=pairing.min_found=0.9", expect=2)  # other pairs: not that dataset
    vidtrans("train", "d", *tiny_flags("generator", "discriminator", "training"), "-o", "m.safetensors", "--steps", "1")
    vidtrans("stylize", "day.mp4", "--model", "m.safetensors", "-o", "out.mkv", "--end", "2")
    assert len(decode(Path("out.mkv"))[2]) == 2


def test_a_search_that_was_stopped_goes_on_and_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    class CountingMatcher(Matcher):
        def __call__(self, frame: Outlines) -> Match:
            searched.append(1)
            return super().__call__(frame)

    monkeypatch.setattr(match_search, "Matcher", CountingMatcher)
    monkeypatch.setattr(match_search, "BLOCK_FRAMES", 5)
    write_folder(Path("nights"), [255 - frame for frame in pan(range(4, 100, 10))])
    stops = Stop()

    def stop_at_seven(event: object) -> None:
        if isinstance(event, Progress) and event.task == "finding pairs" and event.done == 7:
            stops.request(130)

    options = {"target": "nights", "preset": "matched", "settings": {"dataset": {"val_fraction": 0.0}}}
    with pytest.raises(Interrupted):
        api.make_dataset("day.mp4", "d", report=stop_at_seven, stop=stops, **options)
    first = len(searched)
    assert first in (7, 8)  # one may be under way
    api.make_dataset("day.mp4", "d", **options)
    assert len(searched) == first + 5  # of the second block; the first was saved
    stricter = options | {"settings": {"dataset": {"val_fraction": 0.0}, "pairing": {"min_found": 0.2}}}
    api.make_dataset("day.mp4", "e", **stricter)
    assert len(searched) == first + 5
    api.make_dataset("day.mp4", "f", cache_dir="other", **options)
    names = ("d", "f")
    made = [{path.name: path.read_bytes() for path in sorted(Path(f"{d}/day").glob("*.png"))} for d in names]
    assert made[0] == made[1]


def test_folders_steps_cuts_and_times_are_those_of_the_target(capsys: Capsys) -> None:
    write_folder(Path("nights"), [255 - frame for frame in pan(range(43, 150, 14))])
    table = said_json(capsys, *MAKE, "--target", "nights")
    assert (table["pairs"], table["shots"], table["pairing"]) == (8, 1, "matched")
    Path("cuts.txt").write_text("4\n")
    table = said_json(capsys, *MAKE, "--target", "nights", "--overwrite", "--cuts", "cuts.txt", "--every", "2")
    assert (table["pairs"], table["shots"]) == (4, 2)
    both = said_json(capsys, *MAKE, "--target", "nights", "--overwrite", "--start", "1", "--end", "6")
    assert both["pairs"] <= 5


def test_what_has_no_pairs_is_refused_and_nothing_is_made(capsys: Capsys) -> None:
    write_clip(Path("tall.mp4"), [np.ascontiguousarray(f[:, :64]) for f in pan(range(0, 20, 10))])
    for arguments, why, status in (
        ((), "it needs a second clip", 2),
        (("--target", "else.mp4"), "none of its frames shows what day.mp4 shows", 3),
        (("--target", "tall.mp4"), "one of them would be stretched", 3),
        (("--target", "night.mp4", "--set", "pairing.min_found=2"), "min_found", 2),
        (("--unpaired", "night.mp4"), "pairing 'matched' makes pairs", 2),
    ):
        assert why in refuse(capsys, status, *MAKE, *arguments)


@pytest.mark.thorough
def test_it_is_said_where_domains_without_pairs_show_the_same(capsys: Capsys) -> None:
    wanted = "vidtrans make-dataset day.mp4 --target {} --preset matched"
    write_clip(Path("dusk.mp4"), [255 - frame for frame in pan(range(3, 240, 28))])
    for name, shows_it in (("night.mp4", False), ("dusk.mp4", True)):
        words = said(capsys, 0, "make-dataset", "day.mp4", "--unpaired", name, "-o", "u", "--overwrite")
        assert (wanted.format(name) in words) is shows_it


@pytest.mark.thorough
def test_no_frame_is_learned_from_whose_input_lies_near_one_that_is_held_out() -> None:
    short = ("--set=dataset.val_fraction=0.2", "--set=dataset.val_block_size=2", "--set=dataset.val_gap=1")
    write_clip(Path("dense.mp4"), [255 - frame for frame in pan(range(43, 240, 14))])
    vidtrans(*MAKE, "--target", "dense.mp4", *short)
    records = open_dataset(Path("d")).records
    roles = [record.role for record in records if record.role != "dropped"]
    assert {"train", "val", "gap"} <= set(roles)
    separated = separate_held_out({0: "val", 1: "train", 2: "train"}, {0: 5, 1: 8, 2: 5}, 2)
    assert separated == {0: "val", 1: "train", 2: "gap"}
