"""Training without pairs, from two clips to models of both directions."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, refuse, said_json
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.errors import Interrupted, UsageError
from vidtrans.events import Note, Progress, Stop
from vidtrans.models.model_file import read_record
from vidtrans.training import METHODS, unpaired_colours

pytestmark = pytest.mark.usefixtures("one_thread")

KEEP_ALL = {"drop_duplicates": False, "min_sharpness": 0.0}
NETWORKS: dict[str, dict[str, Any]] = {
    "generator": {"name": "translator", "channels": 4, "blocks": 1},
    "discriminator": {"name": "patchgan", "num_layers": 1, "channels": 4, "norm": "instance"},
}
UNPAIRED = [name for name in METHODS if METHODS.load(name).unpaired]
OWN = {"cut": {"contrastive_features": "own"}, "recyclegan": {"predictor_channels": 4}}


def tables(method: str, **more: Any) -> dict[str, dict[str, Any]]:
    training = {"method": method, "gan_mode": "least-squares", "pool_size": 3, "crop_size": None, "jitter": 1.0}
    hasty = {**TINY["training"], "steps": 6, "ema_decay": 0.9, "val_interval": 1000}
    return NETWORKS | {"training": hasty | training | OWN.get(method, {}) | more}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips and their dataset."""
    folder = tmp_path_factory.mktemp("footage")
    with contextlib.chdir(folder):
        write_clip(Path("day.mp4"), moving_frames(30, (64, 48)))
        write_clip(Path("night.mp4"), [255 - f // 2 for f in moving_frames(30, (64, 48), shots=(0, 9))])
        settings = {"dataset": TINY["dataset"] | KEEP_ALL | {"val_block_size": 4, "val_gap": 1, "val_fraction": 0.3}}
        api.make_dataset("day.mp4", "d", unpaired=["night.mp4"], settings=settings, cache_dir="cache")
    return folder


@pytest.fixture(autouse=True)
def _beside_the_footage(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpaired_colours, "METHOD", "linear")  # a fraction of the time
    for name in ("day.mp4", "night.mp4"):
        shutil.copy2(footage / name, tmp_path)
    shutil.copytree(footage / "d", tmp_path / "d")


def stopped_at(step: int, output: str, settings: dict[str, dict[str, Any]]) -> None:
    stop = Stop()

    def hear(event: object) -> None:
        if isinstance(event, Progress) and event.task == "training" and event.done >= step:
            stop.request(130)

    with pytest.raises(Interrupted):
        api.train("d", output, settings=settings, report=hear, stop=stop)


@pytest.mark.parametrize("method", UNPAIRED)
def test_a_run_that_was_stopped_ends_with_the_same_bytes_in_every_file(method: str) -> None:
    settings = tables(method, lambda_steady=1.0)
    whole = api.train("d", "whole.safetensors", settings=settings, cache_dir="other-cache")
    stopped_at(2, "parts.safetensors", settings)
    stopped_at(4, "parts.safetensors", settings)
    parts = api.train("d", "parts.safetensors", settings=settings)
    assert whole["companions"].keys() == parts["companions"].keys() >= {"colours"}
    assert Path("whole.safetensors").read_bytes() == Path("parts.safetensors").read_bytes()
    for name, path in parts["companions"].items():
        assert Path(path).read_bytes() == Path(whole["companions"][name]).read_bytes()


def test_both_directions_and_the_colours_are_models() -> None:
    made = api.train("d", "night.safetensors", settings=tables("cyclegan"))
    assert made["companions"] == {"reverse": "night.reverse.safetensors", "colours": "night.colours.safetensors"}
    models = ("night.safetensors", made["companions"]["reverse"])
    domains = [read_record(Path(model)).pairing["settings"]["domains"] for model in models]
    assert domains == [["day", "night"], ["night", "day"]]
    assert made["held_out"]["patch_distance"] is not None
    for model, clip in (("night", "day"), ("night.reverse", "night"), ("night.colours", "day")):
        done = api.stylize(f"{clip}.mp4", f"{model}.safetensors", f"{model}.out.mp4")
        assert done["frames"] == 30


def test_what_came_beside_the_model_is_brought_back_and_nobodys_file_is_replaced(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = tables("cyclegan")
    api.train("d", "m.safetensors", settings=settings)
    before = Path("m.reverse.safetensors").read_bytes()
    Path("m.reverse.safetensors").unlink()
    again = api.train("d", "m.safetensors", settings=settings)
    assert again["companions"].keys() == {"reverse", "colours"}
    assert Path("m.reverse.safetensors").read_bytes() == before
    assert api.train("d", "m.safetensors", settings=settings)["cached"]
    Path("mine.reverse.safetensors").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"mine\.reverse\.safetensors"):
        api.train("d", "mine.safetensors", settings=settings)
    assert Path("mine.reverse.safetensors").read_bytes() == b"mine"


def test_the_best_state_is_that_of_the_smallest_distance_in_both_directions() -> None:
    rates = {"lr": 0.3, "lr_warmup_steps": 0, "val_interval": 3}
    settings = tables("cyclegan", final_weights="best", best_metric="patch_distance", **rates)
    made = api.train("d", "best.safetensors", settings=settings)
    last = api.train("d", "last.safetensors", settings=tables("cyclegan", **rates))
    assert made["best"] in (3, 6)
    same = Path(made["companions"]["reverse"]).read_bytes() == Path(last["companions"]["reverse"]).read_bytes()
    records = [read_record(Path(f"{n}.reverse.safetensors")).weights for n in ("best", "last")]
    assert (records[0] == records[1]) == (made["best"] == 6)
    assert not same or made["best"] == 6


def test_a_translator_may_remember(capsys: pytest.CaptureFixture[str]) -> None:
    api.train("d", "m.safetensors", settings=tables("cut", recurrent=True))
    assert read_record(Path("m.safetensors")).memory == {"flow": "dis"}
    assert said_json(capsys, "stylize", "day.mp4", "--model", "m.safetensors", "-o", "o.mp4")["frames"] == 30


@pytest.mark.parametrize("method", ["cyclegan", "recyclegan"])
def test_a_picture_of_the_target_or_a_number_says_which_look_it_is(method: str) -> None:
    api.train("d", "m.safetensors", settings=tables(method, look_size=3, lambda_steady=1.0))
    record = read_record(Path("m.safetensors"))
    assert record.codes["size"] == 3
    assert read_record(Path("m.reverse.safetensors")).codes == {}
    night = next(Path("d/night").glob("*.png"))
    for look in ("4", str(night), "shots:2"):
        settings = {"rendering": {"look": look}}
        done = api.stylize("day.mp4", "m.safetensors", f"{len(look)}.mp4", settings=settings)
        assert done["frames"] == 30


@pytest.mark.parametrize("looks", [0, 2])
def test_training_goes_on_from_both_directions(looks: int) -> None:
    api.train("d", "m.safetensors", settings=tables("cyclegan", look_size=looks))
    idle = tables("cyclegan", steps=1, lr=0.0, ema_decay=0.0, look_size=looks)
    api.train("d", "n.safetensors", settings=idle, start_from="m.safetensors")
    for name in ("{}.safetensors", "{}.reverse.safetensors"):
        first, second = (read_record(Path(name.format(n))).weights for n in "mn")
        assert first == second


def test_a_model_of_one_look_does_not_become_one_of_many() -> None:
    api.train("d", "m.safetensors", settings=tables("cyclegan", steps=2))
    with pytest.raises(UsageError, match="the code of its looks has none"):
        api.train("d", "n.safetensors", settings=tables("cyclegan", look_size=2), start_from="m.safetensors")


def test_a_generator_begins_with_the_colours_of_the_target() -> None:
    settings = tables("cut", lr=0.0, steps=1)
    settings["generator"] = settings["generator"] | {"colour_start": True}
    made = api.train("d", "m.safetensors", settings=settings)
    found = made["held_out"]
    assert found["patch_distance"] < 0.9
    assert found["colours_distance"] == pytest.approx(found["patch_distance"], abs=0.5)


def test_nothing_but_colours_is_said_where_a_model_does_no_more() -> None:
    notes: list[str] = []

    def hear(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event.text)

    api.train("d", "m.safetensors", settings=tables("cut", lr=0.0, steps=1), report=hear)
    assert any("nothing but colours could be moved" in note for note in notes)


@pytest.mark.parametrize("key", ["motion_weight=4", "background_plate=true", "method=pix2pix"])
def test_what_goes_by_targets_is_refused(capsys: pytest.CaptureFixture[str], key: str) -> None:
    said = refuse(capsys, 2, "train", "d", "--preset", "unpaired", "--set", f"training.{key}", "--steps", 1)
    assert "training." in said
