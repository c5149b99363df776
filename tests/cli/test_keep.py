"""``vidtrans look --keep``: a mask of the clip that is learned on, and what of it reaches the training."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from chain import refuse, said, said_json
from clips import moving_frames, scene, write_clip, write_folder
from directed_clip import halves, lossless

import vidtrans as api
from vidtrans.config.recipe import make_recipe
from vidtrans.core.errors import Interrupted
from vidtrans.core.events import Event, Note, Progress, Stop
from vidtrans.core.mask_files import MaskFile
from vidtrans.data.dataset import Pair, open_dataset
from vidtrans.data.dataset_planning import DatasetSpec
from vidtrans.data.making import make_dataset
from vidtrans.session import Context
from vidtrans.video.images.picture import read_picture

pytestmark = pytest.mark.usefixtures("one_thread", "quick_trial", "small_paintings")
Capsys = pytest.CaptureFixture[str]
COUNT, SIZE = 24, (96, 64)
SETTINGS = {
    "dataset": {"size": "32", "val_block_size": 3, "val_gap": 1},
    "training": {"crop_size": 32, "ema_decay": 0.0, "steps": 3},
}
QUICK = [f"--set={table}.{key}={value}" for table, values in SETTINGS.items() for key, value in values.items()]


@pytest.fixture(autouse=True)
def ink() -> Path:
    cv2.imwrite("ink.png", scene(64, 48, 1))
    return Path("ink.png")


@pytest.fixture
def clip() -> Path:
    return write_clip(Path("c.mp4"), moving_frames(COUNT, size=SIZE))


def mattes(pairs: list[Pair]) -> list[np.ndarray]:
    return [read_picture(pair.keep)[..., 0] for pair in pairs if pair.keep]


def test_each_frame_is_stored_with_its_matte(clip: Path, capsys: Capsys) -> None:
    masks = halves(COUNT, SIZE)
    mask = lossless(Path("m.mp4"), masks)
    command = ("look", "ink.png", "--on", clip, "--keep", mask, "--set=dataset.frame_step=2", *QUICK)
    table = said_json(capsys, *command)
    pairs = open_dataset(Path("ink.dataset")).pairs
    found = {int(pair.inputs[0].stem): matte for pair, matte in zip(pairs, mattes(list(pairs)), strict=True)}
    assert set(found) <= set(range(2, COUNT, 2))
    assert len(found) >= 8
    for number, matte in found.items():
        wanted = cv2.resize(masks[number][..., 0], (48, 32), interpolation=cv2.INTER_AREA)
        assert np.abs(matte.astype(int) - wanted).max() <= 8, number
    assert table["frames"] == COUNT // 2  # mattes are no frames
    Path(f"ink.dataset/c.keep/{min(found):06d}.png").unlink()
    after = open_dataset(Path("ink.dataset"))
    assert (after.num_missing, len(after.pairs)) == (1, len(pairs) - 1)  # a deleted matte drops its pair
    cv2.imwrite(f"ink.dataset/c.keep/{max(found):06d}.png", np.zeros((10, 10), np.uint8))
    assert f"{max(found):06d}.png: it is 10x10" in said(capsys, 3, *command, "--steps", 4, "--overwrite")


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ([np.zeros((64, 96, 3), np.uint8)], ("nothing is inside it",)),
        ([np.full((64, 96, 3), 255, np.uint8)], ("everything is inside it",)),
        (halves(1, SIZE), ()),
        (halves(10, (48, 48)), ("it has 10 frames, the clip 24: matched by", "it is 48x48, the clip 96x64: stretched")),
    ],
)
def test_a_mask_that_keeps_nothing_or_all_or_does_not_fit_is_told(
    mask: list[np.ndarray], says: tuple[str, ...], clip: Path
) -> None:
    heard: list[Event] = []
    keep = [MaskFile(write_folder(Path("m"), mask))]
    spec = DatasetSpec([clip], make_recipe(None, "look", {"dataset": {"size": "32"}}), keep=keep)
    make_dataset(spec, Path("d.dataset"), Context(report=heard.append))
    told = [event.text for event in heard if isinstance(event, Note) and "mask m: " in event.text]
    assert len(told) == len(says)
    assert all(any(text in line for line in told) for text in says)


def test_mistakes_are_one_line_and_leave_nothing_behind(clip: Path, capsys: Capsys) -> None:
    Path("text").write_text("white where the face is")
    Path("empty").mkdir()
    write_folder(Path(), halves(1, SIZE), ["m.png"])
    look = ("look", "ink.png", "--on", clip, *QUICK)
    for mask, why in (("none.png", "no such file"), ("text", "not a video"), ("empty", "no pictures")):
        assert f"{mask}: {why}" in refuse(capsys, 3, *look, "--keep", mask)
    assert "add --on VIDEO" in refuse(capsys, 2, "look", "ink.png", "--keep", "m.png")
    assert "leave it out, or --optimise" in refuse(capsys, 2, "look", "ink.png", "--optimise", "--keep", "m.png")
    run = ("run", "--apply", clip, "-o", "out.mp4", "--keep", "m.png")
    assert "add --look PICTURE" in refuse(capsys, 2, *run, clip)
    assert "nothing is trained with --at-once" in refuse(capsys, 2, *run, "--look", "ink.png", "--at-once")


@pytest.mark.thorough
def test_a_stopped_training_goes_on_to_the_same_bytes(clip: Path) -> None:
    mask = lossless(Path("m.mp4"), halves(COUNT, SIZE))
    stop = Stop()

    def stop_after_two(event: Event) -> None:
        if isinstance(event, Progress) and event.unit == "steps" and event.done >= 2:
            stop.request(130)

    longer = SETTINGS | {"training": SETTINGS["training"] | {"steps": 5}}
    whole = api.look("ink.png", "whole.safetensors", on=clip, keep=mask, settings=longer, cache_dir="other")
    with pytest.raises(Interrupted):
        api.look("ink.png", "m.safetensors", on=clip, keep=mask, settings=longer, report=stop_after_two, stop=stop)
    again = api.look("ink.png", "m.safetensors", on=clip, keep=mask, settings=longer)
    assert again["held_out"] == whole["held_out"]
    assert Path("m.train/losses.csv").read_bytes() == Path("whole.train/losses.csv").read_bytes()
